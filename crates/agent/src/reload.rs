//! The configuration, read again while the agent runs.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::path::Path;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use serde::Serialize;
use tokio::sync::Mutex;
use toml::{Table, Value};
use trunkline::{Change, Cluster};
use trunkline_discovery::platform::Env;
use trunkline_proto::Cookie;
use trunkline_reconcile::Config;

use crate::config::{AdminOptions, AgentConfig, ConfigError, NodeOptions, TopologyOptions};
use crate::identity;
use crate::service::Facts;

/// Reads the configuration again. One at a time.
#[derive(Debug)]
pub(crate) struct Reloader {
    env: Env,
    cluster: Cluster,
    facts: Arc<Facts>,
    running: Mutex<Running>,
}

/// What changed. The names of topologies, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reloaded {
    /// Asked from now on.
    pub added: Vec<String>,
    /// Asked otherwise, or with another secret.
    pub changed: Vec<String>,
    /// Asked no more; links stay.
    pub removed: Vec<String>,
    /// Whether knobs of the engine, or `min_nodes`, changed.
    pub settings: bool,
    /// What is other in the file than in this agent, and stays so until it is started again.
    pub restart: Vec<&'static str>,
}

impl Reloaded {
    /// One clause.
    fn what(&self) -> String {
        let lists = [
            ("new", &self.added),
            ("changed", &self.changed),
            ("removed", &self.removed),
        ];
        let lists = lists.iter().filter(|(_, names)| !names.is_empty());
        let mut parts: Vec<_> = lists
            .map(|(what, names)| format!("{what} {}", names.join(", ")))
            .collect();
        if self.settings {
            parts.push("other settings".into());
        }
        if parts.is_empty() {
            parts.push("nothing changed".into());
        }
        parts.join("; ")
    }
}

/// What the agent does now.
#[derive(Debug)]
struct Running {
    config: AgentConfig,
    topologies: BTreeMap<String, (TopologyOptions, u64)>,
    cookie: Cookie,
    /// What was said to need a restart, so that it is said once.
    said: BTreeSet<&'static str>,
    hasher: RandomState,
}

impl Reloader {
    pub(crate) fn new(
        config: AgentConfig,
        cookie: Cookie,
        env: &Env,
        cluster: Cluster,
        facts: Arc<Facts>,
    ) -> Self {
        let hasher = RandomState::new();
        let running = Running {
            topologies: fingerprints(&config, &hasher),
            config,
            cookie,
            said: BTreeSet::new(),
            hasher,
        };
        Self {
            env: env.clone(),
            cluster,
            facts,
            running: Mutex::new(running),
        }
    }

    /// Reads the file again, and does what changed; no link ends by it.
    ///
    /// # Errors
    /// The first mistake in the new file. Everything stays as it is.
    pub(crate) async fn reload(&self) -> Result<Reloaded, ConfigError> {
        let mut running = self.running.lock().await;
        let result = self.apply(&mut running).await;
        let file = running.config.file.as_deref();
        let place = file.map_or_else(|| "environment".into(), |file| file.display().to_string());
        match &result {
            Ok(reloaded) => {
                tracing::info!("configuration read again: {} · {place}", reloaded.what())
            }
            Err(error) => {
                let ConfigError { what, place, cure } = error;
                tracing::error!(
                    "the new configuration is not taken, the old one stays: {what} · {place} · {cure}"
                );
            }
        }
        result
    }

    async fn apply(&self, running: &mut Running) -> Result<Reloaded, ConfigError> {
        let new = AgentConfig::load(running.config.file.as_deref(), &self.env)?;
        let mut built = new.build(&identity::build_cx(&self.env)?)?;
        let topologies = fingerprints(&new, &running.hasher);
        let mut reloaded = difference(&running.topologies, &topologies);
        let is_new =
            |name: &String| reloaded.added.contains(name) || reloaded.changed.contains(name);
        built.retain(|topology| is_new(&topology.name));
        self.facts.learn(&built, &reloaded.removed);

        // The member keeps the time-out of its probes.
        let engine = Config {
            connect_timeout: running.config.engine.connect_timeout,
            ..new.engine.clone()
        };
        let old = &running.config;
        reloaded.settings = engine != old.engine || new.admin.min_nodes != old.admin.min_nodes;
        self.facts.set_min_nodes(new.admin.min_nodes);
        self.cluster
            .change(Change {
                engine: (engine != old.engine).then(|| engine.clone()),
                set: built,
                remove: reloaded.removed.clone(),
            })
            .await;
        reloaded.restart = self.lasting(running, &new);
        say_restart(&mut running.said, &reloaded.restart, &new);
        // What needs a restart is compared with what runs, not with what was read last.
        running.topologies = topologies;
        running.config.engine = engine;
        running.config.admin.min_nodes = new.admin.min_nodes;
        running.config.topologies = new.topologies;
        Ok(reloaded)
    }

