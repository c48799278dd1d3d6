//! `trunkline cookie generate`: a strong cookie.

use std::process::ExitCode;

use crate::context::Context;
use crate::failure::Failure;
use crate::output;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Print a new random cookie: 40 bytes in URL-safe base64
    Generate,
}

pub(crate) fn run(args: Args, _cx: &Context) -> Result<ExitCode, Failure> {
    match args.action {
        Action::Generate => generate(),
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
