//! The API: `GET /v2/droplets` as it is published, with faults on demand and a log of what was asked.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use axum::Router;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::server::{Remote, Server};
use super::{Authority, Droplet, schema};
use crate::netns::Host;

/// The one token that opens the account.
const TOKEN: &str = "dop_v1_interop";

/// The published quota of an account for an hour.
const QUOTA: u32 = 5_000;

/// The running stand-in. Its Droplets, faults and quota may be changed at any time.
#[derive(Debug)]
pub struct Api {
    account: Arc<Mutex<Account>>,
    host: Host,
    _server: Server,
}

/// One request, as it was logged.
#[derive(Debug, Clone)]
pub struct Request {
    /// When it came.
    pub at: SystemTime,
    /// When it was answered.
    pub answered: Option<SystemTime>,
    /// Who asked.
    pub from: IpAddr,
    /// Path with query.
    pub uri: String,
    /// The answer's status; `None` when none was given.
    pub status: Option<u16>,
    /// What the client calls itself.
    pub user_agent: String,
}

/// Something that goes wrong until [`Api::heal`].
#[derive(Debug, Clone)]
pub struct Fault {
    /// Only for this page; all when `None`.
    pub page: Option<usize>,
    /// What goes wrong.
    pub trouble: Trouble,
}

/// What can go wrong.
#[derive(Debug, Clone)]
pub enum Trouble {
    /// An error with this status and a body as the API sends it.
    Status(u16),
    /// 429 with `Retry-After`.
    RateLimited(Duration),
    /// A body that ends in the middle of a value.
    InvalidJson,
    /// The request is read and never answered.
    Hang,
    /// A good answer without any Droplet.
    Empty,
    /// The link to the next page leads to another origin.
    ForeignNext(String),
}

#[derive(Debug)]
struct Account {
    droplets: Vec<Droplet>,
    faults: Vec<Fault>,
    requests: Vec<Request>,
    used: u32,
    /// Bodies that were not what the schema allows.
    violations: Vec<String>,
}

impl Api {
    /// Serves on port 443 of `host`, with a certificate for `api.digitalocean.com` and the host's private address.
    pub fn start(host: &Host, authority: &Authority) -> Result<Self> {
        let account = Arc::new(Mutex::new(Account {
            droplets: Vec::new(),
            faults: Vec::new(),
            requests: Vec::new(),
            used: 0,
            violations: Vec::new(),
        }));
        let router = Router::new()
            .route("/v2/droplets", axum::routing::get(list))
            .fallback(|| async { error(StatusCode::NOT_FOUND) })
            .with_state(Arc::clone(&account));
        let acceptor =
            authority.acceptor(&["api.digitalocean.com", &host.private().to_string()])?;
        let server = Server::tls(host.listen((host.private(), 443))?, acceptor, router)?;
        Ok(Self {
            account,
            host: host.clone(),
            _server: server,
        })
    }

    /// The token that opens it.
    pub fn token(&self) -> &'static str {
        TOKEN
    }

    /// What `api_url` is set to.
    pub fn url(&self) -> String {
        format!("https://{}", self.host.private())
    }

    /// Adds a Droplet, or replaces the one of the same id.
    pub fn put(&self, droplet: Droplet) {
        let mut account = self.account();
        account.droplets.retain(|old| old.id != droplet.id);
        account.droplets.push(droplet);
    }

    /// Replaces all Droplets; the list keeps this order.
    pub fn set(&self, droplets: Vec<Droplet>) {
        self.account().droplets = droplets;
    }

    /// Destroys the Droplet with this id.
    pub fn destroy(&self, id: u64) {
        self.account().droplets.retain(|droplet| droplet.id != id);
    }

    /// Changes a Droplet.
    ///
    /// # Panics
    /// When there is none with this id.
    pub fn change(&self, id: u64, change: impl FnOnce(&mut Droplet)) {
        let mut account = self.account();
        let droplet = account.droplets.iter_mut().find(|droplet| droplet.id == id);
        change(droplet.expect("a Droplet with this id"));
    }

    /// From now on every request has this fault.
    pub fn fault(&self, trouble: Trouble) {
        self.account().faults = vec![Fault {
            page: None,
            trouble,
        }];
    }

    /// From now on requests for this page have this fault.
    pub fn fault_on_page(&self, page: usize, trouble: Trouble) {
        self.account().faults = vec![Fault {
            page: Some(page),
            trouble,
        }];
    }

    /// Ends all faults; requests that hang stay so.
    pub fn heal(&self) {
        self.account().faults.clear();
    }

    /// From now on every packet to it is dropped, or none.
    pub fn reachable(&self, reachable: bool) -> Result<()> {
        if reachable {
            self.host.open_firewall()
        } else {
            self.host.firewall(&["meta l4proto tcp drop"])
        }
    }

    /// So many requests of the hour's quota are used up.
    pub fn use_quota(&self, used: u32) {
        self.account().used = used;
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Request> {
        self.account().requests.clone()
    }

    /// How many requests there were so far.
    pub fn count(&self) -> usize {
        self.account().requests.len()
    }

    /// Answers that broke the published schema; a story asserts that there are none.
    pub fn violations(&self) -> Vec<String> {
        self.account().violations.clone()
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }
}

