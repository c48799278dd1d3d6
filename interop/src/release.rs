//! The application of the stories as a real `mix release`, and a host's own copy of it.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::netns::Host;
use crate::process::{read_lossy, run};
use crate::{otp27, workspace};

/// Which Erlang runs a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Otp {
    /// The one installed here: OTP 25 with Elixir 1.14 on Debian 12.
    System,
    /// OTP 27 with Elixir 1.18, see [`otp27`].
    Otp27,
}

/// A host's copy of the release: its own `env.sh`, `tmp` and cookie; code shared with all others.
#[derive(Debug, Clone)]
pub struct Release {
    host: Host,
    otp: Otp,
    root: PathBuf,
}

/// A node that connected or went, as the application's recorder wrote it down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// What happened.
    pub event: Event,
    /// The other node.
    pub node: String,
    /// Whether it was a hidden one.
    pub hidden: bool,
    /// The reason of a [`Event::Down`].
    pub reason: String,
    /// Since the Unix epoch.
    pub at: Duration,
}

/// What a recorder sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It connected (or had done so before the recorder started).
    Up,
    /// The connection ended.
    Down,
}

impl Release {
    /// Puts a copy on `host`, whose `env.sh` is this text.
    pub fn install(host: &Host, otp: Otp, env_sh: &str) -> Result<Self> {
        let built = build(otp)?;
        let root = host.dir().join("app");
        fs::create_dir_all(&root)?;
        for folder in ["bin", "releases"] {
            run(Command::new("cp")
                .arg("-r")
                .arg(built.join(folder))
                .arg(&root))?;
        }
        for entry in fs::read_dir(&built)? {
            let entry = entry?;
            let link = root.join(entry.file_name());
            if !link.exists() {
                std::os::unix::fs::symlink(entry.path(), link)?;
            }
        }
        let release = Self {
            host: host.clone(),
            otp,
            root,
        };
        release.set_env_sh(env_sh)?;
        Ok(release)
    }

    /// Replaces `env.sh`.
    pub fn set_env_sh(&self, text: &str) -> Result<()> {
        Ok(fs::write(self.root.join("releases/0.1.0/env.sh"), text)?)
    }

    /// The script that starts and asks the release.
    pub fn script(&self) -> PathBuf {
        self.root.join("bin/fleet_app")
    }

    /// A command on this host that sees the release, its Erlang and the `trunkline` binary; nothing else is in its environment.
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        let binary = workspace::trunkline();
        let folder = binary.parent().context("a program is in a folder")?;
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", folder.display());
        let mut command = match self.otp {
            Otp::System => self.host.command(program),
            Otp::Otp27 => {
                let prefix = otp27::inside(&otp27::root()?, &self.shared());
                let mut command = self.host.command(&prefix[0]);
                command.args(&prefix[1..]).arg(program);
                command
            }
        };
        command.env("PATH", path);
        Ok(command)
    }

    /// `bin/fleet_app VERB…` from a shell that inherited nothing.
    pub fn verb(&self, args: &[&str]) -> Result<String> {
        run(self.command(self.script())?.args(args))
    }

    /// Evaluates an Elixir expression in the running application, past all distribution; the inspected value.
    pub fn eval(&self, expression: &str) -> Result<String> {
        let socket = self.host.dir().join("console");
        let mut stream = UnixStream::connect(&socket)
            .with_context(|| format!("the application's console at {}", socket.display()))?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let length = u32::try_from(expression.len())?;
        stream.write_all(&length.to_be_bytes())?;
        stream.write_all(expression.as_bytes())?;
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let mut answer = vec![0; usize::try_from(u32::from_be_bytes(length))?];
        stream.read_exact(&mut answer)?;
        let answer = String::from_utf8(answer)?;
        match answer.split_at_checked(1) {
            Some(("+", value)) => Ok(value.to_owned()),
            Some((_, error)) => bail!("{expression}: {error}"),
            None => bail!("{expression}: an empty answer"),
        }
    }

    /// All that the recorder wrote, oldest first, over all restarts of the application.
    ///
    /// # Panics
    /// On a line that the recorder does not write.
    pub fn records(&self) -> Vec<Record> {
        let text = read_lossy(&self.host.dir().join("recorder.log"));
        // A line without its end is still being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .map(|line| Record::parse(line).unwrap_or_else(|| panic!("a record: {line}")))
            .collect()
    }

    /// The host it is on.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Where the release's copy is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Folders that mean the same inside and outside of a chroot.
    fn shared(&self) -> Vec<PathBuf> {
        vec![workspace::target(), std::env::temp_dir()]
    }
}

impl Record {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split(' ');
        Some(Self {
            event: match words.next()? {
                "here" | "up" => Event::Up,
                "down" => Event::Down,
                _ => return None,
            },
            node: words.next()?.to_owned(),
            hidden: words.next()? == "hidden",
            reason: words.next()?.to_owned(),
            at: Duration::from_micros(words.next()?.parse().ok()?),
        })
    }
}

/// Builds the release once for each Erlang, and again when its source changes.
fn build(otp: Otp) -> Result<PathBuf> {
    let source = workspace::root().join("interop/fixtures/fleet_app");
    let name = match otp {
        Otp::System => "fleet_app",
        Otp::Otp27 => "fleet_app_otp27",
    };
    let folder = workspace::target().join("interop");
    let release = folder.join(name);
    let stamp = folder.join(format!("{name}.source"));
    workspace::once(&stamp, &text_of(&source)?, || {
        let shared = [workspace::target(), workspace::root().to_owned()];
        let mut mix = match otp {
            Otp::System => Command::new("mix"),
            Otp::Otp27 => otp27::command("mix", &shared)?,
        };
        mix.args(["release", "--overwrite", "--path"])
            .arg(&release)
            .current_dir(&source)
            .env("MIX_ENV", "prod")
            .env("MIX_BUILD_PATH", folder.join(format!("{name}_build")))
            .env("LANG", "C.UTF-8");
        run(&mut mix)?;
        Ok(())
    })?;
    Ok(release)
}

/// All source files' texts, as the stamp of what was built.
fn text_of(folder: &Path) -> Result<String> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    let mut text = String::new();
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            text.push_str(&text_of(&path)?);
        } else {
            text.push_str(&fs::read_to_string(path)?);
        }
    }
    Ok(text)
}
