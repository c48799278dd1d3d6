//! The node's name at the port mapper, held for as long as the node lives.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use trunkline_proto::Creation;
use trunkline_proto::epmd::{NodeType, Registration};

use crate::epmd::client::{self, Held, QueryError};
use crate::lifetime::{Lifetime, Work};

/// How long the port mapper on this host may take.
const LIMIT: Duration = Duration::from_secs(5);

/// How often a lost registration is tried again; OTP's `erl_epmd` takes 2 s too.
const AGAIN: Duration = Duration::from_secs(2);

/// How long the port mapper may take to free the name: whoever starts the next node at once finds it free. Less than what a
/// shutdown gives its tasks.
const RELEASE_LIMIT: Duration = Duration::from_millis(500);

/// The name to hold, and where.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) epmd: SocketAddr,
    pub(crate) alive: String,
    pub(crate) port: u16,
}

impl Claim {
    /// Registers, and keeps the name until the node closes. A port mapper that is not there is no error: the
    /// node works without, and registers when it comes. `None` then, or its creation for us.
    ///
    /// # Errors
    /// [`QueryError::NameTaken`] only.
    pub(crate) async fn start(self, life: &Lifetime) -> Result<Option<Creation>, QueryError> {
        let mut held = match self.register().await {
            Ok(held) => Some(held),
            Err(QueryError::NameTaken) => return Err(QueryError::NameTaken),
            Err(why) => {
                tracing::warn!(
                    "not registered, {why} · epmd at {} · start it; the node works without and tries again",
                    self.epmd
                );
                None
            }
        };
        let creation = held.as_ref().map(|held| held.creation);
        let (doing, closing) = (life.doing(Work::Registering), life.closing.clone());
        life.begin_task(async move {
            let _doing = doing;
            let kept = closing.run_until_cancelled(self.keep(&mut held));
            kept.await;
            if let Some(held) = held {
                // The socket ends with it: then the name is free some moment later.
                let _in_time = timeout(RELEASE_LIMIT, held.release()).await;
            }
        });
        Ok(creation)
    }

    /// Holds the name, and takes it again when the port mapper comes back. The creation that it
    /// gives then is another one and is ignored: this incarnation has its own.
    async fn keep(&self, held: &mut Option<Held>) {
        let mut taken = false;
        loop {
            if let Some(registered) = held {
                taken = false;
                registered.lost().await;
                *held = None;
                tracing::warn!(
                    "lost the registration of {} · epmd at {} · nothing, it is tried again every 2 s",
                    self.alive,
                    self.epmd
                );
            }
            sleep(AGAIN).await;
            match self.register().await {
                Ok(registered) => {
                    tracing::info!("registered {} with epmd at {}", self.alive, self.epmd);
                    *held = Some(registered);
                }
                Err(QueryError::NameTaken) if !taken => {
                    tracing::warn!(
                        "another node has registered as {} · epmd at {} · stop it, or give one of them \
                         another name; connections stay, and it is tried again every 2 s",
                        self.alive,
                        self.epmd
                    );
                    taken = true;
                }
                Err(_) => {}
            }
        }
    }

    async fn register(&self) -> Result<Held, QueryError> {
        let registration = Registration::new(self.alive.clone(), self.port, NodeType::HIDDEN);
        client::register(self.epmd, registration, LIMIT).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Level, Metadata, Subscriber};

    use super::*;
    use crate::epmd::server::Server;

    /// Counts warnings that another node has the name.
    #[derive(Clone, Debug, Default)]
    struct Warnings(Arc<AtomicUsize>);

    impl Subscriber for Warnings {
        fn enabled(&self, metadata: &Metadata<'_>) -> bool {
            *metadata.level() == Level::WARN
        }
        fn event(&self, event: &Event<'_>) {
            event.record(
                &mut |_: &tracing::field::Field, value: &dyn std::fmt::Debug| {
                    if format!("{value:?}").contains("another node has registered as app") {
                        self.0.fetch_add(1, Ordering::Relaxed);
                    }
                },
            );
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    async fn until_at(epmd: SocketAddr, port: u16) {
        let found = async {
            while client::port_please(epmd, "app", LIMIT)
                .await
                .map(|r| r.port)
                != Ok(port)
            {
                sleep(Duration::from_millis(10)).await;
            }
        };
        let came = timeout(Duration::from_secs(30), found).await;
        came.expect("the name is there again");
    }

    /// The port mapper is killed and comes back, first for us, then with another node faster.
    #[tokio::test]
    async fn the_name_comes_back_and_a_thief_is_said_once() {
        let warnings = Warnings::default();
        let _said = tracing::subscriber::set_default(warnings.clone());
        let server = Server::bind(&["127.0.0.1:0".parse().unwrap()]).unwrap();
        let epmd = server.addrs()[0];
        let claim = Claim {
            epmd,
            alive: "app".to_owned(),
            port: 9100,
        };
        let life = Lifetime::begin();
        let creation = claim.start(&life).await.unwrap();
        assert!(creation.is_some());

        server.shut_down().await;
        let server = Server::bind(&[epmd]).unwrap();
        until_at(epmd, 9100).await;

        server.shut_down().await;
        let server = Server::bind(&[epmd]).unwrap();
        let thief = Registration::new("app", 9, NodeType::HIDDEN);
        let thief = client::register(epmd, thief, LIMIT).await.unwrap();
        let said = || warnings.0.load(Ordering::Relaxed);
        let begun = tokio::time::Instant::now();
        while said() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it is not said");
            sleep(Duration::from_millis(10)).await;
        }
        // Another attempt of ours.
        sleep(AGAIN * 3 / 2).await;
        until_at(epmd, 9).await;
        assert_eq!(said(), 1);
        drop(thief);
        until_at(epmd, 9100).await;

        life.closing.cancel();
        while !server.names().is_empty() {
            sleep(Duration::from_millis(5)).await;
        }
    }
}