/// The query of `GET /v2/droplets`. A key that the API does not know is an error here, to catch misspelt ones.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    #[serde(default = "per_page")]
    per_page: usize,
    #[serde(default = "page")]
    page: usize,
    tag_name: Option<String>,
    name: Option<String>,
    r#type: Option<String>,
}

fn per_page() -> usize {
    20
}

fn page() -> usize {
    1
}

impl Listing {
    /// What the documentation forbids.
    fn is_wrong(&self) -> bool {
        let both = self.tag_name.is_some() && (self.name.is_some() || self.r#type.is_some());
        !(1..=200).contains(&self.per_page) || self.page == 0 || both
    }

    fn wants(&self, droplet: &Droplet) -> bool {
        let tag = self.tag_name.as_ref();
        let name = self.name.as_ref();
        tag.is_none_or(|tag| droplet.tags.contains(tag))
            && name.is_none_or(|name| droplet.name.eq_ignore_ascii_case(name))
            && self.r#type.as_deref().is_none_or(|kind| kind == "droplets")
    }

    fn link(&self, origin: &str, page: usize) -> String {
        let filters = [("tag_name", &self.tag_name), ("name", &self.name)];
        let mut link = format!(
            "{origin}/v2/droplets?page={page}&per_page={}",
            self.per_page
        );
        for (key, value) in filters {
            if let Some(value) = value {
                link.push_str(&format!("&{key}={}", percent(value)));
            }
        }
        link
    }
}

async fn list(
    State(account): State<Arc<Mutex<Account>>>,
    ConnectInfo(Remote(remote)): ConnectInfo<Remote>,
    uri: Uri,
    headers: HeaderMap,
    query: Result<Query<Listing>, axum::extract::rejection::QueryRejection>,
) -> Response {
    let logged = {
        let mut account = lock(&account);
        account.used += 1;
        account.requests.push(Request {
            at: SystemTime::now(),
            answered: None,
            from: remote.ip(),
            uri: uri.to_string(),
            status: None,
            user_agent: text(&headers, header::USER_AGENT),
        });
        account.requests.len() - 1
    };
    let answer = match query {
        Ok(Query(listing)) => lock(&account).answer(&listing, &headers),
        Err(_) => Some(error(StatusCode::UNPROCESSABLE_ENTITY)),
    };
    let Some(mut response) = answer else {
        return std::future::pending().await;
    };
    let mut account = lock(&account);
    let request = &mut account.requests[logged];
    request.status = Some(response.status().as_u16());
    request.answered = Some(SystemTime::now());
    let remaining = QUOTA.saturating_sub(account.used);
    let limits = response.headers_mut();
    limits.insert("ratelimit-limit", QUOTA.into());
    limits.insert("ratelimit-remaining", remaining.into());
    limits.insert("ratelimit-reset", (now() + 3600).into());
    response
}

impl Account {
    /// `None`: no answer will come.
    fn answer(&mut self, listing: &Listing, headers: &HeaderMap) -> Option<Response> {
        if text(headers, header::AUTHORIZATION) != format!("Bearer {TOKEN}") {
            return Some(error(StatusCode::UNAUTHORIZED));
        }
        if self.used > QUOTA {
            return Some(rate_limited(Duration::from_secs(60)));
        }
        if listing.is_wrong() {
            return Some(error(StatusCode::UNPROCESSABLE_ENTITY));
        }
        let fault = self
            .faults
            .iter()
            .find(|fault| fault.page.is_none_or(|page| page == listing.page));
        let origin = format!("https://{}", text(headers, header::HOST));
        match fault.map(|fault| fault.trouble.clone()) {
            None => Some(self.page(listing, &origin, None)),
            Some(Trouble::ForeignNext(next)) => Some(self.page(listing, &origin, Some(next))),
            Some(Trouble::Empty) => {
                let body = json!({ "droplets": [], "links": {}, "meta": { "total": 0 } });
                Some(self.checked(body))
            }
            Some(Trouble::InvalidJson) => {
                let body = String::from(r#"{"droplets": [{"id": 31"#);
                let kind = [(header::CONTENT_TYPE, JSON)];
                Some((StatusCode::OK, kind, body).into_response())
            }
            Some(Trouble::Status(status)) => Some(error(
                StatusCode::from_u16(status).expect("a test names a status"),
            )),
            Some(Trouble::RateLimited(wait)) => Some(rate_limited(wait)),
            Some(Trouble::Hang) => None,
        }
    }

    fn page(&mut self, listing: &Listing, origin: &str, next: Option<String>) -> Response {
        let all: Vec<_> = self
            .droplets
            .iter()
            .filter(|one| listing.wants(one))
            .collect();
        let last = all.len().div_ceil(listing.per_page).max(1);
        let shown: Vec<Value> = all
            .chunks(listing.per_page)
            .nth(listing.page - 1)
            .unwrap_or_default()
            .iter()
            .map(|droplet| droplet.json())
            .collect();
        let mut pages = BTreeMap::new();
        if listing.page > 1 {
            pages.insert("first", listing.link(origin, 1));
            pages.insert("prev", listing.link(origin, listing.page - 1));
        }
        if listing.page < last {
            pages.insert("next", listing.link(origin, listing.page + 1));
            pages.insert("last", listing.link(origin, last));
        }
        if let Some(next) = next {
            pages.insert("next", next);
        }
        // One page has no links at all.
        let links = if pages.is_empty() {
            json!({})
        } else {
            json!({ "pages": pages })
        };
        let total = all.len();
        self.checked(json!({ "droplets": shown, "links": links, "meta": { "total": total } }))
    }

    /// A body that is what the schema says, or a note that it is not.
    fn checked(&mut self, body: Value) -> Response {
        self.violations.extend(schema::violations(&body));
        let kind = [(header::CONTENT_TYPE, JSON)];
        (StatusCode::OK, kind, body.to_string()).into_response()
    }
}

const JSON: &str = "application/json; charset=utf-8";

/// An error body as the API words it.
fn error(status: StatusCode) -> Response {
    let (id, message) = match status.as_u16() {
        401 => ("unauthorized", "Unable to authenticate you."),
        403 => (
            "forbidden",
            "You are not authorized to perform this operation",
        ),
        404 => (
            "not_found",
            "The resource you were accessing could not be found.",
        ),
        422 => ("unprocessable_entity", "The request was not understood."),
        429 => ("too_many_requests", "API rate limit exceeded."),
        _ => ("server_error", "Unexpected server-side error"),
    };
    let body = json!({ "id": id, "message": message }).to_string();
    (status, [(header::CONTENT_TYPE, JSON)], body).into_response()
}

fn rate_limited(wait: Duration) -> Response {
    let mut response = error(StatusCode::TOO_MANY_REQUESTS);
    let headers = response.headers_mut();
    headers.insert(header::RETRY_AFTER, wait.as_secs().into());
    response
}

fn text(headers: &HeaderMap, name: header::HeaderName) -> String {
    headers
        .get(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        .unwrap_or_default()
}

/// Percent-encodes all but unreserved characters.
fn percent(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.unwrap_or_default().as_secs()
}

/// A test that panicked while it held the lock has failed already.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
