//! `trunkline config check [FILE]`.

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use trunkline_agent::config::{Checked, Finding, MAX_FILE, check, text_of};

use super::report::{Report, sources};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{self, JsonFlag};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file, - for stdin [default: the one that run would read]
    file: Option<PathBuf>,
    /// Fail on warnings too: for the host where the agent will run
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    output: JsonFlag,
}

pub(crate) fn run(args: &Args, cx: &Context) -> Result<ExitCode, Failure> {
    let file = match &args.file {
        Some(file) => Some(file.as_path()),
        None => cx.config_file()?,
    };
    let text = file.map(read).transpose()?;
    let named = file.map(|file| {
        if is_stdin(file) {
            Path::new("stdin")
        } else {
            file
        }
    });
    let checked = check(named.zip(text.as_deref()), &cx.env);
    let warned = args.strict && !checked.warnings.is_empty();
    let ok = checked.mistakes.is_empty() && !warned;
    if args.output.json {
        output::json(&Report::new(named, ok, &checked))?;
    } else if ok {
        output::text(&text_for_people(named, &checked))?;
    }
    for finding in &checked.warnings {
        failure(finding).warn();
    }
    for finding in &checked.mistakes {
        failure(finding).report();
    }
    Ok(if ok {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(2)
    })
}

fn is_stdin(file: &Path) -> bool {
    file == Path::new("-")
}

fn read(file: &Path) -> Result<String, Failure> {
    if !is_stdin(file) {
        return Ok(text_of(file)?);
    }
    let mut text = String::new();
    let read = std::io::stdin()
        .take(MAX_FILE + 1)
        .read_to_string(&mut text);
    let too_large = text.len() as u64 > MAX_FILE;
    match read {
        Ok(_) if !too_large => Ok(text),
        Ok(_) => Err(Failure::usage(
            "the configuration is too large",
            "stdin",
            "name the right file",
        )),
        Err(error) => {
            let what = format!("the configuration cannot be read: {error}");
            Err(Failure::usage(what, "stdin", "give it a file in UTF-8"))
        }
    }
}

fn failure(finding: &Finding) -> Failure {
    Failure::usage(&finding.what, &finding.place, &finding.cure)
}

fn text_for_people(file: Option<&Path>, checked: &Checked) -> String {
    let mut text = match file {
        Some(file) => format!("{}: no mistakes\n", file.display()),
        None => "no file, the environment decides: no mistakes\n".to_owned(),
    };
    let Some((config, topologies)) = &checked.understood else {
        return text;
    };
    let node = config.node.name.as_ref();
    let node = node.map_or("named by its surroundings", |name| name.as_str());
    let cookie = config.node.cookie.as_ref().map(|cookie| cookie.source());
    let cookie = cookie.map_or_else(String::new, |source| format!(", cookie from {source}"));
    let admin = &config.admin;
    let listen = admin
        .listen
        .unwrap_or(trunkline_agent::admin::DEFAULT_LISTEN);
    let token = if admin.token.is_some() {
        ", with a token"
    } else {
        ""
    };
    let nodes = admin.min_nodes;
    let mut line = |args: std::fmt::Arguments<'_>| {
        writeln!(text, "{args}").expect("a String takes everything");
    };
    let tls = if config.node.tls.is_some() {
        ", over TLS"
    } else {
        ""
    };
    line(format_args!("  node: {node}{cookie}{tls}"));
    line(format_args!("  admin: {listen}{token}, ready with {nodes}"));
    for topology in topologies {
        let what = match &topology.off {
            Some(why) => format!("off, {why}"),
            None => sources(topology).join(", "),
        };
        line(format_args!(
            "  topology {} ({}): {what}",
            topology.name, topology.strategy
        ));
    }
    line(format_args!("  because {}", config.chosen));
    text
}