    /// What cannot change while the agent runs, and is other in the new file.
    fn lasting(&self, running: &Running, new: &AgentConfig) -> Vec<&'static str> {
        let old = &running.config;
        let mut keys = Vec::new();
        if new.node.name != old.node.name {
            keys.push("[node] name");
        }
        if self.is_other_cookie(running, &old.node, &new.node) {
            keys.push("[node] cookie");
        }
        if new.node.tls != old.node.tls {
            keys.push("[node] tls");
        }
        if new.node.port != old.node.port {
            keys.push("[node] port");
        }
        if new.engine.connect_timeout != old.engine.connect_timeout {
            keys.push("[engine] connect_timeout");
        }
        if new.admin.listen != old.admin.listen {
            keys.push("[admin] listen");
        }
        let token = |admin: &AdminOptions| admin.token.clone();
        if token(&new.admin) != token(&old.admin) {
            keys.push("[admin] token");
        }
        keys
    }

    /// Another place, or the same place with another cookie in it.
    fn is_other_cookie(&self, running: &Running, old: &NodeOptions, new: &NodeOptions) -> bool {
        if new.cookie != old.cookie {
            return true;
        }
        if new.cookie.is_none() {
            // It came from somewhere else, perhaps a flag, which only the next start reads.
            return false;
        }
        let found = identity::cookie(&self.env, None, new).ok().flatten();
        found.is_some_and(|found| found.secret_cookie != running.cookie)
    }
}

/// `POST /api/v1/reload`: 200 and [`Reloaded`], or 422 and the mistake.
pub(crate) fn route(reloader: Arc<Reloader>) -> Router {
    let answer = async move || -> Response {
        // A task of its own: a client that goes away leaves nothing half done.
        let done = tokio::spawn(async move { reloader.reload().await });
        match done.await {
            Ok(Ok(reloaded)) => Json(reloaded).into_response(),
            Ok(Err(error)) => {
                let error = serde_json::json!({ "error": error.to_string() });
                (StatusCode::UNPROCESSABLE_ENTITY, Json(error)).into_response()
            }
            // It panicked, which was printed.
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        }
    };
    Router::new().route("/api/v1/reload", post(answer))
}

fn say_restart(said: &mut BTreeSet<&'static str>, keys: &[&'static str], new: &AgentConfig) {
    let file = new
        .file
        .as_deref()
        .unwrap_or_else(|| Path::new("environment"));
    for key in keys.iter().filter(|key| !said.contains(*key)) {
        let file = file.display();
        tracing::warn!("{key} is another one now, this agent keeps the old · {file} · restart it");
    }
    *said = keys.iter().copied().collect();
}

/// Each topology with a hash of the files that it names: a secret may change where its name stays.
fn fingerprints(
    config: &AgentConfig,
    hasher: &RandomState,
) -> BTreeMap<String, (TopologyOptions, u64)> {
    let each = config.topologies.iter();
    each.map(|topology| {
        let mut contents = Vec::new();
        files(topology.table(), &mut contents);
        let hash = hasher.hash_one(contents);
        (topology.name.clone(), (topology.clone(), hash))
    })
    .collect()
}

/// What is in the files that options name: `{ file = "…" }` and `…_file = "…"`.
fn files(table: &Table, contents: &mut Vec<Option<Vec<u8>>>) {
    for (key, value) in table {
        match value {
            Value::Table(inner) => files(inner, contents),
            Value::String(path) if key == "file" || key.ends_with("_file") => {
                // Whoever builds the topology says what is wrong with it.
                let small = fs::metadata(path).is_ok_and(|file| file.is_file() && file.len() < MAX);
                contents.push(small.then(|| fs::read(path).ok()).flatten());
            }
            _ => {}
        }
    }
}

/// More than any token or list of certificates has.
const MAX: u64 = 1 << 20;

fn difference(
    old: &BTreeMap<String, (TopologyOptions, u64)>,
    new: &BTreeMap<String, (TopologyOptions, u64)>,
) -> Reloaded {
    let mut found = Reloaded::default();
    for (name, topology) in new {
        match old.get(name) {
            None => found.added.push(name.clone()),
            Some(known) if known != topology => found.changed.push(name.clone()),
            Some(_) => {}
        }
    }
    let gone = old.keys().filter(|name| !new.contains_key(*name));
    found.removed = gone.cloned().collect();
    found
}
