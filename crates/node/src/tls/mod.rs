//! Distribution over TLS, as `-proto_dist inet_tls` speaks it.
//!
//! [`Tls`] says what to show and whom to trust; a node that has one ([`NodeBuilder::tls`]) speaks
//! nothing else. Ciphers, versions and the check of host names are OTP's: see `docs/guides/tls.md`.
//!
//! [`NodeBuilder::tls`]: crate::NodeBuilder::tls

mod chain;
mod config;
mod connect;
mod fault;
mod files;
mod names;
mod options;
mod plain;
mod terms;
mod verify;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use rustls::{ClientConfig, ServerConfig};
use thiserror::Error;

pub(crate) use self::fault::of_io;
use self::files::Stamp;
pub(crate) use self::names::Names;
use self::options::{HostCheck, Role, Roles};

/// What to show to others and whom to trust, for both directions.
///
/// The files are read again when they have changed: a connection made after a renewal shows the new
/// certificate. While new files cannot be used, the last good ones are.
#[derive(Clone)]
pub struct Tls(Arc<Inner>);

struct Inner {
    /// Where it is written down, for errors.
    origin: String,
    roles: Roles,
    client: Mutex<Loaded<ClientConfig>>,
    server: Mutex<Loaded<ServerConfig>>,
}

/// The options, not the keys.
impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Tls").field(&self.0.roles).finish()
    }
}

/// What was made of files, and what they looked like then.
struct Loaded<C> {
    stamps: Vec<Stamp>,
    /// They were not in the middle of a change: one that follows shows in them.
    settled: bool,
    config: Option<Arc<C>>,
}

impl<C> Default for Loaded<C> {
    fn default() -> Self {
        Self {
            stamps: Vec::new(),
            settled: false,
            config: None,
        }
    }
}

/// Why TLS cannot be used: the file and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{file}: {what}")]
pub struct TlsError {
    file: String,
    what: String,
}

impl TlsError {
    fn new(file: &Path, what: impl Into<String>) -> Self {
        Self {
            file: file.display().to_string(),
            what: what.into(),
        }
    }
}

/// Options for [`Tls`], one certificate for both directions. Paths are used as they are; everything
/// that OTP's options can say beyond these needs [`Tls::from_optfile`].
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TlsBuilder {
    role: Role,
    mutual: bool,
}

impl TlsBuilder {
    /// The authorities (PEM) that sign the peers' certificates. Default: none, which goes together
    /// with [`verify`](Self::verify)`(false)` only.
    pub fn cacertfile(mut self, path: impl Into<PathBuf>) -> Self {
        self.role.cacertfile = Some(path.into());
        self
    }

    /// The certificate (PEM) that is shown, with its chain. Needed to be called, and where others
    /// demand one of their callers.
    pub fn certfile(mut self, path: impl Into<PathBuf>) -> Self {
        self.role.certfile = Some(path.into());
        self
    }

    /// Its key (PEM: PKCS#8, PKCS#1 or SEC1, without a password). Default: in `certfile`.
    pub fn keyfile(mut self, path: impl Into<PathBuf>) -> Self {
        self.role.keyfile = Some(path.into());
        self
    }

    /// Whether nodes that are called must show a certificate of the authorities, with the host of
    /// their name in it. Default: yes.
    pub fn verify(mut self, verify: bool) -> Self {
        self.role.verify = Some(verify);
        self
    }

    /// Whether callers must show a certificate of the authorities. Default: no, as OTP; the cookie
    /// is what admits them.
    pub fn mutual(mut self, mutual: bool) -> Self {
        self.mutual = mutual;
        self
    }

    /// The name that certificates of called nodes must hold, and that they are asked for. Default:
    /// the host part of the called node's name. `None`: any.
    pub fn server_name(mut self, name: Option<&str>) -> Self {
        self.role.host = match name {
            Some(name) => HostCheck::Name(name.to_owned()),
            None => HostCheck::Off,
        };
        self
    }

    /// Reads the files.
    ///
    /// # Errors
    /// When they cannot be used.
    pub fn build(self) -> Result<Tls, TlsError> {
        let server = Role {
            verify: Some(self.mutual),
            fail_if_no_peer_cert: self.mutual,
            ..self.role.clone()
        };
        let roles = Roles {
            server: server.certfile.is_some().then_some(server),
            client: Some(Role {
                verify: Some(self.role.verify.unwrap_or(true)),
                ..self.role
            }),
            unused: Vec::new(),
        };
        Tls::new("the TLS options".to_owned(), roles)
    }
}

impl Tls {
    /// Options one by one.
    pub fn builder() -> TlsBuilder {
        TlsBuilder::default()
    }

    /// OTP's own options, from the file that `-ssl_dist_optfile` names:
    /// `[{server, […]}, {client, […]}].` It is read once; the files that it names are read again
    /// when they change.
    ///
    /// # Errors
    /// When the file is none such, names an option that is not known or cannot be followed without
    /// trusting others than it says, or names files that cannot be used.
    pub fn from_optfile(path: impl AsRef<Path>) -> Result<Self, TlsError> {
        let path = path.as_ref();
        let roles = options::read(path)?;
        for option in &roles.unused {
            tracing::info!("not used: {option} · {} · nothing", path.display());
        }
        Self::new(path.display().to_string(), roles)
    }

