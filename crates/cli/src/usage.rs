//! What clap says of a command line, brought into our one line.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, Error};

use crate::failure::Failure;
use crate::{output, release};

/// Prints help or version (exit 0), the help for a verb that is missing (exit 2), or the failure
/// in one line (exit 2).
pub(crate) fn report(error: &Error, command: &Command) -> ExitCode {
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
        _ => fail(&failure(error, &verb(command))),
    }
}

/// A mistyped `trunkline env` inside `eval "$(…)"` must stop the release like any other failure of
/// it, so the shell gets its line too.
fn fail(failure: &Failure) -> ExitCode {
    if failure.place() == "trunkline env" {
        // The exit code says it as well.
        output::text(release::GUARD).ok();
    }
    failure.report()
}

/// From clap's rendering the first paragraph; the cure from its tip or the possible values.
fn failure(error: &Error, verb: &str) -> Failure {
    let rendered = error.render().to_string();
    let mut paragraphs = rendered.split("\n\n").map(str::trim);
    let first = paragraphs.next().unwrap_or_default();
    let first = first.strip_prefix("error: ").unwrap_or(first);
    let what = first.split("[possible values:").next().unwrap_or(first);
    let what = &plain(what);
    let tip = paragraphs.find_map(|paragraph| paragraph.strip_prefix("tip: "));
    let no_dashes = error.kind() == ErrorKind::UnknownArgument && verb == "trunkline exec";
    if no_dashes && !what.contains("'-") {
        return Failure::usage(
            what,
            verb,
            "put -- before the program: trunkline exec -- CMD",
        );
    }
    let cure = match (tip.and_then(|tip| tip.lines().next()), valid_values(error)) {
        (Some(tip), _) => tip.to_owned(),
        (None, Some(values)) => format!("use one of: {values}"),
        (None, None) => format!("see {verb} --help"),
    };
    Failure::usage(what, verb, cure)
}

/// What Rust says of text that is no number, in the words of who typed it.
fn plain(what: &str) -> String {
    let what = what.replace("invalid digit found in string", "it is no whole number");
    what.replace("cannot parse integer from empty string", "it is empty")
}

fn valid_values(error: &Error) -> Option<String> {
    match error.get(ContextKind::ValidValue)? {
        ContextValue::Strings(values) if !values.is_empty() => Some(values.join(", ")),
        _ => None,
    }
}

/// `trunkline cookie check`: as far as the arguments name verbs that there are. clap's error knows
/// it only in some cases.
fn verb(command: &Command) -> String {
    let mut command = command;
    let mut path = vec![command.get_name().to_owned()];
    let arguments = std::env::args_os()
        .skip(1)
        .take_while(|argument| argument != "--");
    for argument in arguments {
        if let Some(found) = command.find_subcommand(&argument) {
            path.push(found.get_name().to_owned());
            command = found;
        }
    }
    path.join(" ")
}
