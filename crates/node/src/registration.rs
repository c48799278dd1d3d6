//! The node's name at the port mapper, held for as long as the node lives.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use trunkline_proto::Creation;
use trunkline_proto::epmd::{NodeType, Registration};

use crate::epmd::client::{self, Held, QueryError};

/// How long the port mapper on this host may take.
const LIMIT: Duration = Duration::from_secs(5);

/// How often a lost registration is tried again; OTP's `erl_epmd` takes 2 s too.
const AGAIN: Duration = Duration::from_secs(2);

/// The name to hold, and where.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) epmd: SocketAddr,
    pub(crate) alive: String,
    pub(crate) port: u16,
}

impl Claim {
    /// Registers, and keeps the name until `stop`. A port mapper that is not there is no error: the
    /// node works without, and registers when it comes. `None` then, or its creation for us.
    ///
    /// # Errors
    /// [`QueryError::NameTaken`] only.
    pub(crate) async fn start(
        self,
        stop: CancellationToken,
    ) -> Result<Option<Creation>, QueryError> {
        let held = match self.register().await {
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
        tokio::spawn(async move {
            stop.run_until_cancelled(self.keep(held)).await;
        });
        Ok(creation)
    }

    /// Holds the name, and takes it again when the port mapper comes back. The creation that it
    /// gives then is another one and is ignored: this incarnation has its own.
    async fn keep(self, mut held: Option<Held>) {
        loop {
            if let Some(mut registered) = held.take() {
                registered.lost().await;
                tracing::warn!(
                    "lost the registration of {} · epmd at {} · nothing, it is tried again every 2 s",
                    self.alive,
                    self.epmd
                );
            }
            sleep(AGAIN).await;
            held = self.register().await.ok();
            if held.is_some() {
                tracing::info!("registered {} with epmd at {}", self.alive, self.epmd);
            }
        }
    }

    async fn register(&self) -> Result<Held, QueryError> {
        let registration = Registration::new(self.alive.clone(), self.port, NodeType::HIDDEN);
        client::register(self.epmd, registration, LIMIT).await
    }
}
