//! Whether CMD would give its node another name than the agent serves: the agent would wait for a
//! node that never comes.

use std::ffi::OsString;

use trunkline_discovery::platform::Env;
use trunkline_proto::NodeName;

use super::exports::FLAG_VARIABLES;
use super::flags;
use crate::failure::Failure;

/// How `erl` and Elixir's commands are told a name.
const NAME_FLAGS: [&str; 4] = ["-name", "-sname", "--name", "--sname"];

/// Refuses CMD when its words, or the flags that `erl` takes from its environment, hold a full name
/// that is not `node`. A short one without a host is completed by the BEAM, and not judged here.
pub(crate) fn refuse_other_name(
    argv: &[OsString],
    env: &Env,
    node: &NodeName,
) -> Result<(), Failure> {
    let other = |name: &str| name != node.as_str() && name.parse::<NodeName>().is_ok();
    let pairs = argv.windows(2).filter_map(|pair| {
        let flag = NAME_FLAGS.into_iter().find(|flag| pair[0] == *flag)?;
        Some((flag, pair[1].to_str()?))
    });
    for (flag, name) in pairs {
        if other(name) {
            return Err(refusal(name, node, &format!("{flag} in CMD")));
        }
    }
    for variable in FLAG_VARIABLES {
        let text = env.get(variable).unwrap_or_default().to_string_lossy();
        let names = NAME_FLAGS.iter().filter_map(|f| flags::value_of(&text, f));
        if let Some(name) = names.into_iter().find(|name| other(name)) {
            return Err(refusal(name, node, variable));
        }
    }
    Ok(())
}

fn refusal(name: &str, node: &NodeName, place: &str) -> Failure {
    Failure::usage(
        format!("CMD names its node {name}, the agent would wait for {node}"),
        place,
        format!("leave the name out there, or add --name {name}"),
    )
}
