//! Which variables a release needs, given what is already there.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStringExt as _;

use trunkline_discovery::platform::{Env, FoundCookie, Platform, fly};
use trunkline_proto::{NameForm, NodeName};

use super::args::{ReleaseArgs, Tool};
use super::{flags, vm_args};
use crate::failure::Failure;

/// Where flags of `erl` may stand, beside vm.args.
pub(super) const FLAG_VARIABLES: [&str; 4] = [
    "ERL_AFLAGS",
    "ERL_FLAGS",
    "ERL_ZFLAGS",
    "ELIXIR_ERL_OPTIONS",
];

/// What goes into the exports.
pub(crate) struct Plan<'a> {
    /// The environment as it is: what is set there wins, unless forced.
    pub(crate) env: &'a Env,
    /// The node's name.
    pub(crate) node: &'a NodeName,
    /// Whether [`node`](Self::node) replaces a `RELEASE_NODE` that is there: the flag was given.
    pub(crate) named_by_flag: bool,
    /// Where this runs, when that is known.
    pub(crate) platform: Option<Platform>,
    /// The cookie, when it is to be among them.
    pub(crate) cookie: Option<&'a FoundCookie>,
    /// The operator's flags.
    pub(crate) args: &'a ReleaseArgs,
}

/// Variables in the order in which they are printed. Applying them to an environment and making
/// them again from it gives the same ones.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Exports {
    /// For every command.
    pub(crate) always: Vec<(&'static str, OsString)>,
    /// For commands that start a node only.
    pub(crate) on_start: Option<OnStart>,
}

/// A variable that other commands of the release must not see: with a fixed port in it `bin/app
/// rpc` fails with `eaddrinuse`, because the running node has that port.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct OnStart {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its value for a command that starts a node.
    pub(crate) value: OsString,
    /// Its value for others, when they would inherit the flag from the node itself.
    pub(crate) otherwise: Option<OsString>,
}

