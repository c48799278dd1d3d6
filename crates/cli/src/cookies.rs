//! The cookie, for verbs.

use std::path::Path;

use trunkline_discovery::platform::{self, CookieFileError, Env, FoundCookie, Weakness};

use crate::failure::Failure;

/// The cookie that is used here, if there is one. Which one it is, and the one weakness that breaks
/// connections, are logged.
pub(crate) fn find(env: &Env, flag: Option<&Path>) -> Result<Option<FoundCookie>, Failure> {
    let found = look(env, flag)?;
    if let Some(found) = &found {
        tracing::info!("the cookie is the one in {}", found.source);
        if found.weaknesses().contains(&Weakness::TrailingNewline) {
            let (weakness, source) = (Weakness::TrailingNewline, &found.source);
            tracing::warn!("the cookie: {weakness} · {source} · {}", weakness.cure());
        }
    }
    Ok(found)
}

/// As [`find`], silently.
pub(crate) fn look(env: &Env, flag: Option<&Path>) -> Result<Option<FoundCookie>, Failure> {
    platform::cookie(env, flag, None).map_err(|error| unreadable(&error))
}

/// There is no cookie anywhere.
pub(crate) fn none() -> Failure {
    Failure::operation(
        "there is no cookie",
        "RELEASE_COOKIE, $RELEASE_ROOT/releases/COOKIE, $HOME/.erlang.cookie",
        "make one (trunkline cookie generate) and give every node the same",
    )
}

fn unreadable(error: &CookieFileError) -> Failure {
    Failure::operation(
        format!("cannot use the cookie: {}", error.why),
        &error.place,
        "correct it, or name another file with --cookie-file",
    )
}
