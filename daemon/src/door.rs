use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{Gate, Guest};
use crate::audit::{Audit, Fact};
use crate::config::Limits;
use crate::session::Sessions;
use crate::transport::{Accepted, Listener};

/// How long to wait when the system has nothing left to accept a connection with. It gets some back only when others
/// end, and asking again at once would cost all the rest.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(100);

/// Lets peers in: accepts, asks the gate, wraps in TLS, hands to the handshake.
pub(crate) struct Door {
    sessions: Sessions,
    audit: Audit,
    gate: Gate,
    handshake: Duration,
}

impl Door {
    pub(crate) fn new(sessions: Sessions, audit: Audit, limits: &Limits) -> Self {
        Self { sessions, audit, gate: Gate::new(limits), handshake: limits.handshake }
    }

    /// Accepts until it is cancelled, then waits for the connections that came in.
    pub(crate) async fn run(self, listener: Listener, cancel: CancellationToken) {
        let connections = TaskTracker::new();
        loop {
            let next = async { (self.gate.leave().await, listener.accept().await) };
            let Some((leave, accepted)) = cancel.run_until_cancelled(next).await else { break };
            let (stream, remote) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    pause_after(&error).await;
                    continue;
                }
            };
            match self.gate.enter(leave, remote.ip()) {
                Ok(guest) => _ = connections.spawn(self.welcome(&listener, stream, remote, guest)),
                Err(refusal) => {
                    tracing::debug!(%remote, reason = refusal.name(), "closed a connection at once");
                    self.audit.record(Fact::refused(CONNECT, refusal.name()).source(remote.ip()));
                }
            }
        }
        drop(listener);
        connections.close();
        connections.wait().await;
    }

    fn welcome(
        &self,
        listener: &Listener,
        stream: Accepted,
        remote: SocketAddr,
        guest: Guest,
    ) -> impl Future<Output = ()> + use<> {
        // Apart, and so is what follows: a session does not carry for as long as it lives what its beginning needed.
        let (wrapping, deadline) = (Box::pin(listener.wrap(stream, remote)), Instant::now() + self.handshake);
        let (sessions, audit) = (self.sessions.clone(), self.audit.clone());
        async move {
            let refuse = |reason| audit.record(Fact::refused(CONNECT, reason).source(remote.ip()));
            match guest.evicted().run_until_cancelled(timeout_at(deadline, wrapping)).await {
                Some(Ok(Ok(connection))) => Box::pin(sessions.accept(connection, guest, deadline)).await,
                Some(Ok(Err(error))) => {
                    tracing::debug!(%remote, %error, "a connection did not come to be");
                    // Who hangs up is a probe of some kind, or has thought better of it.
                    if !is_hang_up(&error) {
                        guest.failed();
                        refuse("tls");
                    }
                }
                Some(Err(_)) => {
                    tracing::debug!(%remote, "TLS was not finished in time");
                    guest.failed();
                    refuse("timeout");
                }
                None => refuse("evicted"),
            }
        }
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

fn is_hang_up(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

/// What a stranger asks for, in the audit.
const CONNECT: &str = "connect";
