//! What `exec` warns of before it starts CMD: it can be right, and mostly is not.

use std::ffi::OsString;

use trunkline_discovery::platform::{self, CookieSource, Env, FoundCookie, fly};
use trunkline_proto::NodeName;

use super::{flags, vm_args};
use crate::child::{Program, Release};

/// `erl` has its cookie from a file of its own, or from its arguments.
pub(crate) fn own_cookie(program: &Program, cookie: &FoundCookie, env: &Env) {
    let by_flag = |word: &OsString| word == "-setcookie" || word == "--cookie";
    let home = ["HOME", "XDG_CONFIG_HOME"];
    let home: Env = home
        .into_iter()
        .filter_map(|name| Some((name, env.get(name)?)))
        .collect();
    let own = platform::cookie(&home, None, None).ok().flatten();
    let same = own.is_some_and(|own| own.secret_cookie == cookie.secret_cookie);
    if !same && !program.argv.iter().any(by_flag) {
        tracing::warn!(
            "erl will not use the cookie of {}, it reads its own file · $HOME/.erlang.cookie · \
             write the same one there, with mode 0400",
            cookie.source
        );
    }
}

/// Whether tools of the release find the node, and whether it is the node that the agent serves.
pub(crate) fn env_sh(release: &Release, node: &NodeName, cookie: &FoundCookie, env: &Env) {
    // The lines of Fly's guide are as good as ours where they give the same name.
    let same = release.env_sh_is_flys() && fly::guides_name(env) == node.as_str();
    if same {
        tracing::debug!("the release's own RELEASE_NODE is {node} too");
    } else if let Some(path) = release.env_sh_with_name() {
        tracing::warn!(
            "the release sets RELEASE_NODE itself, the agent serves only the name that it gave · {} \
             · replace that line: eval \"$(trunkline env)\"",
            path.display()
        );
    } else if let Some(path) = release.env_sh_without_us() {
        tracing::warn!(
            "remote and rpc of this release will not find the node from another shell · {} · add \
             this line: eval \"$(trunkline env)\"",
            path.display()
        );
    }
    // Set before us, it is the agent's as well.
    let from_environment = cookie.source == CookieSource::Environment;
    if let Some(path) = release.env_sh_with_cookie().filter(|_| !from_environment) {
        tracing::warn!(
            "the release sets RELEASE_COOKIE itself, the agent may use another one · {} · set it \
             in the environment of trunkline exec instead",
            path.display()
        );
    }
}

/// A name in `vm.args`, unless a script fills it in: the agent would wait for a node that never comes.
pub(crate) fn vm_args(release: &Release, node: &NodeName) {
    let text = vm_args::text(&release.vm_args);
    for flag in ["-name", "-sname"] {
        let Some(name) = flags::value_of(&text, flag).filter(|name| is_other(name, node)) else {
            continue;
        };
        tracing::warn!(
            "the release names its node {name}, the agent waits for {node} · {flag} in {} · leave \
             it out there, or add --name to trunkline exec",
            release.vm_args.display()
        );
    }
}

/// Without a host the BEAM completes it.
fn is_other(name: &str, node: &NodeName) -> bool {
    if name.is_empty() || name.contains(['$', '{', '<', '%']) {
        return false;
    }
    match name.parse::<NodeName>() {
        Ok(name) => name.canonical() != node.canonical(),
        Err(_) => name != node.alive(),
    }
}
