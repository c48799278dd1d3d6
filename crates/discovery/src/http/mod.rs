//! The one HTTP client: every API and metadata service is asked through it.
//!
//! It trusts the web's CAs and the system's, or only the CA that it is given; resolves through
//! [`dns`](crate::dns); uses no proxy; follows no redirect; reads no more than its cap; and gives up
//! after its timeouts. What it returns is an answer with any status: what a status means is
//! the caller's to say.

mod errors;
mod headers;
mod page;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use serde::de::DeserializeOwned;

pub use page::same_origin;
pub use tls::TlsError;

use crate::DiscoverError;
use crate::config::SecretText;
use crate::dns::Resolver;
use crate::source::Quota;

/// What every request says of itself.
pub const USER_AGENT: &str = concat!("trunkline/", env!("CARGO_PKG_VERSION"));

/// How a [`Client`] behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Trust only the certificates in this PEM file; `None`: the web's CAs and the system's.
    pub ca_file: Option<PathBuf>,
    /// Only plain http is asked, so that no certificates are loaded. Default false.
    pub plain: bool,
    /// Resolves host names.
    pub resolver: Resolver,
    /// Until TCP and TLS are up. Default 5 s.
    pub connect_timeout: Duration,
    /// One request, from its first byte to the last of its answer. Default 10 s.
    pub timeout: Duration,
    /// The largest answer, in bytes. Default 8 MiB: 200 Droplets are about 600 KiB.
    pub max_body: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            ca_file: None,
            plain: false,
            resolver: Resolver::system(),
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            max_body: 8 << 20,
        }
    }
}

/// Asks over HTTP. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    timeout: Duration,
    max_body: usize,
}

/// An answer with any status.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body, at most the client's cap.
    pub body: Vec<u8>,
    /// `Retry-After`, as time from now.
    pub retry_after: Option<Duration>,
    /// `ratelimit-limit`, `ratelimit-remaining`, `ratelimit-reset`, when all are there.
    pub quota: Option<Quota>,
    /// Where a redirect points.
    pub location: Option<String>,
    from: String,
}

impl Client {
    /// Makes a client; reads certificates, sends nothing.
    pub fn new(options: Options) -> Result<Self, TlsError> {
        let tls = tls::config(&options)?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .dns_resolver(Lookup(options.resolver))
            .user_agent(USER_AGENT)
            .connect_timeout(options.connect_timeout)
            .timeout(options.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .http1_only()
            .referer(false)
            .pool_max_idle_per_host(1)
            .build()
            .map_err(|error| TlsError::Client(errors::chain(&error)))?;
        Ok(Self {
            http,
            timeout: options.timeout,
            max_body: options.max_body,
        })
    }

    /// `GET url`, with a bearer token when one is given. [`may_carry_token`] says where a token may
    /// go; here it is checked again.
    pub async fn get(&self, url: &Url, token: Option<&SecretText>) -> Result<Reply, DiscoverError> {
        let mut request = self
            .http
            .get(url.clone())
            .header(ACCEPT, "application/json");
        if let Some(token) = token {
            if !may_carry_token(url) {
                return Err(DiscoverError::NotReady {
                    what: format!(
                        "{} is not encrypted, the token is not sent there",
                        origin(url)
                    ),
                    cure: "use https".into(),
                });
            }
            request = request.header(AUTHORIZATION, bearer(token)?);
        }
        let from = origin(url);
        let classify = |error| errors::classify(&error, &from, self.timeout);
        let mut response = request.send().await.map_err(classify)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(classify)? {
            if body.len() + chunk.len() > self.max_body {
                return Err(DiscoverError::BodyTooLarge {
                    from,
                    limit: self.max_body,
                });
            }
            body.extend_from_slice(&chunk);
        }
        let headers = response.headers();
        Ok(Reply {
            status: response.status().as_u16(),
            retry_after: headers::retry_after(headers),
            quota: headers::quota(headers),
            location: headers::text(headers, "location").map(Into::into),
            body,
            from,
        })
    }
}

impl Reply {
    /// Reads the body as JSON; the error says at which line and column it stops making sense.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, DiscoverError> {
        serde_json::from_slice(&self.body).map_err(|error| DiscoverError::BadBody {
            from: self.from.clone(),
            why: error.to_string(),
        })
    }

    /// The body as text, without what surrounds it; `None` when it is not UTF-8.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.body).ok().map(str::trim)
    }

    /// Who answered: scheme, host and port.
    pub fn from(&self) -> &str {
        &self.from
    }
}

/// Whether a token may be sent to `url`: over https anywhere, over http only to this very host.
pub fn may_carry_token(url: &Url) -> bool {
    match url.scheme() {
        "https" => true,
        "http" => {
            host_ip(url).is_some_and(|ip| ip.is_loopback()) || url.host_str() == Some("localhost")
        }
        _ => false,
    }
}

/// Reads an address that the configuration gives: http or https, with a host, without user and
/// password. The error says what is wrong with it.
pub fn parse_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("the scheme is neither http nor https".into());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it has no host".into());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("user and password have no place in it".into());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("a query or fragment has no place in it".into());
    }
    Ok(url)
}

/// Scheme, host and port, as errors name a server.
pub fn origin(url: &Url) -> String {
    url.origin().ascii_serialization()
}

fn host_ip(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

fn bearer(token: &SecretText) -> Result<HeaderValue, DiscoverError> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.expose())).map_err(|_| {
        DiscoverError::NotReady {
            what: "the token has a character that no header can hold".into(),
            cure: "copy the token again".into(),
        }
    })?;
    value.set_sensitive(true);
    Ok(value)
}

/// Our resolver, as reqwest wants one.
struct Lookup(Resolver);

impl reqwest::dns::Resolve for Lookup {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let resolver = self.0.clone();
        Box::pin(async move {
            let found = resolver.addresses(name.as_str()).await?;
            let addresses: reqwest::dns::Addrs =
                Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

/// A client that several sources share.
pub type Shared = Arc<Client>;
