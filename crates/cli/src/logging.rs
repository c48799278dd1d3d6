//! Logs on stderr: `time level what · where · cure`.

use std::fmt;
use std::io::{IsTerminal as _, stderr};

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
        .with_ansi(stderr().is_terminal())
        .with_writer(stderr)
        .event_format(OneLine)
        .init();
    Ok(())
}

/// A bare level means our own crates; libraries stay at `warn` below `debug`, since what they
/// tell at `info` has no cure in it.
fn filter(text: &str, place: &str) -> Result<EnvFilter, Failure> {
    let ours = matches!(text, "error" | "warn" | "info");
    let directives = if ours && text == "info" {
        format!(
            "warn,trunkline=info,{}",
            OURS.map(|c| format!("{c}=info")).join(",")
        )
    } else {
        text.to_owned()
    };
    let known = ours || text.contains(['=', ',']) || matches!(text, "off" | "debug" | "trace");
    EnvFilter::try_new(directives)
        .ok()
        .filter(|_| known)
        .ok_or_else(|| {
            Failure::usage(
                format!("'{text}' is no log level"),
                place,
                "use error, warn, info, debug or trace",
            )
        })
}

/// The targets of our crates, beside `trunkline` itself.
const OURS: [&str; 6] = [
    "trunkline_agent",
    "trunkline_discovery",
    "trunkline_node",
    "trunkline_proto",
    "trunkline_reconcile",
    "trunkline_cli",
];

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
        cx.field_format().format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}
