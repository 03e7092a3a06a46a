use std::time::Duration;

use coattail::wire::fate::{Reach, Reaching};
use coattail::wire::publications::Reached;
use coattail::wire::{ErrorCode, Failure};

use super::delivery::Delivery;
use super::subscribe::PublisherSide;
use crate::store::Store;

/// How long whoever asks may wait for news; then they ask again.
const MOST_WAIT: Duration = Duration::from_secs(30);

/// Subscribers that are named at once.
const MOST_NAMED: u32 = 1_000;

/// How far publications have got. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Reaches {
    store: Store,
    delivery: Delivery,
    publisher: PublisherSide,
}

impl Reaches {
    pub(crate) fn new(store: Store, delivery: Delivery, publisher: PublisherSide) -> Self {
        Self { store, delivery, publisher }
    }

    /// How many have stored it, as soon as that is not what the caller has seen. Nobody is waited for when nothing can
    /// change by itself, or the service stops.
    pub(crate) async fn watch(&self, request: &Reach) -> Result<Reaching, Failure> {
        let wait = Duration::from_millis(request.wait_ms.unwrap_or(0)).min(MOST_WAIT);
        let over = tokio::time::sleep(wait);
        tokio::pin!(over);
        // Order: listen before looking, so that nothing is overlooked.
        let mut moves = self.delivery.moves();
        loop {
            let found = self.store.reaching(request.action.clone(), request.publication).await?;
            let reaching = found.ok_or_else(|| {
                Failure::new(ErrorCode::NotFound, "there is no such publication of this action")
                    .hint("`coattail publications list` shows what is kept; what is past its retention is gone")
            })?;
            if request.seen != Some(reaching.stored) || reaching.is_at_rest() || wait.is_zero() {
                return Ok(reaching);
            }
            tokio::select! {
                biased;
                () = self.delivery.closing().cancelled() => return Ok(reaching),
                () = &mut over => return Ok(reaching),
                // `changed` is cancel-safe, and fails only once the sender is gone, which we hold.
                _ = moves.changed() => {}
            }
        }
    }

    /// The same, with those that have not stored it.
    pub(crate) async fn who(&self, request: &Reach) -> Result<Reached, Failure> {
        let reaching = self.watch(request).await?;
        let missing = self.store.lacking(request.publication, MOST_NAMED).await?;
        Ok(Reached { reaching, missing: self.publisher.describe_all(missing).await? })
    }
}
