//! `trunkline cookie generate|check`: a strong cookie, and what is wrong with this one.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use serde::Serialize;
use trunkline_discovery::platform::{FoundCookie, Weakness};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::JsonFlag;
use crate::{cookies, output};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Print a new random cookie: 40 bytes in URL-safe base64
    Generate,
    /// Say which cookie is used here and what is wrong with it, never the cookie itself
    Check(CheckArgs),
}

#[derive(clap::Args)]
struct CheckArgs {
    /// The file that holds the cookie [default: RELEASE_COOKIE, else the release's, else the user's]
    #[arg(long, value_name = "FILE")]
    cookie_file: Option<PathBuf>,
    #[command(flatten)]
    output: JsonFlag,
}

pub(crate) fn run(args: Args, cx: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Generate => generate(),
        Action::Check(args) => check(&args, cx),
    }
}

/// What `check` prints: where the cookie is from and its faults, worst first.
#[derive(Serialize)]
struct Report {
    /// The variable or file.
    source: String,
    /// Empty for a good one.
    weaknesses: Vec<Fault>,
}

#[derive(Serialize)]
struct Fault {
    code: &'static str,
    text: String,
    cure: &'static str,
}

/// Exit code 1 when there is anything to mend.
fn check(args: &CheckArgs, cx: &Context) -> Result<ExitCode, Failure> {
    let found =
        cookies::look(&cx.env, args.cookie_file.as_deref(), cx)?.ok_or_else(cookies::none)?;
    let report = Report::new(&found);
    if args.output.json {
        output::json(&report)?;
    } else {
        output::text(&report.text())?;
    }
    match report.weaknesses.first() {
        None => output::done(),
        Some(worst) => Err(Failure::operation(
            format!("the cookie is weak: {}", worst.text),
            report.source.as_str(),
            worst.cure,
        )),
    }
}

impl Report {
    fn new(found: &FoundCookie) -> Self {
        let fault = |weakness: Weakness| Fault {
            code: weakness.code(),
            text: weakness.to_string(),
            cure: weakness.cure(),
        };
        Self {
            source: found.source.to_string(),
            weaknesses: found.weaknesses().into_iter().map(fault).collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("the cookie in {}\n", self.source);
        for fault in &self.weaknesses {
            writeln!(text, "  {} · {}", fault.text, fault.cure).ok();
        }
        if self.weaknesses.is_empty() {
            text.push_str("  no weakness found\n");
        }
        text
    }
}

/// The alphabet of URL-safe base64 (RFC 4648 §5).
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// 40 random bytes, as `Base.url_encode64(:crypto.strong_rand_bytes(40))` makes them: 54
/// characters without the padding, which no shell, URL or command line misreads. A leading `-`
/// would be taken for a flag by `erl -setcookie`, so those bytes are drawn again.
fn generate() -> Result<ExitCode, Failure> {
    let secret_cookie = loop {
        let mut random = [0; 40];
        getrandom::fill(&mut random).map_err(|error| {
            Failure::operation(
                format!("no random bytes: {error}"),
                "the kernel's random source",
                "run it on a host with getrandom(2) or /dev/urandom",
            )
        })?;
        let text = base64url(&random);
        if !text.starts_with('-') {
            break text;
        }
    };
    output::text(&format!("{secret_cookie}\n"))?;
    output::done()
}

/// URL-safe base64 without padding.
fn base64url(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0u32, |group, byte| (group << 8) | u32::from(*byte));
        let group = group << (8 * (3 - chunk.len()));
        for n in 0..=chunk.len() {
            let index = (group >> (18 - 6 * n)) & 0x3f;
            text.push(char::from(ALPHABET[index as usize]));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_rfc_4648() {
        for (bytes, text) in [("", ""), ("f", "Zg"), ("fo", "Zm8"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64url(bytes.as_bytes()), text);
        }
        assert_eq!(base64url(&[0xfb, 0xff, 0xfe]), "-__-");
    }
}