impl Plan<'_> {
    /// Works the variables out. Conflicts that we leave alone are logged.
    pub(crate) fn exports(&self) -> Result<Exports, Failure> {
        let erl_flags = self.erl_flags();
        let mut always = Vec::new();
        if self.args.tool != Tool::Erl {
            always.push(("RELEASE_DISTRIBUTION", self.distribution()));
            always.push(("RELEASE_NODE", self.release_node()));
        }
        if let Some(cookie) = self.cookie {
            always.push(("RELEASE_COOKIE", self.secret_cookie(cookie)?));
        }
        if self.args.tool == Tool::Relx {
            always.push((
                "RELX_REPLACE_OS_VARS",
                self.kept("RELX_REPLACE_OS_VARS", "true"),
            ));
        }
        if let Some(flags) = erl_flags {
            always.push(("ERL_AFLAGS", flags));
        }
        if self.on_fly() {
            always.extend(self.fly());
        }
        if let Some(port) = self.args.epmd_port {
            always.push((
                "ERL_EPMD_PORT",
                self.kept("ERL_EPMD_PORT", &port.to_string()),
            ));
        }
        let on_start = self
            .args
            .dist_port
            .map(|port| self.dist_port(port, &always));
        Ok(Exports { always, on_start })
    }

    fn on_fly(&self) -> bool {
        self.platform == Some(Platform::Fly)
    }

    /// What applications read on Fly: Ecto, that its private network is IPv6, and `dns_cluster`,
    /// whom to ask for. `fly.toml` may have said it, an empty text for "off" too: then it stays.
    fn fly(&self) -> impl Iterator<Item = (&'static str, OsString)> {
        let app = self.env.text("FLY_APP_NAME");
        let wanted = [
            ("ECTO_IPV6", Some("true".to_owned())),
            ("DNS_CLUSTER_QUERY", app.map(fly::query)),
        ];
        wanted.into_iter().filter_map(|(name, value)| {
            let there = self.env.given(name).map(OsStr::to_owned);
            let there = there.filter(|_| !self.args.force || value.is_none());
            Some((name, there.or_else(|| value.map(OsString::from))?))
        })
    }

    /// What is in the environment, else `value`; said when they differ.
    fn kept(&self, name: &'static str, value: &str) -> OsString {
        match self.env.get(name) {
            Some(there) if !self.args.force => {
                if there != OsStr::new(value) {
                    let there = there.to_string_lossy();
                    tracing::warn!(
                        "{name} is already {there} and stays so, {value} is not used · \
                         environment · unset it, or add --force"
                    );
                }
                there.to_owned()
            }
            _ => value.into(),
        }
    }

    fn release_node(&self) -> OsString {
        match self.env.get("RELEASE_NODE") {
            Some(there) if !self.args.force && !self.named_by_flag => there.to_owned(),
            _ => self.node.as_str().into(),
        }
    }

    /// `name` for a name with an address or a domain in it, which all platforms give; `sname` for
    /// one that an operator chose short, since such a node refuses `-name`.
    fn distribution(&self) -> OsString {
        let form = match self.node.form() {
            NameForm::Long => "name",
            NameForm::Short => "sname",
        };
        self.kept("RELEASE_DISTRIBUTION", form)
    }

    fn secret_cookie(&self, cookie: &FoundCookie) -> Result<OsString, Failure> {
        if self.args.tool == Tool::Erl {
            return Err(Failure::usage(
                "erl takes a cookie from its arguments or a file, and arguments show in ps",
                "--with-cookie",
                "write it to $HOME/.erlang.cookie with mode 0400",
            ));
        }
        Ok(OsString::from_vec(cookie.secret_cookie.expose().to_vec()))
    }

    /// `ERL_AFLAGS` with what this node needs: `-proto_dist inet6_tcp` for an IPv6 address (and on
    /// Fly for a host name, whose private network has only IPv6), and for bare `erl` the name. `None`
    /// when nothing is needed and nothing is there.
    fn erl_flags(&self) -> Option<OsString> {
        let there = self.env.get("ERL_AFLAGS");
        let mut text = there.map(OsStr::to_owned).unwrap_or_default();
        if self.args.tool == Tool::Erl {
            text = self.with_name(text);
        }
        let ipv6 = self
            .node
            .ip()
            .map_or_else(|| self.on_fly(), |ip| ip.is_ipv6());
        match self.flag_there("-proto_dist") {
            // Two of them, and OTP 25 silently listens on IPv4.
            Some(module) if ipv6 && !module.starts_with("inet6") => tracing::warn!(
                "{} needs IPv6, but -proto_dist is {module} and stays so · ERL_AFLAGS · use \
                 inet6_tcp, or a name with an IPv4 address",
                self.node
            ),
            None if ipv6 => text = flags::appended(&text, "-proto_dist inet6_tcp"),
            _ => {}
        }
        let wanted = ipv6 || self.args.tool == Tool::Erl;
        (wanted && !text.is_empty()).then_some(text)
    }

    fn with_name(&self, text: OsString) -> OsString {
        let (flag, node) = match self.node.form() {
            NameForm::Long => ("-name", self.node),
            NameForm::Short => ("-sname", self.node),
        };
        let lossy = text.to_string_lossy();
        let there = ["-name", "-sname"]
            .iter()
            .find_map(|flag| flags::value_of(&lossy, flag));
        if let Some(there) = there {
            if there.contains('@') && there != self.node.as_str() {
                tracing::warn!(
                    "the node is already named {there} and stays so, {} is not used · ERL_AFLAGS · \
                     remove {flag} there",
                    self.node
                );
            }
            return text;
        }
        flags::appended(&text, &format!("{flag} {node}"))
    }

    /// The value of a flag that stands anywhere where the node will see it.
    fn flag_there(&self, flag: &str) -> Option<String> {
        let in_variables = FLAG_VARIABLES.into_iter().find_map(|variable| {
            let text = self.env.get(variable)?.to_string_lossy();
            flags::value_of(&text, flag).map(str::to_owned)
        });
        in_variables.or_else(|| flags::value_of(&vm_args::read(self.env), flag).map(str::to_owned))
    }

    /// The fixed port. Elixir's scripts read `ELIXIR_ERL_OPTIONS`, the others only `erl`'s own.
    fn dist_port(&self, port: u16, always: &[(&'static str, OsString)]) -> OnStart {
        let name = match self.args.tool {
            Tool::Mix => "ELIXIR_ERL_OPTIONS",
            Tool::Erl | Tool::Relx => "ERL_AFLAGS",
        };
        let ours = format!("-kernel inet_dist_listen_min {port} inet_dist_listen_max {port}");
        let there = always
            .iter()
            .find(|(variable, _)| *variable == name)
            .map(|(_, value)| value.as_os_str())
            .or_else(|| self.env.get(name))
            .map(OsStr::to_owned)
            .unwrap_or_default();
        let otherwise = flags::without(&there, &ours).map(OsStr::to_owned);
        let value = match self.listen_min() {
            Some(_) if otherwise.is_some() => there,
            Some(other) => {
                if other != port.to_string() {
                    tracing::warn!(
                        "the distribution port is already {other} and stays so, {port} is not \
                         used · environment or vm.args · remove inet_dist_listen_min there"
                    );
                }
                there
            }
            None => flags::appended(&there, &ours),
        };
        OnStart {
            name,
            value,
            otherwise,
        }
    }

    /// The lower end of the port range that is already set somewhere.
    fn listen_min(&self) -> Option<String> {
        self.flag_there("inet_dist_listen_min")
    }
}

impl Exports {
    /// Puts them into an environment, as a shell would that evaluates them before `RELEASE_COMMAND`
    /// starts a node.
    pub(crate) fn apply(&self, env: &mut Env) {
        for (name, value) in &self.always {
            env.set(*name, value);
        }
        if let Some(on_start) = &self.on_start {
            env.set(on_start.name, &on_start.value);
        }
    }

    /// The same without the cookie: for a file.
    pub(crate) fn without_cookie(&self) -> Self {
        let mut exports = self.clone();
        exports.always.retain(|(name, _)| *name != "RELEASE_COOKIE");
        exports
    }
}
