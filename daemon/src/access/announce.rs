use coattail::id::IssuerHash;
use coattail::secret::Secret;
use coattail::wire::Failure;
use futures::StreamExt as _;
use futures::stream;
use tokio_util::sync::CancellationToken;

use crate::config::RetrySchedule;
use crate::session::Sessions;
use crate::store::Store;

/// Instances that are told at the same time.
const AT_ONCE: usize = 16;

/// Tells every peer and subscriber that this instance has moved, or has replaced a key: now, or as soon as it can be
/// reached. Who comes by itself is told by the handshake. What is left to do stands in the rows, so that it goes on
/// after a restart.
pub(crate) struct Announcer {
    pub(crate) store: Store,
    pub(crate) sessions: Sessions,
    pub(crate) retry: RetrySchedule,
}

impl Announcer {
    pub(crate) async fn run(self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.announce()).await;
    }

    async fn announce(&self) {
        let mut rounds = 0_u32;
        loop {
            match self.store.untold().await {
                Ok(untold) if untold.is_empty() => return,
                Ok(untold) => {
                    stream::iter(untold)
                        .for_each_concurrent(AT_ONCE, |(issuer, tokens)| self.tell(issuer, tokens))
                        .await;
                }
                Err(error) => tracing::warn!(%error, "cannot tell who has to be told where this instance is"),
            }
            rounds = rounds.saturating_add(1);
            let Some(delay) = self.retry.delay(rounds, None, rand::random()) else { return };
            tokio::time::sleep(delay).await;
        }
    }

    async fn tell(&self, issuer: IssuerHash, tokens: Vec<Secret>) {
        for token in tokens {
            match self.try_to_tell(issuer, &token).await {
                Ok(()) => return,
                Err(failure) => tracing::debug!(%issuer, %failure, "could not tell where this instance is"),
            }
        }
    }

    async fn try_to_tell(&self, issuer: IssuerHash, token: &Secret) -> Result<(), Failure> {
        let session = self.sessions.get_or_dial(&self.sessions.target(token, issuer).await?).await?;
        // A session that is dialled now has told it already.
        self.sessions.tell(&session, issuer).await
    }
}
