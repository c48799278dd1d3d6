//! Talking to the API: pages, statuses, quota. Its specification is at
//! <https://github.com/digitalocean/openapi>, `GET /v2/droplets`.

use reqwest::Url;
use serde::Deserialize;

use crate::DiscoverError;
use crate::config::SecretText;
use crate::http::{self, Client, Reply};
use crate::source::PollCx;

/// More is a server that never ends.
const MAX_PAGES: usize = 500;
/// As many as that many pages hold. A page could hold more than 200, and memory would grow with it.
const MAX_DROPLETS: usize = 200 * MAX_PAGES;
/// What of an API's own message is shown.
const MAX_MESSAGE: usize = 200;

const NEW_TOKEN: &str =
    "make a token at https://cloud.digitalocean.com/account/api/tokens and set it as token";
const SLOWER: &str = "wait, it is tried again when the API allows; \
     raise polling_interval, or use a token of its own here";
const TRY_AGAIN: &str = "wait, it is tried again; see https://status.digitalocean.com";

/// Lists Droplets.
#[derive(Debug)]
pub(super) struct Api {
    pub(super) client: Client,
    pub(super) first: Url,
    pub(super) token: SecretText,
    /// `tag_name = "web"`, for errors.
    pub(super) filter: String,
}

#[derive(Debug, Deserialize)]
struct Page {
    droplets: Vec<Droplet>,
    #[serde(default)]
    links: Links,
}

#[derive(Debug, Default, Deserialize)]
struct Links {
    pages: Option<Pages>,
}

#[derive(Debug, Default, Deserialize)]
struct Pages {
    next: Option<String>,
}

/// What we use of a Droplet.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Droplet {
    pub(super) id: u64,
    pub(super) name: String,
    pub(super) status: String,
    pub(super) networks: Networks,
    pub(super) region: Region,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    pub(super) vpc_uuid: Option<String>,
    pub(super) size_slug: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Region {
    pub(super) slug: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Networks {
    #[serde(default)]
    pub(super) v4: Vec<Network>,
    #[serde(default)]
    pub(super) v6: Vec<Network>,
}

/// An address: `type` is `public` or `private`.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Network {
    pub(super) ip_address: String,
    #[serde(rename = "type")]
    pub(super) kind: String,
}

#[derive(Debug, Deserialize)]
struct Fault {
    message: Option<String>,
}

impl Api {
    /// All Droplets, from all pages. One page that fails fails all: half a list is no list.
    pub(super) async fn list(&self, cx: &PollCx) -> Result<Vec<Droplet>, DiscoverError> {
        let mut droplets: Vec<Droplet> = Vec::new();
        let mut url = self.first.clone();
        for _ in 0..MAX_PAGES {
            let page = self.page(&url, cx).await?;
            droplets.extend(page.droplets);
            if droplets.len() > MAX_DROPLETS {
                break;
            }
            let next = page.links.pages.and_then(|pages| pages.next);
            let Some(next) = next.filter(|next| !next.is_empty()) else {
                // A Droplet made meanwhile shifts the pages, and one is listed twice.
                droplets.sort_by_key(|droplet| droplet.id);
                droplets.dedup_by_key(|droplet| droplet.id);
                return Ok(droplets);
            };
            let next = http::same_origin(&url, &next)?;
            if next == url {
                return Err(self.endless("a page names itself as the next one"));
            }
            url = next;
        }
        Err(self.endless("the list has no end"))
    }

    async fn page(&self, url: &Url, cx: &PollCx) -> Result<Page, DiscoverError> {
        let reply = self.client.get(url, Some(&self.token)).await?;
        if let Some(quota) = reply.quota {
            cx.note_quota(quota);
        }
        if reply.status == 200 {
            reply.json()
        } else {
            Err(self.refused(&reply))
        }
    }

    fn endless(&self, why: &str) -> DiscoverError {
        DiscoverError::BadBody {
            from: http::origin(&self.first),
            why: why.into(),
        }
    }

    fn refused(&self, reply: &Reply) -> DiscoverError {
        let (what, cure) = self.meaning(reply);
        DiscoverError::Status {
            status: reply.status,
            what: format!("{what} ({}{})", reply.status, self.said(reply)),
            cure: cure.into(),
            retry_after: reply.retry_after,
        }
    }

    /// What each status means, and what to do about it. One outage is one text, and so one line in
    /// the log: nothing here changes from poll to poll.
    fn meaning(&self, reply: &Reply) -> (String, &'static str) {
        let api = reply.from();
        match reply.status {
            300..=399 => {
                let to = reply.location.as_deref().unwrap_or("somewhere else");
                (
                    format!("{api} redirects to {}", clip(to)),
                    "set api_url to the API itself",
                )
            }
            401 => (format!("{api} does not accept the token"), NEW_TOKEN),
            403 => (
                format!("{api} does not let this token list Droplets"),
                "give the token the scope droplet:read",
            ),
            404 => (
                format!("{api} has no {}", self.first.path()),
                "check api_url",
            ),
            422 => (
                format!("{api} cannot use the filter ({})", self.filter),
                "check tag_name and name",
            ),
            429 => (
                format!("the token's request quota at {api} is used up"),
                SLOWER,
            ),
            500..=599 => (format!("{api} has a fault"), TRY_AGAIN),
            _ => (format!("{api} gives no list"), "check api_url"),
        }
    }

    /// The API's own message, if it sent one: one line, not endless, without the token.
    fn said(&self, reply: &Reply) -> String {
        let fault = serde_json::from_slice::<Fault>(&reply.body).ok();
        match fault.and_then(|fault| fault.message) {
            Some(message) => format!(
                ": {}",
                clip(&message.replace(self.token.expose(), "(hidden)"))
            ),
            None => String::new(),
        }
    }
}

fn clip(text: &str) -> String {
    let line = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut clipped: String = line.clone().take(MAX_MESSAGE).collect();
    if line.count() > MAX_MESSAGE {
        clipped.push('…');
    }
    clipped
}
