//! A Fly Machine: where it is, and what its processes find in their environment.

use std::net::Ipv6Addr;

/// The two regions of the lab, and the part of their hosts' addresses that differs.
pub const REGIONS: [(&str, u16); 2] = [("sea", 0xac2), ("ewr", 0xab2)];

/// An app as one deployment makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// `FLY_APP_NAME`.
    pub name: &'static str,
    /// The end of the image's tag: `01H3N1Z2K0` of `registry.fly.io/hello-elixir:deployment-01H3N1Z2K0`.
    pub release: &'static str,
    /// The secret `RELEASE_COOKIE`.
    pub cookie: &'static str,
}

impl App {
    /// The guide's own.
    pub const fn hello() -> Self {
        Self {
            name: "hello-elixir",
            release: "01H3N1Z2K0",
            cookie: "interop-hello-0123456789-abcdef",
        }
    }

    /// The same app with another image.
    #[must_use]
    pub const fn with_release(mut self, release: &'static str) -> Self {
        self.release = release;
        self
    }
}

/// One machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Its number in the lab.
    pub n: u8,
    /// Fly's name for it.
    pub id: String,
    /// Where it is.
    pub region: &'static str,
    /// Its address in the private network.
    pub ip: Ipv6Addr,
    /// What runs there.
    pub app: App,
    /// Whether it is started, and so in the DNS.
    pub runs: bool,
}

/// The process group of an app without `[processes]`.
pub(super) const GROUP: &str = "app";

impl Machine {
    pub(super) fn new(n: u8, (region, host): (&'static str, u16), app: &App) -> Self {
        let machine = 0x4b00 + u16::from(n);
        Self {
            n,
            id: format!("6e82dd00f756{n:02x}"),
            region,
            ip: Ipv6Addr::new(0xfdaa, 0, 0x1da8, 0xa7b, host, 0xf901, machine, 2),
            app: app.clone(),
            runs: false,
        }
    }

    /// The node's name, as the guide's line makes it.
    pub fn node(&self) -> String {
        format!("{}-{}@{}", self.app.name, self.app.release, self.ip)
    }

    /// What Fly puts into the environment, the secret, and `[env]` of the guide's `fly.toml`.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let App {
            name,
            release,
            cookie,
        } = self.app;
        vec![
            ("FLY_APP_NAME", name.to_owned()),
            (
                "FLY_IMAGE_REF",
                format!("registry.fly.io/{name}:deployment-{release}"),
            ),
            ("FLY_MACHINE_ID", self.id.clone()),
            ("FLY_PRIVATE_IP", self.ip.to_string()),
            ("FLY_PROCESS_GROUP", GROUP.to_owned()),
            ("FLY_REGION", self.region.to_owned()),
            ("PRIMARY_REGION", REGIONS[0].0.to_owned()),
            ("DNS_CLUSTER_QUERY", format!("{name}.internal")),
            ("RELEASE_COOKIE", cookie.to_owned()),
        ]
    }
}
