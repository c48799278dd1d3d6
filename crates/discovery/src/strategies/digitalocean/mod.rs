//! `digitalocean`: the Droplets of an account, by tag, name, region or VPC. What libcluster_droplet
//! calls `Cluster.Strategy.Droplet`, with its options and defaults.

mod api;
mod listing;
mod own;

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use serde::Deserialize;
use toml::Table;
use trunkline_reconcile::evidence::Kind;

use super::options::{self, INTERVAL};
use super::{Place, Sources, Strategy};
use crate::config::{self, BuildCx, ConfigError, Field, Millis, Secret};
use crate::http;
use crate::naming::Naming;
use crate::polling::{DEFAULT_INTERVAL, Polling};
use crate::port_mapper::Learner;
use crate::source::BuiltSource;
use listing::{Droplets, Wanted};

pub(super) const STRATEGY: Strategy = Strategy {
    name: "digitalocean",
    modules: &["Cluster.Strategy.Droplet"],
    summary: "the Droplets of a DigitalOcean account",
    fields: &[
        Field::new("token", TOKEN, "the API token, with the scope droplet:read")
            .required()
            .secret()
            .example(r#"{ env = "DIGITALOCEAN_TOKEN" }"#),
        Field::new(
            "network",
            "\"private\" or \"public\"",
            "which addresses are in the nodes' names",
        )
        .default(r#""private""#),
        Field::new(
            "ipv6",
            "true or false",
            "whether these are IPv6 addresses; needs network = \"public\"",
        )
        .default("false"),
        Field::new(
            "tag_name",
            "a tag",
            "only Droplets with this tag; not together with name",
        )
        .example(r#""web""#),
        Field::new(
            "name",
            "a Droplet's name",
            "only Droplets with this name; not together with tag_name",
        )
        .example(r#""web-1""#),
        Field::new(
            "region",
            "a region's slug, \"nyc3\"",
            "only Droplets in this region",
        )
        .example(r#""nyc3""#),
        Field::new("vpc_uuid", "a VPC's UUID", "only Droplets in this VPC")
            .example(r#""760e09ef-dc84-11e8-981e-3cfdfeaae000""#),
        Field::new(
            "node_basename",
            NAMING,
            "the part of the nodes' names before the @; by default each Droplet's name",
        )
        .example(r#""my_app""#),
        Field::new(
            "polling_interval",
            INTERVAL,
            "the time between two listings",
        )
        .default(r#""5s""#),
        Field::new("api_url", URL, "where the API is").default(r#""https://api.digitalocean.com""#),
        Field::new(
            "api_ca_file",
            "a PEM file",
            "trust only the CAs in this file, not those of the web and of the system",
        )
        .example(r#""/etc/ssl/certs/ca-certificates.crt""#),
        Field::new("metadata_url", URL, "where a Droplet asks who it is")
            .default(r#""http://169.254.169.254/metadata/v1""#),
    ],
    retired: &[],
    example: "token = \"dop_v1_0123456789abcdef\"\ntag_name = \"web\"\n",
    build,
};

const TOKEN: &str = config::SECRET;
const NAMING: &str = "a name, \"app\", a template over labels, \"{tags.role}\", or \"learn\" to ask each Droplet's EPMD";

/// The labels that both the API and the metadata service know, so that a Droplet's own node can be
/// named by them.
pub const LABELS: &[&str] = &["name", "id", "region", "tags.*"];
const URL: &str = "an address with http or https";

/// All pages of a listing together. A thousand Droplets are five pages.
const LISTING: Duration = Duration::from_secs(60);

/// The options of `digitalocean`.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    /// Sent to `api_url` only; over plain http only to a loopback address.
    token: Option<Secret>,
    /// Default private.
    network: Network,
    /// Default false. A Droplet has no private IPv6 address.
    ipv6: bool,
    /// The API filters; excludes `name`.
    tag_name: Option<String>,
    /// The API filters, ignoring case; excludes `tag_name`.
    name: Option<String>,
    /// A slug; we filter.
    region: Option<String>,
    /// We filter.
    vpc_uuid: Option<String>,
    /// Default: the Droplet's name, made a basename.
    node_basename: Option<String>,
    /// Default 5 s.
    polling_interval: Millis,
    /// Default `https://api.digitalocean.com`.
    api_url: String,
    /// Default: the CAs of the web and of the system.
    api_ca_file: Option<PathBuf>,
    /// Default `http://169.254.169.254/metadata/v1`.
    metadata_url: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            token: None,
            network: Network::Private,
            ipv6: false,
            tag_name: None,
            name: None,
            region: None,
            vpc_uuid: None,
            node_basename: None,
            polling_interval: Millis(DEFAULT_INTERVAL),
            api_url: "https://api.digitalocean.com".into(),
            api_ca_file: None,
            metadata_url: "http://169.254.169.254/metadata/v1".into(),
        }
    }
}

/// Which of a Droplet's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Network {
    Private,
    Public,
}

fn build(place: &Place<'_>, table: &Table, cx: &BuildCx) -> Result<Sources, ConfigError> {
    let config: Config = config::read(place.path, table, STRATEGY.fields)?;
    check(place.path, &config)?;
    let interval = options::interval(place.path, config.polling_interval)?;
    let naming = naming(place.path, config.node_basename.as_deref())?;
    let learner = match naming {
        Some(Naming::Learn) => Some(Learner::new(cx, place.path)?.visible_only(|_| true)),
        _ => None,
    };
    let secret = config.token.as_ref();
    let secret = secret.ok_or_else(|| ConfigError::missing(place.path, "token", TOKEN))?;
    let api = url(place.path, "api_url", &config.api_url)?;
    if !http::may_carry_token(&api) {
        let allowed =
            "https, or http to a loopback address: the token would be readable on its way";
        return Err(ConfigError::bad_value(
            place.path,
            "api_url",
            &format!("{:?}", config.api_url),
            allowed,
        ));
    }
    let metadata = url(place.path, "metadata_url", &config.metadata_url)?;
    let token = secret.token(&cx.env, place.path, "token")?;
    let resolver = cx.resolver.clone().unwrap_or_default();
    let droplets = Droplets {
        api: api::Api {
            client: client(place.path, config.api_ca_file.clone(), cx)?,
            first: first_page(&api, &config),
            token,
            filter: filter(&config),
        },
        own: own::Own::new(&metadata, resolver).map_err(|error| {
            ConfigError::new(
                place.path,
                None,
                error.to_string(),
                "this is a fault of trunkline, please report it",
            )
        })?,
        wanted: Wanted {
            public: config.network == Network::Public,
            ipv6: config.ipv6,
            region: config.region,
            vpc_uuid: config.vpc_uuid,
            naming,
        },
        learner,
    };
    // What an EPMD lists is complete until it restarts: see local_epmd.
    let kind = match droplets.learner {
        Some(_) => Kind::Sampling,
        None => Kind::Authoritative,
    };
    let polling = Polling::new(droplets, kind, interval).timeout(LISTING);
    let id = format!("{}/droplets", place.topology);
    Ok(Sources::Ask(vec![BuiltSource::new(id, polling)]))
}

fn naming(path: &str, text: Option<&str>) -> Result<Option<Naming>, ConfigError> {
    let Some(text) = text else { return Ok(None) };
    Naming::parse(text, LABELS).map(Some).map_err(|why| {
        let allowed = format!("{NAMING}: {why}");
        ConfigError::bad_value(path, "node_basename", &format!("{text:?}"), &allowed)
    })
}

/// What is wrong before anything is sent.
fn check(path: &str, config: &Config) -> Result<(), ConfigError> {
    if config.tag_name.is_some() && config.name.is_some() {
        let what = "tag_name and name are both set, and the API takes one of them";
        return Err(ConfigError::new(
            path,
            Some("tag_name"),
            what,
            "remove one of them",
        ));
    }
    if config.ipv6 && config.network == Network::Private {
        let what =
            "ipv6 = true with network = \"private\": Droplets have no private IPv6 addresses";
        let cure = "set network = \"public\", or ipv6 = false";
        return Err(ConfigError::new(path, Some("ipv6"), what, cure));
    }
    options::filter(path, "tag_name", config.tag_name.as_deref())?;
    options::filter(path, "name", config.name.as_deref())?;
    options::filter(path, "region", config.region.as_deref())?;
    options::filter(path, "vpc_uuid", config.vpc_uuid.as_deref())
}

fn url(path: &str, key: &str, text: &str) -> Result<Url, ConfigError> {
    http::parse_url(text).map_err(|why| {
        ConfigError::bad_value(path, key, &format!("{text:?}"), &format!("{URL}: {why}"))
    })
}

fn client(path: &str, ca_file: Option<PathBuf>, cx: &BuildCx) -> Result<http::Client, ConfigError> {
    let defaults = http::Options::default();
    let options = http::Options {
        ca_file,
        resolver: cx.resolver.clone().unwrap_or_default(),
        connect_timeout: defaults.connect_timeout.min(cx.timeout),
        timeout: cx.timeout,
        ..defaults
    };
    http::Client::new(options).map_err(|error| {
        let cure = "name a file with the CA's certificate in PEM form";
        ConfigError::new(
            path,
            Some("api_ca_file"),
            format!("api_ca_file: {error}"),
            cure,
        )
    })
}

/// The first page, 200 at a time: the most that the API gives, ten times its default.
fn first_page(api: &Url, config: &Config) -> Url {
    let mut url = api.clone();
    let path = format!("{}/v2/droplets", api.path().trim_end_matches('/'));
    url.set_path(&path);
    let mut query = url.query_pairs_mut();
    query.append_pair("per_page", "200");
    if let Some(tag) = &config.tag_name {
        query.append_pair("tag_name", tag);
    }
    if let Some(name) = &config.name {
        query.append_pair("name", name);
    }
    drop(query);
    url
}

/// The API's filter, as errors name it.
fn filter(config: &Config) -> String {
    match (&config.tag_name, &config.name) {
        (Some(tag), _) => format!("tag_name = {tag:?}"),
        (None, Some(name)) => format!("name = {name:?}"),
        (None, None) => "no filter".into(),
    }
}
