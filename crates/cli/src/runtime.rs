//! The tokio runtime of the verbs that need one.

use std::future::Future;

use tokio::runtime::Builder;

use crate::failure::Failure;

/// One worker beside the main thread: a slow answer being parsed never delays a signal or a tick.
const WORKERS: usize = 2;

/// Runs `future` to its end on a runtime of its own. Tasks that are left are dropped, and blocking
/// ones (a DNS lookup of the system) are not waited for.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    install_tls_provider();
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::operation(
                format!("cannot start: {error}"),
                "runtime",
                "raise the limits on processes and files (ulimit -u, -n)",
            )
        })?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}

/// The one TLS provider of the binary. A second call finds it installed, which is what it wants.
fn install_tls_provider() {
    rustls::crypto::ring::default_provider()
        .install_default()
        .ok();
}
