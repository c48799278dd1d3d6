//! Where we are, and what that means when nothing is configured.

use std::fmt;
use std::str::FromStr;

use super::Env;

/// A platform that can tell a node its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Platform {
    /// A Fly Machine: its environment says all.
    Fly,
    /// A pod. Known, not yet served.
    Kubernetes,
    /// A DigitalOcean Droplet: the metadata service says all.
    Droplet,
}

impl Platform {
    /// All of them, in the order in which they are looked for.
    pub const ALL: [Self; 3] = [Self::Fly, Self::Kubernetes, Self::Droplet];

    /// The word on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fly => "fly",
            Self::Kubernetes => "kubernetes",
            Self::Droplet => "droplet",
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.as_str() == text)
            .ok_or_else(|| "the platforms are fly, droplet".to_owned())
    }
}

/// Which of a Droplet's networks the names are made of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Network {
    /// The VPC. IPv4 only.
    #[default]
    Private,
    /// The internet.
    Public,
}

impl Network {
    /// The word in configuration and in the metadata service's paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Private => "private",
            Self::Public => "public",
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Private, Self::Public]
            .into_iter()
            .find(|network| network.as_str() == text)
            .ok_or_else(|| "the networks are private, public".to_owned())
    }
}

/// Where we are, and how that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Detected {
    /// The platform.
    pub platform: Platform,
    /// What showed it: a variable's name, or the file.
    pub because: &'static str,
}

/// The platform that this environment shows, most certain sign first. `DIGITALOCEAN_TOKEN` counts
/// as one: whoever gives it to a host without saying more means the Droplets' own names.
pub fn detect(env: &Env) -> Option<Detected> {
    let by_variable = [
        (Platform::Fly, "FLY_APP_NAME"),
        (Platform::Kubernetes, "KUBERNETES_SERVICE_HOST"),
        (Platform::Droplet, "DIGITALOCEAN_TOKEN"),
    ];
    let seen = by_variable
        .into_iter()
        .find(|(_, variable)| env.get(variable).is_some());
    let (platform, because) = match seen {
        Some(seen) => seen,
        None if is_droplet(env) => (Platform::Droplet, "/sys/class/dmi/id/sys_vendor"),
        None => return None,
    };
    Some(Detected { platform, because })
}

/// Whether the machine's maker is DigitalOcean. Costs no request, and needs no right.
fn is_droplet(env: &Env) -> bool {
    let path = env.system_path("sys/class/dmi/id/sys_vendor");
    std::fs::read_to_string(path).is_ok_and(|vendor| vendor.trim() == "DigitalOcean")
}

/// The strategy that is used when nothing is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StrategyChoice {
    /// `fly`: the private DNS of the app. The strategy reads `DNS_CLUSTER_QUERY` itself.
    Fly,
    /// `dns` with this query.
    Dns {
        /// The DNS name to ask for; empty when `DNS_CLUSTER_QUERY` was emptied on purpose, which
        /// switches discovery off.
        query: String,
    },
    /// `kubernetes`, which is not built yet.
    Kubernetes,
    /// `digitalocean` with `DIGITALOCEAN_TOKEN`.
    DigitalOcean,
    /// `epmd`: whoever the local port mapper knows.
    LocalEpmd,
}

/// What was chosen, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DefaultStrategy {
    /// What was chosen.
    pub choice: StrategyChoice,
    /// What decided it: a variable's name, or that there is none.
    pub because: &'static str,
}

/// What a configuration without topologies means here (design §6).
pub fn default_strategy(env: &Env) -> DefaultStrategy {
    let query = env.text("DNS_CLUSTER_QUERY").map(str::to_owned);
    let (choice, because) = if env.get("FLY_APP_NAME").is_some() {
        (StrategyChoice::Fly, "FLY_APP_NAME")
    } else if let Some(query) = query {
        (StrategyChoice::Dns { query }, "DNS_CLUSTER_QUERY")
    } else if env.get("KUBERNETES_SERVICE_HOST").is_some() {
        (StrategyChoice::Kubernetes, "KUBERNETES_SERVICE_HOST")
    } else if env.get("DIGITALOCEAN_TOKEN").is_some() {
        (StrategyChoice::DigitalOcean, "DIGITALOCEAN_TOKEN")
    } else if env.given("DNS_CLUSTER_QUERY").is_some() {
        let query = String::new();
        (StrategyChoice::Dns { query }, "DNS_CLUSTER_QUERY")
    } else {
        (StrategyChoice::LocalEpmd, "no variable names a platform")
    };
    DefaultStrategy { choice, because }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(vars: &[(&str, &str)]) -> Env {
        vars.iter().copied().collect()
    }

    #[test]
    fn variables_decide_in_order() {
        let all = [
            ("FLY_APP_NAME", "hello"),
            ("KUBERNETES_SERVICE_HOST", "10.0.0.1"),
            ("DIGITALOCEAN_TOKEN", "t"),
        ];
        let seen =
            |skip: usize| detect(&env(&all[skip..]).with_root("/nowhere")).map(|d| d.platform);
        assert_eq!(seen(0), Some(Platform::Fly));
        assert_eq!(seen(1), Some(Platform::Kubernetes));
        assert_eq!(seen(2), Some(Platform::Droplet));
        assert_eq!(seen(3), None);
    }

    #[test]
    fn the_machines_maker_decides_last() {
        let root = tempfile::tempdir().unwrap();
        let dmi = root.path().join("sys/class/dmi/id");
        std::fs::create_dir_all(&dmi).unwrap();
        std::fs::write(dmi.join("sys_vendor"), "DigitalOcean\n").unwrap();
        let seen = detect(&env(&[]).with_root(root.path())).unwrap();
        assert_eq!(seen.platform, Platform::Droplet);
        std::fs::write(dmi.join("sys_vendor"), "QEMU\n").unwrap();
        assert_eq!(detect(&env(&[]).with_root(root.path())), None);
    }

    #[test]
    fn default_strategies() {
        let choice = |vars: &[(&str, &str)]| default_strategy(&env(vars)).choice;
        let off = StrategyChoice::Dns { query: "".into() };
        for query in [None, Some("q.internal"), Some("")] {
            let query = query.map(|query| ("DNS_CLUSTER_QUERY", query));
            let vars: Vec<_> = [("FLY_APP_NAME", "hello")]
                .into_iter()
                .chain(query)
                .collect();
            assert_eq!(choice(&vars), StrategyChoice::Fly, "{vars:?}");
        }
        assert_eq!(choice(&[("DNS_CLUSTER_QUERY", "")]), off);
        assert_eq!(
            choice(&[("DNS_CLUSTER_QUERY", ""), ("DIGITALOCEAN_TOKEN", "t")]),
            StrategyChoice::DigitalOcean
        );
        assert_eq!(
            choice(&[("DNS_CLUSTER_QUERY", "q"), ("DIGITALOCEAN_TOKEN", "t")]),
            StrategyChoice::Dns { query: "q".into() }
        );
        assert_eq!(
            choice(&[
                ("KUBERNETES_SERVICE_HOST", "h"),
                ("DIGITALOCEAN_TOKEN", "t")
            ]),
            StrategyChoice::Kubernetes
        );
        assert_eq!(
            choice(&[("DIGITALOCEAN_TOKEN", "t")]),
            StrategyChoice::DigitalOcean
        );
        assert_eq!(choice(&[("FLY_APP_NAME", "")]), StrategyChoice::LocalEpmd);
    }
}
