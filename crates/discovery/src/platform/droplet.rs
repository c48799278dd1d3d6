//! A Droplet: what its metadata service says of it.
//!
//! The service answers on a link-local address, over plain http, with plain text. It prints IPv6
//! addresses in upper case and uncompressed where the API prints them canonical: what comes from
//! here is canonical.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use reqwest::Url;
use trunkline_proto::{Basename, NodeName};

use super::{Network, PlatformError};
use crate::http::{Client, Options, Reply, parse_url};
use crate::naming::{Naming, Template};

/// Where the metadata service of a Droplet answers.
pub const METADATA_URL: &str = "http://169.254.169.254/metadata/v1";

/// One request. The service is on the same host, it answers in a millisecond.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(1);
/// All requests together: a release that boots waits for them.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(5);
/// How often one question is asked: right after boot the link-local route may not be up.
const TRIES: u32 = 3;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// An address, a host name, or the tags; anything longer is no answer to these questions.
const MAX_BODY: usize = 16 * 1024;

/// The metadata service.
#[derive(Clone, Debug)]
pub struct Metadata {
    client: Client,
    base: Url,
}

/// What the service said, or that it knows no such thing (404).
enum Said {
    Text(String),
    Nothing,
}

impl Metadata {
    /// At `url`, or at [`METADATA_URL`]. Sends nothing yet.
    pub fn new(url: Option<&str>) -> Result<Self, PlatformError> {
        let text = url.unwrap_or(METADATA_URL).trim_end_matches('/');
        let base = parse_url(text).map_err(|why| PlatformError::BadMetadataUrl {
            url: text.to_owned(),
            why,
        })?;
        let client = Client::new(Options {
            connect_timeout: REQUEST_TIMEOUT,
            timeout: REQUEST_TIMEOUT,
            max_body: MAX_BODY,
            plain: base.scheme() == "http",
            ..Options::default()
        })
        .map_err(|error| PlatformError::Metadata {
            url: text.to_owned(),
            detail: format!("cannot be asked: {error}"),
        })?;
        Ok(Self { client, base })
    }

    /// The Droplet's id, by which a listing's own entry is recognised.
    pub async fn id(&self) -> Result<u64, PlatformError> {
        in_time(self, async {
            let text = self.required("id").await?;
            text.parse().map_err(|_| self.nonsense("id", &text))
        })
        .await
    }

    /// The Droplet's name.
    pub async fn hostname(&self) -> Result<String, PlatformError> {
        in_time(self, self.required("hostname")).await
    }

    /// Its first address on `network`. Droplets have no private IPv6: that is refused unasked.
    pub async fn address(&self, network: Network, ipv6: bool) -> Result<IpAddr, PlatformError> {
        in_time(self, self.find_address(network, ipv6)).await
    }

    /// `basename@address`; the basename is the Droplet's name unless one is given, or a template over the
    /// labels that its topology has.
    pub async fn node_name(
        &self,
        network: Network,
        ipv6: bool,
        naming: Option<&Naming>,
    ) -> Result<NodeName, PlatformError> {
        refuse_private_ipv6(network, ipv6)?;
        in_time(self, async {
            // Side by side, so that a silent service costs three seconds, not six.
            let (basename, ip) =
                tokio::try_join!(self.find_basename(naming), self.find_address(network, ipv6))?;
            Ok(NodeName::from_ip(&basename, ip))
        })
        .await
    }

    async fn find_basename(&self, naming: Option<&Naming>) -> Result<Basename, PlatformError> {
        match naming {
            Some(Naming::Fixed(basename)) => Ok(basename.clone()),
            Some(Naming::Template(template)) => self.fill(template).await,
            // Whatever it is called, the others learn it.
            Some(Naming::Learn) | None => {
                let hostname = self.required("hostname").await?;
                Basename::sanitize(&hostname).map_err(|_| self.nonsense("hostname", &hostname))
            }
        }
    }

