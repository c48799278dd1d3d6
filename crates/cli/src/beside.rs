//! The agent, as `exec` sees it: started before the child, told to stop dialling when the child is
//! told to stop, ended after it.

use trunkline_agent::AgentConfig;
use trunkline_discovery::platform::Env;

use crate::context::Context;
use crate::failure::Failure;

/// The agent beside a child.
pub(crate) struct Agent {
    _config: AgentConfig,
}

impl Agent {
    /// Reads the configuration as `run` does, in the environment that the child will have: there
    /// the node's name and cookie are. What is wrong with it shows before the child is started.
    pub(crate) fn start(cx: &Context, env: &Env) -> Result<Self, Failure> {
        let config = AgentConfig::load(cx.config_file()?, env)?;
        Ok(Self { _config: config })
    }

    /// From now on no new connection is asked for; links stay as they are.
    pub(crate) const fn stop_dialling(&self) {}

    /// Ends the agent.
    pub(crate) async fn shutdown(self) {}
}
