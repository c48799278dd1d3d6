//! What to do with no topology configured: the environment names one.

use toml::{Table, Value};
use trunkline_discovery::platform::{StrategyChoice, default_strategy};
use trunkline_discovery::{Env, strategies};

use super::{ConfigError, TopologyOptions};

/// The topology that the environment asks for, and why it was chosen, one clause.
///
/// # Errors
/// When it asks for a strategy that is not built yet, or for none.
pub(super) fn choose(env: &Env) -> Result<(TopologyOptions, String), ConfigError> {
    let chosen = default_strategy(env);
    let mut options = Table::new();
    let strategy = match chosen.choice {
        StrategyChoice::Fly => "fly",
        StrategyChoice::Dns { query } => {
            options.insert("query".into(), query.into());
            "dns"
        }
        StrategyChoice::Kubernetes => "kubernetes",
        StrategyChoice::DigitalOcean => {
            let token = [("env".to_owned(), "DIGITALOCEAN_TOKEN".into())];
            options.insert("token".into(), Value::Table(token.into_iter().collect()));
            "digitalocean"
        }
        _ => "local_epmd",
    };
    let why = match strategy {
        "local_epmd" => "nothing else is configured".to_owned(),
        _ => format!("${} is set", chosen.because),
    };
    if strategies::find(strategy).is_none() {
        return Err(not_built(strategy, &why));
    }
    Ok((TopologyOptions::new(strategy, strategy, options), why))
}

fn not_built(strategy: &str, why: &str) -> ConfigError {
    let names: Vec<_> = strategies::TABLE.iter().map(|row| row.name).collect();
    ConfigError::new(
        format!("no topology is configured, {why}, and the strategy {strategy} is not built yet"),
        "environment",
        format!(
            "write a [topologies.NAME] into trunkline.toml (strategy: {}), or set DNS_CLUSTER_QUERY",
            names.join(", ")
        ),
    )
}
