//! The agent, as `exec` sees it: started before the child, told to stop dialling when the child is
//! told to stop, ended after it.

use std::time::Duration;

use tokio::time::{Instant, sleep};
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

/// Returns when the node of the agent has been there for a moment. The kernel of a BEAM registers its
/// name some milliseconds before it listens to signals.
pub(crate) async fn up(agent: &Agent) {
    let begun = Instant::now();
    let mut since = None;
    loop {
        let since = match agent.node_answers() {
            true => *since.get_or_insert_with(Instant::now),
            false => {
                since = None;
                Instant::now()
            }
        };
        if since.elapsed() >= SETTLED {
            return;
        }
        let starting = begun.elapsed() < STARTING;
        sleep(if starting { LOOK } else { LATE_LOOK }).await;
    }
}

/// Twenty times what lies between registration and signals on an idle machine.
const SETTLED: Duration = Duration::from_millis(300);

/// How often the agent is asked, while a node starts and when that has lasted long.
const LOOK: Duration = Duration::from_millis(100);
const LATE_LOOK: Duration = Duration::from_secs(1);
const STARTING: Duration = Duration::from_secs(30);
