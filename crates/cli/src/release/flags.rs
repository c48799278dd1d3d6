//! The flags of `erl`, as the variables ERL_AFLAGS, ERL_FLAGS, ERL_ZFLAGS, ELIXIR_ERL_OPTIONS and
//! vm.args files hold them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

/// The value of the last `flag` in `text`; an empty text when it stands alone. The last one counts
/// with OTP, except for what must not be there twice at all.
pub(super) fn value_of<'a>(text: &'a str, flag: &str) -> Option<&'a str> {
    let mut words = text.split_whitespace().map(unquoted).peekable();
    let mut found = None;
    while let Some(word) = words.next() {
        if word == flag {
            found = Some(words.peek().copied().unwrap_or_default());
        }
    }
    found
}

/// `text` with `flags` at its end: what the operator wrote stays byte for byte, and stays first.
pub(super) fn appended(text: &OsStr, flags: &str) -> OsString {
    let text = OsStr::from_bytes(text.as_bytes().trim_ascii_end());
    let mut longer = text.to_owned();
    if !text.is_empty() {
        longer.push(" ");
    }
    longer.push(flags);
    longer
}

/// `text` without `flags` at its end, when that is where [`appended`] put them.
pub(super) fn without<'a>(text: &'a OsStr, flags: &str) -> Option<&'a OsStr> {
    let rest = text.as_bytes().strip_suffix(flags.as_bytes())?;
    (rest.is_empty() || rest.ends_with(b" ")).then(|| OsStr::from_bytes(rest.trim_ascii_end()))
}

fn unquoted(word: &str) -> &str {
    word.trim_matches(['"', '\''])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_flags() {
        let text = "-kernel shell_history enabled  -proto_dist inet6_tcp +P 1";
        assert_eq!(value_of(text, "-proto_dist"), Some("inet6_tcp"));
        assert_eq!(value_of(text, "-kernel"), Some("shell_history"));
        assert_eq!(value_of(text, "-proto"), None);
        assert_eq!(
            value_of("'-proto_dist' \"inet_tls\"", "-proto_dist"),
            Some("inet_tls")
        );
        assert_eq!(value_of("-a 1 -a 2", "-a"), Some("2"));
        assert_eq!(value_of("-a", "-a"), Some(""));
    }

    #[test]
    fn appends_and_takes_back() {
        for text in ["", "-a b", "-a 'b c'"] {
            let more = appended(OsStr::new(text), "-x y");
            assert_eq!(without(&more, "-x y"), Some(OsStr::new(text)));
        }
        assert_eq!(without(OsStr::new("-a-x y"), "-x y"), None);
    }
}
