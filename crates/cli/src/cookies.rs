//! The cookie, for verbs.

use std::path::Path;

use trunkline_agent::identity;
use trunkline_discovery::platform::{Env, FoundCookie, Weakness};

use crate::context::Context;
use crate::failure::Failure;

/// The cookie that is used in `env`, if there is one. Which one it is, and the one weakness that
/// breaks connections, are logged.
pub(crate) fn find(
    env: &Env,
    flag: Option<&Path>,
    cx: &Context,
) -> Result<Option<FoundCookie>, Failure> {
    let found = look(env, flag, cx)?;
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
pub(crate) fn look(
    env: &Env,
    flag: Option<&Path>,
    cx: &Context,
) -> Result<Option<FoundCookie>, Failure> {
    Ok(identity::cookie(env, flag, &cx.node_options()?)?)
}

/// There is no cookie anywhere.
pub(crate) fn none() -> Failure {
    Failure::operation(
        "there is no cookie",
        "RELEASE_COOKIE, $RELEASE_ROOT/releases/COOKIE, $HOME/.erlang.cookie",
        "make one (trunkline cookie generate) and give every node the same",
    )
}
