use std::time::Duration;

use coattail::rpc::Session;
use coattail::wire::fate::{Trace, Traced};
use coattail::wire::trace::Known;
use coattail::wire::{ErrorCode, Failure};
use tokio::time::{Instant, timeout_at};

use super::tracer::Traces;
use crate::store::{Peer, Subscription};

/// How long another instance may take to answer: who traces waits for the slowest.
const ANSWER: Duration = Duration::from_secs(3);

impl Traces {
    /// Asks a peer, with the rights that its token gives us.
    pub(super) async fn ask_peer(&self, peer: &Peer, trace: &Trace, end: Instant) -> Result<Traced, Known> {
        let session = async {
            let target = self.sessions.target(&peer.jwt, peer.issuer).await?;
            self.sessions.get_or_dial(&target).await
        };
        ask(session, trace, end).await
    }

    /// Asks a subscriber what became of what we have delivered.
    pub(super) async fn ask_subscriber(
        &self,
        subscription: &Subscription,
        trace: &Trace,
        end: Instant,
    ) -> Result<Traced, Known> {
        ask(self.publisher.session(subscription), trace, end).await
    }
}

async fn ask(
    session: impl Future<Output = Result<Session, Failure>>,
    trace: &Trace,
    end: Instant,
) -> Result<Traced, Known> {
    let answer = async { session.await?.call_within(ANSWER, trace).await };
    let end = end.min(Instant::now() + ANSWER);
    let answer = timeout_at(end, answer).await.map_err(|_| Known::Unreachable)?;
    answer.map_err(|failure: Failure| match failure.code {
        ErrorCode::NotPermitted | ErrorCode::TokenRefused | ErrorCode::TokenRevoked => Known::NotAllowed,
        ErrorCode::NotFound => Known::Unknown,
        _ => Known::Unreachable,
    })
}
