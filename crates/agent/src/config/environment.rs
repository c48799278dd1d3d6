//! What to do with no topology configured: the environment names one.

use toml::{Table, Value};
use trunkline_discovery::{Env, strategies};

use super::{ConfigError, TopologyOptions};

/// The topology that the environment asks for, and why it was chosen, one clause.
///
/// # Errors
/// When it asks for a strategy that is not built yet, or for none.
pub(super) fn choose(env: &Env) -> Result<(TopologyOptions, String), ConfigError> {
    let query = env.text("DNS_CLUSTER_QUERY");
    if env.text("FLY_APP_NAME").is_some() {
        return match query {
            // On Fly it is the query when set; the plain strategy asks the same question.
            Some(query) if !built("fly") => Ok(dns(query)),
            _ => named("fly", "$FLY_APP_NAME is set", query),
        };
    }
    if let Some(query) = query {
        return Ok(dns(query));
    }
    if env.text("KUBERNETES_SERVICE_HOST").is_some() {
        return named("kubernetes", "$KUBERNETES_SERVICE_HOST is set", None);
    }
    if env.text("DIGITALOCEAN_TOKEN").is_some() {
        let mut options = Table::new();
        let mut token = Table::new();
        token.insert("env".into(), "DIGITALOCEAN_TOKEN".into());
        options.insert("token".into(), Value::Table(token));
        let topology = TopologyOptions::new("digitalocean", "digitalocean", options);
        return Ok((topology, "$DIGITALOCEAN_TOKEN is set".into()));
    }
    named("local_epmd", "nothing else is configured", None)
}

fn dns(query: &str) -> (TopologyOptions, String) {
    let topology = TopologyOptions::new("dns", "dns", query_option(Some(query)));
    (topology, "$DNS_CLUSTER_QUERY is set".into())
}

fn named(
    strategy: &'static str,
    why: &str,
    query: Option<&str>,
) -> Result<(TopologyOptions, String), ConfigError> {
    if built(strategy) {
        let topology = TopologyOptions::new(strategy, strategy, query_option(query));
        return Ok((topology, why.into()));
    }
    let names: Vec<_> = strategies::TABLE.iter().map(|row| row.name).collect();
    Err(ConfigError::new(
        format!("no topology is configured, {why}, and the strategy {strategy} is not built yet"),
        "environment",
        format!(
            "write a [topologies.NAME] into trunkline.toml (strategy: {}), or set DNS_CLUSTER_QUERY",
            names.join(", ")
        ),
    ))
}

fn query_option(query: Option<&str>) -> Table {
    let pair = query.map(|query| ("query".to_owned(), query.into()));
    pair.into_iter().collect()
}

fn built(strategy: &str) -> bool {
    strategies::TABLE.iter().any(|row| row.name == strategy)
}
