//! The admin address: what the agent says about itself over HTTP.
//!
//! `GET /healthz` the agent is alive · `GET /readyz` the cluster has at least `min_nodes` ·
//! `GET /api/v1/status` everything, as JSON ([`AgentStatus`]). The same routes answer on the unix
//! socket, where no guard stands before them: its file mode is the guard.

mod bind;
mod guard;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router, middleware};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use bind::{AdminError, DEFAULT_LISTEN, bind};
pub use guard::Guard;

use crate::status::AgentStatus;

/// Where the routes read what they say.
pub trait View: Send + Sync + 'static {
    /// The agent as it is now.
    fn status(&self) -> AgentStatus;
    /// How many nodes the cluster needs for `/readyz`, the own one counted.
    fn min_nodes(&self) -> usize;
}

/// The routes alone.
pub fn routes(view: Arc<dyn View>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/api/v1/status", get(status))
        .with_state(view)
}

/// Answers on `listener` until `stop`; `orders` are routes that change something.
///
/// # Errors
/// When the listener itself fails; a single connection's failure ends that connection.
pub async fn serve(
    listener: TcpListener,
    view: Arc<dyn View>,
    orders: Router,
    guard: Guard,
    stop: CancellationToken,
) -> std::io::Result<()> {
    let guarded = routes(view)
        .merge(orders)
        .layer(middleware::from_fn_with_state(
            Arc::new(guard),
            guard::check,
        ));
    axum::serve(listener, guarded)
        .with_graceful_shutdown(stop.cancelled_owned())
        .await
}

async fn status(State(view): State<Arc<dyn View>>) -> Json<AgentStatus> {
    Json(view.status())
}

async fn ready(State(view): State<Arc<dyn View>>) -> Response {
    let (nodes, wanted) = (view.status().cluster_size(), view.min_nodes());
    let code = if nodes >= wanted {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (code, format!("{nodes} of {wanted} nodes\n")).into_response()
}