    async fn fill(&self, template: &Template) -> Result<Basename, PlatformError> {
        let mut labels = BTreeMap::new();
        for label in template.labels() {
            let value = match label.strip_prefix("tags.") {
                Some(tag) => self.tag(tag).await?,
                None if label == "name" => Some(self.required("hostname").await?),
                None => Some(self.required(label).await?),
            };
            labels.insert(label, value);
        }
        let filled = template.fill(|label| labels.get(label).cloned().flatten());
        filled.map_err(|label| self.failed("", format!("knows no {label} for {template}")))
    }

    /// As a listing's label of this name: `env:prod` is `tags.env`.
    async fn tag(&self, wanted: &str) -> Result<Option<String>, PlatformError> {
        let Said::Text(tags) = self.ask("tags").await? else {
            return Ok(None);
        };
        let tags = tags.lines().map(|tag| {
            tag.trim()
                .split_once(':')
                .unwrap_or_else(|| (tag.trim(), "true"))
        });
        let mut found = tags.filter(|(key, _)| *key == wanted);
        Ok(found.next_back().map(|(_, value)| value.to_owned()))
    }

    async fn find_address(&self, network: Network, ipv6: bool) -> Result<IpAddr, PlatformError> {
        refuse_private_ipv6(network, ipv6)?;
        let family = if ipv6 { "ipv6" } else { "ipv4" };
        let path = format!("interfaces/{network}/0/{family}/address");
        let Said::Text(text) = self.ask(&path).await? else {
            return Err(PlatformError::NoAddress { network, ipv6 });
        };
        let ip: IpAddr = text.parse().map_err(|_| self.nonsense(&path, &text))?;
        if ip.is_ipv6() == ipv6 {
            Ok(ip)
        } else {
            Err(self.nonsense(&path, &text))
        }
    }

    async fn required(&self, path: &str) -> Result<String, PlatformError> {
        match self.ask(path).await? {
            Said::Text(text) if !text.is_empty() => Ok(text),
            Said::Text(text) => Err(self.nonsense(path, &text)),
            Said::Nothing => Err(self.failed(path, "answers 404 Not Found".to_owned())),
        }
    }

    /// Asks up to three times; an answer that is no use is final, silence and 5xx are not.
    async fn ask(&self, path: &str) -> Result<Said, PlatformError> {
        let mut tries = 1;
        loop {
            let detail = match self.client.get(&self.url(path), None).await {
                Ok(reply) if reply.status < 500 => return self.said(path, &reply),
                Ok(reply) => format!("answers {}", reply.status),
                Err(error) => format!("cannot be asked: {error}"),
            };
            if tries == TRIES {
                return Err(self.failed(path, detail));
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn said(&self, path: &str, reply: &Reply) -> Result<Said, PlatformError> {
        match (reply.status, reply.text()) {
            (200, Some(text)) => Ok(Said::Text(text.to_owned())),
            (200, None) => Err(self.nonsense(path, "bytes that are no text")),
            (404, _) => Ok(Said::Nothing),
            (status, _) => Err(self.failed(path, format!("answers {status}"))),
        }
    }

    fn nonsense(&self, path: &str, said: &str) -> PlatformError {
        // Enough to recognise a login page or a proxy's error by.
        let said: String = said.chars().take(40).collect();
        self.failed(path, format!("answers {said:?}"))
    }

    fn failed(&self, path: &str, detail: String) -> PlatformError {
        PlatformError::Metadata {
            url: self.url(path).to_string(),
            detail,
        }
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!(
            "{}/{path}",
            self.base.path().trim_end_matches('/')
        ));
        url
    }
}

const fn refuse_private_ipv6(network: Network, ipv6: bool) -> Result<(), PlatformError> {
    if ipv6 && matches!(network, Network::Private) {
        return Err(PlatformError::PrivateIpv6);
    }
    Ok(())
}

/// The bound on everything that one call asks.
async fn in_time<T>(
    metadata: &Metadata,
    work: impl Future<Output = Result<T, PlatformError>>,
) -> Result<T, PlatformError> {
    tokio::time::timeout(TOTAL_TIMEOUT, work)
        .await
        .unwrap_or_else(|_| {
            Err(PlatformError::Metadata {
                url: metadata.base.to_string(),
                detail: format!("did not answer in {} s", TOTAL_TIMEOUT.as_secs()),
            })
        })
}
