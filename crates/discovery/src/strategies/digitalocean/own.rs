//! Which Droplet is this? The metadata service knows, where there is one.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use reqwest::Url;
use tokio::time::Instant;

use crate::dns::Resolver;
use crate::http::{Client, Options, TlsError};

/// The service is next door: it answers at once, or there is none.
const TIMEOUT: Duration = Duration::from_secs(1);
/// Where it did not answer it is asked again after this: it may be late at boot.
const AGAIN: Duration = Duration::from_secs(60);

/// The id of the Droplet that we run on, fetched once.
#[derive(Debug)]
pub(super) struct Own {
    client: Client,
    url: Url,
    known: Mutex<Known>,
}

#[derive(Clone, Copy, Debug)]
enum Known {
    NotAsked,
    Id(u64),
    /// Not on a Droplet, as far as could be seen at that time.
    Absent(Instant),
}

impl Own {
    pub(super) fn new(metadata: &Url, resolver: Resolver) -> Result<Self, TlsError> {
        let options = Options {
            resolver,
            connect_timeout: TIMEOUT,
            timeout: TIMEOUT,
            max_body: 4 << 10,
            plain: metadata.scheme() == "http",
            ..Options::default()
        };
        let mut url = metadata.clone();
        url.set_path(&format!("{}/id", metadata.path().trim_end_matches('/')));
        Ok(Self {
            client: Client::new(options)?,
            url,
            known: Mutex::new(Known::NotAsked),
        })
    }

    /// `None`: this is no Droplet, or nobody told us. That is no error: an agent may run anywhere.
    pub(super) async fn id(&self) -> Option<u64> {
        match self.known() {
            Known::Id(id) => return Some(id),
            Known::Absent(since) if since.elapsed() < AGAIN => return None,
            Known::Absent(_) | Known::NotAsked => {}
        }
        let id = self.ask().await;
        let known = id.map_or_else(|| Known::Absent(Instant::now()), Known::Id);
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) = known;
        id
    }

    fn known(&self) -> Known {
        *self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask(&self) -> Option<u64> {
        let reply = self.client.get(&self.url, None).await.ok()?;
        if reply.status != 200 {
            return None;
        }
        reply.text()?.parse().ok()
    }
}
