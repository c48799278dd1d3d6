//! The agent, as `exec` sees it: started before the child, told to stop dialling when the child is
//! told to stop, ended after it.

use trunkline_agent::identity::Identity;
use trunkline_agent::{Agent, AgentConfig};
use trunkline_discovery::platform::{Env, FoundCookie, Named};

use crate::context::Context;
use crate::failure::Failure;

/// Starts the agent of the node that the child will be, with the configuration of `run` and in the
/// environment that the child will have. What is wrong with it shows before the child is started.
pub(crate) async fn start(
    cx: &Context,
    named: &Named,
    cookie: FoundCookie,
    env: &Env,
) -> Result<Agent, Failure> {
    let config = AgentConfig::load(cx.config_file()?, env)?;
    let identity = Identity {
        node: named.node.clone(),
        source: named.source.to_string(),
    };
    Ok(Agent::start(config, identity, cookie, env).await?)
}
