//! Logs on stderr: `time level what · where · cure`.

use std::fmt;
use std::io::stderr;

use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::registry::LookupSpan;

use crate::context::Globals;
use crate::failure::Failure;

/// The variable that `--log-level` overrides.
const VARIABLE: &str = "TRUNKLINE_LOG";

/// Installs the subscriber; `default` is the level when neither flag nor variable name one.
pub(crate) fn init(globals: &Globals, default: &str) -> Result<(), Failure> {
    let from_env = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let (text, place) = match (&globals.log_level, &from_env) {
        (Some(flag), _) => (flag.as_str(), "--log-level"),
        (None, Some(value)) => (value.as_str(), VARIABLE),
        (None, None) => (default, ""),
    };
    tracing_subscriber::fmt()
        .with_env_filter(filter(text, place)?)
        .with_ansi(false)
        .with_writer(stderr)
        // It would say on stderr that stderr is gone, and panic: a log that nobody takes any more
        // must end neither the agent nor the release beside it.
        .log_internal_errors(false)
        .event_format(OneLine)
        .init();
    Ok(())
}

/// A bare level is for our own crates. Libraries stay at `warn`: what they tell below has no cure in
/// it, and nobody has looked whether a secret could be; who wants it says so in a filter.
fn filter(text: &str, place: &str) -> Result<EnvFilter, Failure> {
    let directives = match text {
        "off" | "error" | "warn" => text.to_owned(),
        // Every crate of ours has a name that begins so.
        "info" | "debug" | "trace" => format!("warn,trunkline={text}"),
        filter if filter.contains(['=', ',']) => filter.to_owned(),
        _ => String::new(),
    };
    EnvFilter::try_new(&directives)
        .ok()
        .filter(|_| !directives.is_empty())
        .ok_or_else(|| {
            Failure::usage(
                format!("'{text}' is no log level"),
                place,
                "use error, warn, info, debug or trace",
            )
        })
}

/// `2026-11-22T01:27:10.123456Z WARN what · where · cure`: the message, then what fields it has.
struct OneLine;

impl<S, N> FormatEvent<S, N> for OneLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        cx: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut writer)?;
        write!(writer, " {:>5} ", event.metadata().level())?;
        let mut text = String::new();
        cx.field_format()
            .format_fields(Writer::new(&mut text), event)?;
        // What others have named (peers, files, servers) makes no second line and no colour.
        for c in text.chars() {
            writer.write_char(if c.is_control() { ' ' } else { c })?;
        }
        writeln!(writer)
    }
}
