//! What clap says of a command line, brought into our one line.

use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::failure::Failure;

/// Prints help or version (exit 0), the help for a bare `trunkline` (exit 2), or the failure in
/// one line (exit 2).
pub(crate) fn report(error: &clap::Error) -> ExitCode {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A pager that was closed early has seen enough.
            error.print().ok();
            ExitCode::SUCCESS
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.print().ok();
            ExitCode::from(2)
        }
        _ => failure(&error.render().to_string()).report(),
    }
}

/// From clap's paragraphs: the first says what, `Usage:` names the verb, a tip or the possible
/// values are the cure.
fn failure(rendered: &str) -> Failure {
    let mut paragraphs = rendered.split("\n\n");
    let first = paragraphs.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let (what, values) = match first.split_once("[possible values: ") {
        Some((what, values)) => (what, values.trim_end().strip_suffix(']')),
        None => (first, None),
    };
    let mut tip = None;
    let mut verb = "trunkline".to_owned();
    for paragraph in paragraphs {
        let paragraph = paragraph.trim();
        if let Some(text) = paragraph.strip_prefix("tip: ") {
            tip = tip.or_else(|| text.lines().next());
        } else if let Some(text) = paragraph.strip_prefix("Usage: ") {
            verb = verb_path(text);
        }
    }
    let cure = match (tip, values) {
        (Some(tip), _) => tip.to_owned(),
        (None, Some(values)) => format!("use one of {values}"),
        (None, None) => format!("see {verb} --help"),
    };
    Failure::usage(what, verb, cure)
}

/// `trunkline cookie check` of `trunkline cookie check [OPTIONS]`.
fn verb_path(usage: &str) -> String {
    let words = usage.split_whitespace();
    words
        .take_while(|word| !word.starts_with(['-', '[', '<']))
        .collect::<Vec<_>>()
        .join(" ")
}
