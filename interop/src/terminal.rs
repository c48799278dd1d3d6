//! A shell on a pseudo terminal, as a person uses it.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::member::PATIENCE;
use crate::process::read_lossy;
use crate::wait;

/// Starts `command`, which ends up in a remote IEx; types `lines`, one at each prompt; leaves with Ctrl-\, which ends the shell
/// and not the node. Gives what the terminal showed after each line, without colours.
///
/// `shown` is a file for what the terminal shows. Only the variables that were set on `command` itself are in its environment.
///
/// # Errors
/// When a prompt or the end does not come; with all that was shown.
pub fn remote(command: &Command, lines: &[&str], shown: &Path) -> Result<Vec<String>> {
    fs::write(shown, "")?;
    let mut child = on_terminal(command, shown)
        .spawn()
        .context("when missing: apt-get install -y --no-install-recommends bsdutils")?;
    let mut keys = child.stdin.take().context("stdin was asked for")?;
    let said = converse(&mut keys, lines, shown);
    if said.is_err() {
        child.kill()?;
    }
    // The end of the keys is one of the remote shell's input, too: IEx of OTP 27 that reads it first halts the node.
    if wait::within(PATIENCE, || child.try_wait().transpose()).is_none() {
        child.kill()?;
        child.wait()?;
        bail!("the shell does not end:\n{}", text(shown));
    }
    drop(keys);
    said
}

fn converse(keys: &mut impl Write, lines: &[&str], shown: &Path) -> Result<Vec<String>> {
    let prompt = |n: usize| format!("){n}>");
    until_shown(shown, &prompt(1))?;
    let mut said = Vec::new();
    for (n, line) in (1..).zip(lines) {
        keys.write_all(format!("{line}\n").as_bytes())?;
        until_shown(shown, &prompt(n + 1))?;
        let text = text(shown);
        let after = text.split(&prompt(n)).nth(1).unwrap_or_default();
        let before = after
            .rsplit_once("iex(")
            .map_or(after, |(before, _)| before);
        said.push(before.to_owned());
    }
    keys.write_all(b"\x1c")?;
    Ok(said)
}

fn until_shown(shown: &Path, what: &str) -> Result<()> {
    let there = || text(shown).contains(what).then_some(());
    let found = wait::within(PATIENCE, there);
    found.with_context(|| format!("no {what:?} on the terminal:\n{}", text(shown)))
}

/// `script` makes the terminal, around all that `command` is.
fn on_terminal(command: &Command, shown: &Path) -> Command {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let words: Vec<String> = words
        .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', r"'\''")))
        .collect();
    let mut script = Command::new("script");
    script
        .args(["--quiet", "--return", "--flush", "--command"])
        .arg(words.join(" "))
        .arg(shown)
        .env_clear()
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::null());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            script.env(name, value);
        }
    }
    if let Some(folder) = command.get_current_dir() {
        script.current_dir(folder);
    }
    script
}

/// What is on the terminal, without escape sequences (`ESC [ … letter`).
fn text(shown: &Path) -> String {
    let raw = read_lossy(shown);
    let mut parts = raw.split("\x1b[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_ascii_alphabetic());
        text.push_str(end.map_or("", |end| &part[end + 1..]));
    }
    text
}
