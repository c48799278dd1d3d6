//! The flags of `erl`, as the variables ERL_AFLAGS, ERL_FLAGS, ERL_ZFLAGS, ELIXIR_ERL_OPTIONS and
//! vm.args files hold them.

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

/// `text` with `flags` at its end: what the operator wrote stays, and stays first.
pub(super) fn appended(text: &str, flags: &str) -> String {
    match text.trim_end() {
        "" => flags.to_owned(),
        text => format!("{text} {flags}"),
    }
}

/// `text` without `flags` at its end, when that is where [`appended`] put them.
pub(super) fn without<'a>(text: &'a str, flags: &str) -> Option<&'a str> {
    let rest = text.strip_suffix(flags)?;
    (rest.is_empty() || rest.ends_with(' ')).then(|| rest.trim_end())
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
            let more = appended(text, "-x y");
            assert_eq!(without(&more, "-x y"), Some(text));
        }
        assert_eq!(without("-a-x y", "-x y"), None);
    }
}
