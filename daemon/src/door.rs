use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Limits;
use crate::session::Sessions;
use crate::transport::Listener;

/// How long to wait when the system has nothing left to accept a connection with. It gets some back only when others
/// end, and asking again at once would cost all the rest.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Lets peers in: accepts, wraps in TLS, hands to the handshake. Bounds how many may be on their way in.
pub(crate) struct Door {
    sessions: Sessions,
    limits: Limits,
    waiting: Arc<Semaphore>,
}

impl Door {
    pub(crate) fn new(sessions: Sessions, limits: Limits) -> Self {
        let waiting = Arc::new(Semaphore::new(limits.unauthenticated_connections));
        Self { sessions, limits, waiting }
    }

    /// Accepts until it is cancelled, then waits for the connections that came in.
    pub(crate) async fn run(self, listener: Listener, cancel: CancellationToken) {
        let connections = TaskTracker::new();
        loop {
            // A place is taken before `accept`, so that overload waits in the kernel and not in our memory.
            let next = async {
                let place = self.waiting.clone().acquire_owned().await.expect("never closed");
                (place, listener.accept().await)
            };
            let Some((place, accepted)) = cancel.run_until_cancelled(next).await else { break };
            let (stream, remote) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            let wrapping = listener.wrap(stream, remote);
            let (sessions, limit) = (self.sessions.clone(), self.limits.handshake);
            connections.spawn(async move {
                match tokio::time::timeout(limit, wrapping).await {
                    Ok(Ok(connection)) => sessions.accept(connection, place).await,
                    Ok(Err(error)) => tracing::debug!(%remote, %error, "a connection did not come to be"),
                    Err(_) => tracing::debug!(%remote, ?limit, "TLS was not finished in time"),
                }
            });
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }
}

/// After a failed `accept`: a connection that was gone already costs nothing, a lack of descriptors needs time.
pub(crate) async fn pause_after(error: &io::Error) {
    if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) {
        return;
    }
    tracing::warn!(%error, "cannot accept a connection");
    tokio::time::sleep(EXHAUSTED_PAUSE).await;
}
