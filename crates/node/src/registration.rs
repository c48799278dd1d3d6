//! The node's name at the port mapper, held for as long as the node lives.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::sleep;
use trunkline_proto::Creation;
use trunkline_proto::epmd::{NodeType, Registration};

use crate::epmd::client::{self, Held, QueryError};
use crate::shutdown::Lifetime;

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
    /// Registers, and keeps the name until the node closes. A port mapper that is not there is no error: the
    /// node works without, and registers when it comes. `None` then, or its creation for us.
    ///
    /// # Errors
    /// [`QueryError::NameTaken`] only.
    pub(crate) async fn start(self, life: &Lifetime) -> Result<Option<Creation>, QueryError> {
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
        life.spawn_opening(self.keep(held));
        Ok(creation)
    }

    /// Holds the name, and takes it again when the port mapper comes back. The creation that it
    /// gives then is another one and is ignored: this incarnation has its own.
    async fn keep(self, mut held: Option<Held>) {
        let mut taken = false;
        loop {
            if let Some(mut registered) = held.take() {
                taken = false;
                registered.lost().await;
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
                    held = Some(registered);
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
