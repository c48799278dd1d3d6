//! What the agent shall do: `trunkline.toml`, else the environment.
//!
//! Every key is documented in its section's `FIELDS`; an unknown key is an error that names the
//! nearest known one and the line, a bad value one that names key, value and what is allowed.

mod admin;
mod check;
mod document;
mod engine;
mod environment;
mod error;
mod example;
mod node;
mod suspicious;
mod tls;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use trunkline_discovery::Env;
use trunkline_discovery::config::{self as options, BuildCx, Field, read};
use trunkline_discovery::strategies::{self, Topology};
use trunkline_reconcile::Config;

pub use admin::{AdminOptions, FIELDS as ADMIN_FIELDS};
pub use check::{Checked, Finding, check};
pub use engine::FIELDS as ENGINE_FIELDS;
pub use error::ConfigError;
pub use example::example;
pub use node::{FIELDS as NODE_FIELDS, NodeOptions};
pub use tls::{FIELDS as TLS_FIELDS, TlsOptions};

use document::Document;

/// The sections of the file.
const SECTIONS: &[Field] = &[
    Field::new("node", "a table", "the node that the agent serves"),
    Field::new("engine", "a table", "the knobs of the engine"),
    Field::new(
        "topologies",
        "a table of tables, [topologies.NAME]",
        "who is out there",
    ),
    Field::new("admin", "a table", "where the agent answers, and to whom"),
];

/// Everything that the agent is told.
#[derive(Debug)]
pub struct AgentConfig {
    /// The node to serve.
    pub node: NodeOptions,
    /// The knobs of the engine.
    pub engine: Config,
    /// Who is out there, in the order of the names. Never empty.
    pub topologies: Vec<TopologyOptions>,
    /// Where the agent answers, and to whom.
    pub admin: AdminOptions,
    /// Why these topologies, one clause for the log.
    pub chosen: String,
    /// The file that says so.
    pub file: Option<PathBuf>,
    document: Option<Document>,
}

/// One `[topologies.NAME]` as it is written.
#[derive(Clone, PartialEq)]
pub struct TopologyOptions {
    /// NAME.
    pub name: String,
    /// Its keys, `strategy` included. May hold a secret: absent from `Debug`.
    table: Table,
}

impl AgentConfig {
    /// Reads `file`, or decides by `env` alone. A file without a topology leaves that choice to the
    /// environment too. Nothing is sent.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn load(file: Option<&Path>, env: &Env) -> Result<Self, ConfigError> {
        let document = file.map(open).transpose()?;
        let empty = Table::new();
        let root = document.as_ref().map_or(&empty, |document| &document.root);
        let written = Written::read(root, env).map_err(|error| locate(document.as_ref(), error))?;
        Self::complete(written, file, document, env)
    }

    /// With no topology the environment chooses one.
    fn complete(
        written: Written,
        file: Option<&Path>,
        document: Option<Document>,
        env: &Env,
    ) -> Result<Self, ConfigError> {
        let mut topologies = written.topologies;
        let mut chosen = match file {
            Some(file) => format!("{} says so", file.display()),
            None => String::new(),
        };
        if topologies.is_empty() {
            let (topology, why) = environment::choose(env)?;
            topologies.push(topology);
            chosen = why;
        }
        Ok(Self {
            node: written.node,
            engine: written.engine,
            topologies,
            admin: written.admin,
            chosen,
            file: file.map(Path::to_owned),
            document,
        })
    }

    /// Builds every topology, in their order. Nothing is sent.
    ///
    /// # Errors
    /// The first option that is wrong, and its line.
    pub fn build(&self, cx: &BuildCx) -> Result<Vec<Topology>, ConfigError> {
        let each = self.topologies.iter();
        each.map(|options| {
            strategies::build(&options.name, &options.table, cx)
                .map_err(|error| locate(self.document.as_ref(), error))
        })
        .collect()
    }
}

impl TopologyOptions {
    /// A topology that no file describes.
    fn new(name: &str, strategy: &str, mut table: Table) -> Self {
        table.insert("strategy".into(), strategy.into());
        let name = name.into();
        Self { name, table }
    }
}

impl TopologyOptions {
    /// Whether its strategy is this one, by any of its names.
    pub(crate) fn is(&self, strategy: &str) -> bool {
        let row = self.text("strategy").and_then(strategies::find);
        row.is_some_and(|row| row.name == strategy)
    }

    /// All its keys.
    pub(crate) fn table(&self) -> &Table {
        &self.table
    }

    /// A key that holds a text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.table.get(key)?.as_str()
    }

    /// Whether a key is `true`.
    pub(crate) fn flag(&self, key: &str) -> bool {
        self.table
            .get(key)
            .and_then(Value::as_bool)
            .unwrap_or(false)
    }
}

impl std::fmt::Debug for TopologyOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopologyOptions")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

/// What the file says.
struct Written {
    node: NodeOptions,
    engine: Config,
    topologies: Vec<TopologyOptions>,
    admin: AdminOptions,
}

impl Written {
    fn read(root: &Table, env: &Env) -> Result<Self, options::ConfigError> {
        let sections: Sections = read("", root, SECTIONS)?;
        let engine: engine::EngineOptions = read("engine", &sections.engine, ENGINE_FIELDS)?;
        Ok(Self {
            engine: engine.config()?,
            node: NodeOptions::read(&sections.node)?,
            admin: AdminOptions::read(&sections.admin, env)?,
            topologies: topologies(sections.topologies)?,
        })
    }
}

#[derive(Default, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Sections {
    node: Table,
    engine: Table,
    topologies: Table,
    admin: Table,
}

/// More than any configuration holds; a wrong path must not fill memory.
pub const MAX_FILE: u64 = 1 << 20;

fn open(file: &Path) -> Result<Document, ConfigError> {
    Document::parse(file, &text_of(file)?)
}

/// The text of the file `file`.
///
/// # Errors
/// When it cannot be read, or is far too large.
pub fn text_of(file: &Path) -> Result<String, ConfigError> {
    let mut text = String::new();
    let read =
        fs::File::open(file).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    if text.len() as u64 > MAX_FILE {
        return Err(ConfigError::new(
            format!("the configuration is larger than {} KiB", MAX_FILE >> 10),
            file.display().to_string(),
            "name the right file",
        ));
    }
    read.map_err(|error| {
        let what = format!("the configuration cannot be read: {error}");
        ConfigError::new(
            what,
            file.display().to_string(),
            "name a file that this user can read",
        )
    })?;
    Ok(text)
}

fn topologies(tables: Table) -> Result<Vec<TopologyOptions>, options::ConfigError> {
    let each = tables.into_iter();
    each.map(|(name, value)| match value {
        _ if name.trim().is_empty() || name.contains(char::is_control) => {
            Err(options::ConfigError::new(
                "topologies",
                Some(&name),
                format!("{name:?} is no name for a topology"),
                "give it one, like [topologies.web]",
            ))
        }
        Value::Table(table) => Ok(TopologyOptions { name, table }),
        _ => Err(options::ConfigError::new(
            "topologies",
            Some(&name),
            format!("{name} is no topology"),
            format!("write a section [topologies.{name}]"),
        )),
    })
    .collect()
}

/// Adds file and line to what discovery's readers found.
fn locate(document: Option<&Document>, error: options::ConfigError) -> ConfigError {
    let key = error.key.as_deref().unwrap_or_default();
    let place = match document {
        Some(document) => document.place(&error.place, key),
        None => error.place.clone(),
    };
    ConfigError::new(error.what(), place, error.cure())
}

#[cfg(test)]
mod tests;
