//! What can be said when an image is built: the same on every machine that will run it. Neither the
//! name of the node, which the machine gives, nor the environment of the one who builds.

use std::ffi::OsString;

use trunkline_discovery::platform::{Env, Platform};
use trunkline_proto::NodeName;

use super::args::{ReleaseArgs, Tool};
use super::exports::{Exports, Plan};
use super::format::no_fixed_port;
use crate::failure::Failure;

/// The variables for a Dockerfile. `name` only when the operator gave it: then it is every
/// machine's.
pub(crate) fn exports(
    platform: Option<Platform>,
    name: Option<&NodeName>,
    args: &ReleaseArgs,
) -> Result<Exports, Failure> {
    if args.dist_port.is_some() {
        return Err(no_fixed_port());
    }
    if let Some(node) = name {
        let nothing: Env = std::iter::empty::<(OsString, OsString)>().collect();
        let plan = Plan {
            env: &nothing,
            node,
            named_by_flag: true,
            platform,
            cookie: None,
            args,
        };
        return plan.exports();
    }
    let mut always: Vec<(&str, OsString)> = Vec::new();
    if platform == Some(Platform::Fly) {
        // What `fly launch` appends to a Dockerfile, in its order.
        always.push(("ECTO_IPV6", "true".into()));
        always.push(("ERL_AFLAGS", "-proto_dist inet6_tcp".into()));
    }
    if args.tool == Tool::Relx {
        always.push(("RELX_REPLACE_OS_VARS", "true".into()));
    }
    if let Some(port) = args.epmd_port {
        always.push(("ERL_EPMD_PORT", port.to_string().into()));
    }
    if !always.is_empty() {
        return Ok(Exports {
            always,
            on_start: None,
        });
    }
    let where_it_runs = match platform {
        Some(platform) => format!("on {platform} everything depends on the machine"),
        None => "which platform the image is for is not known".to_owned(),
    };
    Err(Failure::usage(
        format!("{where_it_runs}, an image can hold none of it"),
        "--format dockerfile",
        "add --platform fly, or let the machine say it: eval \"$(trunkline env)\"",
    ))
}
