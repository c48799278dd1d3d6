//! What every verb is given: the global flags, the environment, the configuration file.

use std::path::{Path, PathBuf};

use trunkline_agent::config::{AgentConfig, NodeOptions};
use trunkline_discovery::platform::{Env, NameOptions};

use crate::failure::Failure;

/// The file that is read when `--config` names none and it is there.
const DEFAULT_CONFIG: &str = "trunkline.toml";

/// Flags that every verb takes.
#[derive(clap::Args, Debug)]
pub(crate) struct Globals {
    /// Configuration file [default: trunkline.toml when present]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// What is logged on stderr: error, warn, info, debug, trace, or a filter like
    /// `info,trunkline_node=debug` [env: TRUNKLINE_LOG; default: info for run and exec, else warn]
    #[arg(long, value_name = "LEVEL", global = true)]
    pub(crate) log_level: Option<String>,
}

/// The process's surroundings, read once and handed down: no verb looks at the real environment
/// by itself.
pub(crate) struct Context {
    globals: Globals,
    /// The environment that trunkline was started with.
    pub(crate) env: Env,
}

impl Context {
    pub(crate) fn new(globals: Globals) -> Self {
        Self {
            globals,
            env: Env::from_process(),
        }
    }

    /// The flag `--log-level`, for what is started with the same.
    pub(crate) fn log_level(&self) -> Option<&str> {
        self.globals.log_level.as_deref()
    }

    /// What the configuration says of this node's name.
    pub(crate) fn name_options(&self) -> Result<NameOptions, Failure> {
        match self.config_file()? {
            Some(file) => Ok(AgentConfig::load(Some(file), &self.env)?.name_options()),
            None => Ok(NameOptions::default()),
        }
    }

    /// `[node]` of the configuration.
    pub(crate) fn node_options(&self) -> Result<NodeOptions, Failure> {
        Ok(NodeOptions::load(self.config_file()?)?)
    }

    /// The configuration file to read: the one that `--config` names, which must be there, else
    /// `trunkline.toml` when there is one.
    pub(crate) fn config_file(&self) -> Result<Option<&Path>, Failure> {
        match &self.globals.config {
            Some(path) if path.is_file() => Ok(Some(path)),
            Some(path) if path.exists() => Err(no_file(path, "--config")),
            Some(path) => Err(Failure::usage(
                format!("cannot read the configuration file {}", path.display()),
                "--config",
                "name an existing file, or leave the flag out",
            )),
            None => match Path::new(DEFAULT_CONFIG) {
                path if path.is_file() => Ok(Some(path)),
                path if path.exists() => Err(no_file(path, "working directory")),
                _ => Ok(None),
            },
        }
    }
}

/// Docker makes a folder where a file to be mounted is missing: silently going without it would be
/// another cluster.
fn no_file(path: &Path, place: &str) -> Failure {
    let what = if path.is_dir() {
        "a directory"
    } else {
        "no regular file"
    };
    Failure::usage(
        format!("the configuration {} is {what}", path.display()),
        place,
        "put the file there, or name another with --config",
    )
}