    /// What cannot be used at all is said at once; what is missing for one direction when it is
    /// asked for.
    fn new(origin: String, roles: Roles) -> Result<Self, TlsError> {
        let tls = Self(Arc::new(Inner {
            origin,
            roles,
            client: Mutex::default(),
            server: Mutex::default(),
        }));
        if tls.0.roles.client.is_some() {
            tls.client()?;
        }
        if tls.0.roles.server.is_some() {
            tls.server()?;
        }
        Ok(tls)
    }

    /// For calling others.
    fn client(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let role = self.role(self.0.roles.client.as_ref(), "client")?;
        self.load(role, &self.0.client, config::client)
    }

    /// Whether others can call.
    pub(crate) fn usable_for_callers(&self) -> Result<(), TlsError> {
        self.server().map(drop)
    }

    /// For being called.
    fn server(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let role = self.role(self.0.roles.server.as_ref(), "server")?;
        self.load(role, &self.0.server, config::server)
    }

    fn role<'a>(&self, role: Option<&'a Role>, name: &str) -> Result<&'a Role, TlsError> {
        role.ok_or_else(|| {
            let what = match name {
                "client" => "has no section client: nobody can be called",
                _ => "has no certificate for a server: nobody can be let in",
            };
            self.error(what)
        })
    }

    /// What was made of the files, anew when one of them has changed. Looking costs one `stat` per
    /// file; what is read is a few kilobytes.
    fn load<C>(
        &self,
        role: &Role,
        loaded: &Mutex<Loaded<C>>,
        make: impl Fn(&Role) -> Result<C, String>,
    ) -> Result<Arc<C>, TlsError> {
        let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemTime::now();
        let files = [&role.cacertfile, &role.certfile, &role.keyfile];
        let stamps: Vec<Stamp> = files
            .into_iter()
            .flatten()
            .map(|path| Stamp::of(path))
            .collect();
        let same = loaded.stamps == stamps;
        if let Some(config) = &loaded.config
            && same
            && loaded.settled
        {
            return Ok(Arc::clone(config));
        }
        match (make(role), &loaded.config) {
            (Ok(config), _) => loaded.config = Some(Arc::new(config)),
            (Err(_), Some(_)) if same => {}
            (Err(why), Some(_)) => {
                let why = self.error(why);
                tracing::warn!(
                    "the new TLS files are not used: {why} · those before still are · correct them"
                );
            }
            (Err(why), None) => return Err(self.error(why)),
        }
        loaded.settled = stamps.iter().all(|stamp| stamp.is_settled(now));
        loaded.stamps = stamps;
        loaded
            .config
            .clone()
            .ok_or_else(|| self.error("nothing could be read"))
    }

    fn error(&self, what: impl Into<String>) -> TlsError {
        TlsError {
            file: self.0.origin.clone(),
            what: what.into(),
        }
    }

    /// Whose name a called node's certificate must hold, and whom to ask for.
    fn expected<'a>(&'a self, host: &'a str) -> &'a str {
        match self.0.roles.client.as_ref().map(|role| &role.host) {
            Some(HostCheck::Name(name)) => name,
            _ => host,
        }
    }

    /// Whether a caller's certificate must name a host of the allow-list, or its address.
    fn verifies_callers(&self) -> bool {
        let server = self.0.roles.server.as_ref();
        server.is_some_and(|role| role.verify_client)
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// The two ways by which a renewed file is found: it looks otherwise, or the last look came so
    /// soon after a change that another one may look the same.
    #[test]
    fn files_are_read_again_when_they_look_otherwise_or_were_just_changed() {
        let path = std::env::temp_dir().join(format!("trunkline-load-{}", std::process::id()));
        std::fs::write(&path, "a certificate").unwrap();
        let tls = Tls(Arc::new(Inner {
            origin: "a test".to_owned(),
            roles: Roles {
                server: None,
                client: None,
                unused: Vec::new(),
            },
            client: Mutex::default(),
            server: Mutex::default(),
        }));
        let role = Role {
            certfile: Some(path.clone()),
            ..Role::default()
        };
        let made = Cell::new(0);
        let loaded = Mutex::new(Loaded::default());
        // How often it was made, when the last look found this.
        let look = |settled: bool, same: bool| {
            let last = Stamp::of(if same { &path } else { Path::new("/") });
            {
                let mut loaded = loaded.lock().unwrap();
                (loaded.stamps, loaded.settled) = (vec![last], settled);
            }
            let make = |_: &Role| {
                made.set(made.get() + 1);
                Ok(made.get())
            };
            *tls.load(&role, &loaded, make).unwrap()
        };
        assert_eq!(look(true, true), 1, "the first time");
        assert_eq!(look(true, true), 1, "as it was");
        assert_eq!(look(true, false), 2, "it looks otherwise");
        assert_eq!(look(false, true), 3, "it was just changed");
        std::fs::remove_file(&path).unwrap();
    }
}
