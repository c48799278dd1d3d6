//! The unix socket of an agent: how other commands on this host find the node that it serves, and
//! what keeps a second agent off that node.
//!
//! It is `<node>.sock`, mode 0600, in the first of these folders that can be had, and speaks HTTP
//! with the routes of [`crate::admin`]:
//! - `$XDG_RUNTIME_DIR/trunkline`
//! - `/run/trunkline` (systemd: `RuntimeDirectory=trunkline`)
//! - `/tmp/trunkline-<uid>`, mode 0700
//!
//! Two routes more than the admin address: `POST /api/v1/reload` (there it demands the token), and
//! `GET /api/v1/cookie`, so that `nodes` and `ping` need no
//! cookie from the caller's environment. Whoever can open the socket, its owner and root, can read
//! the agent's environment in `/proc` as well.

mod claim;
mod client;
mod folders;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use trunkline_proto::Cookie;

pub use claim::{Claim, ClaimError, served};
pub use client::{LocalAgent, LocalError};
pub use folders::Folders;

use crate::admin::{View, routes};

/// Answers on the claimed socket until `stop`; `orders` are routes that change something.
///
/// # Errors
/// When the listener itself fails.
pub async fn serve(
    listener: UnixListener,
    view: Arc<dyn View>,
    cookie: Cookie,
    orders: Router,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let secret = get(async move || cookie.expose().to_vec());
    let router: Router = routes(view).route("/api/v1/cookie", secret).merge(orders);
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{AgentStatus, NodeStatus};

    struct Fixed(AgentStatus);

    impl View for Fixed {
        fn status(&self) -> AgentStatus {
            self.0.clone()
        }

        fn min_nodes(&self) -> usize {
            1
        }
    }

    fn view(node: &str) -> Arc<dyn View> {
        let node = NodeStatus {
            name: node.into(),
            attached: true,
            reason: None,
            cookie_source: "$RELEASE_COOKIE".into(),
            epmd_port: Some(4369),
            port: None,
        };
        Arc::new(Fixed(AgentStatus {
            version: "0.0.0".into(),
            pid: 1,
            uptime_ms: 1,
            node,
            topologies: Vec::new(),
            unlisted: Vec::new(),
            links: Vec::new(),
        }))
    }

    #[tokio::test]
    async fn agents_are_found_by_their_sockets() {
        let home = tempfile::tempdir().unwrap();
        let folders = Folders::new(Some(home.path()));
        let stop = CancellationToken::new();
        let mut held = Vec::new();
        for name in ["a@10.0.0.1", "b@10.0.0.2"] {
            let (claim, listener) = Claim::take(&name.parse().unwrap(), 4369, &folders).unwrap();
            let listener = listener.unwrap();
            held.push(claim);
            let cookie = Cookie::new("hush").unwrap();
            tokio::spawn(serve(
                listener,
                view(name),
                cookie,
                Router::new(),
                stop.clone(),
            ));
        }
        let all = LocalAgent::all(&folders).await;
        let ours: Vec<_> = all
            .iter()
            .filter(|agent| agent.node.host().starts_with("10.0.0."))
            .collect();
        assert_eq!(ours.len(), 2);
        assert_eq!(ours[0].node.as_str(), "a@10.0.0.1");
        assert_eq!(ours[0].cookie().await.unwrap().expose(), b"hush");
        let error = LocalAgent::only(&folders).await.unwrap_err().what();
        assert!(error.contains("a@10.0.0.1, b@10.0.0.2"), "{error}");
        stop.cancel();
    }
}
