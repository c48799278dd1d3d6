//! The surroundings that platform detection reads: variables, and the root of the fixed paths.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// An environment as a value: a program's own, or one made up. Values may be secret, so `Debug`
/// shows names only.
#[derive(Clone, PartialEq, Eq)]
pub struct Env {
    vars: BTreeMap<OsString, OsString>,
    root: PathBuf,
}

impl Env {
    /// The environment of this process, as it is now.
    pub fn from_process() -> Self {
        std::env::vars_os().collect()
    }

    /// The value, whatever bytes it holds. An empty one is as good as none: shells write
    /// `${NAME:-default}`.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        let value = self.vars.get(OsStr::new(name))?;
        (!value.is_empty()).then_some(value)
    }

    /// The value, an empty one too: where `NAME=""` is said on purpose and means "off".
    pub fn given(&self, name: &str) -> Option<&OsStr> {
        self.vars.get(OsStr::new(name)).map(OsString::as_os_str)
    }

    /// The value as text; `None` also when it is not UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.to_str()
    }

    /// The value byte for byte.
    pub fn bytes(&self, name: &str) -> Option<&[u8]> {
        self.get(name).map(OsStr::as_bytes)
    }

    /// The value as a path.
    pub fn path(&self, name: &str) -> Option<&Path> {
        self.get(name).map(Path::new)
    }

    /// Sets or replaces a variable.
    pub fn set(&mut self, name: impl Into<OsString>, value: impl Into<OsString>) {
        self.vars.insert(name.into(), value.into());
    }

    /// Removes a variable.
    pub fn remove(&mut self, name: &str) {
        self.vars.remove(OsStr::new(name));
    }

    /// All variables, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.vars
            .iter()
            .map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// Where absolute paths of the system (`/sys/class/dmi`) begin instead of at `/`.
    #[must_use]
    pub fn with_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = root.into();
        self
    }

    /// A fixed path of the system, given without its leading `/`.
    pub fn system_path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }
}

impl<K: Into<OsString>, V: Into<OsString>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(vars: I) -> Self {
        Self {
            vars: vars
                .into_iter()
                .map(|(name, value)| (name.into(), value.into()))
                .collect(),
            root: PathBuf::from("/"),
        }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.vars.keys()).finish()
    }
}
