use coattail::id::SubscriptionId;
use coattail::wire::peer::Reached;
use coattail::wire::places::{Locate, Located};
use coattail::wire::subscriptions::{ResetSubscriber, Resetting};
use coattail::wire::{ErrorCode, Failure};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::publications::Delivery;
use crate::publications::delivery::LaneKey;
use crate::publications::subscribe::{STEP_LIMIT, is_owner, not_found};
use crate::publications::subscriptions::oldest;
use crate::session::Caller;
use crate::store::{Store, SubscriptionState};
use crate::tokens::Operation;

/// The side that publishes: it knows its log, and follows its subscribers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PublisherResets {
    store: Store,
    delivery: Delivery,
}

impl PublisherResets {
    pub(crate) fn new(store: Store, delivery: Delivery) -> Self {
        Self { store, delivery }
    }

    /// Where in the log of a subscription of the caller something is.
    pub(crate) async fn locate(&self, caller: &Caller, request: Locate) -> Result<Located, Failure> {
        let Locate { subscription, from } = request;
        let state = self.of(caller, subscription).await?;
        Ok(self.store.locate(state.subscription.action, from).await?)
    }

    /// The caller goes on from elsewhere.
    pub(crate) async fn follow(&self, caller: &Caller, reached: Reached) -> Result<(), Failure> {
        let Reached { subscription: id, place } = reached;
        let SubscriptionState { subscription, .. } = self.of(caller, id).await?;
        self.store.reset_cursor(id, place).await?;
        tracing::info!(subscription = %id, subscriber = %caller.issuer(), after = place.sequence,
            "the subscriber goes on from elsewhere");
        self.delivery.ensure_lane(LaneKey::of(&subscription));
        Ok(())
    }

    /// The owner wants a subscriber to go on from elsewhere. It does so now, or when it can be told.
    pub(crate) async fn reset(&self, request: ResetSubscriber) -> Result<Resetting, Failure> {
        let ResetSubscriber { subscription: id, from, dry_run } = request;
        let state = self.store.subscription(id).await?.ok_or_else(|| not_found(id))?;
        let Located { place, begun } = self.store.locate(state.subscription.action.clone(), from).await?;
        let mut resetting = Resetting {
            id,
            after: place.sequence,
            again: state.cursor.saturating_sub(place.sequence),
            skipped: place.sequence.saturating_sub(state.cursor),
            oldest: begun.oldest.map(oldest),
            told: false,
        };
        if dry_run {
            return Ok(resetting);
        }
        // Before it is ordered, so that nothing is overlooked. Who is paused is told nothing.
        let moves = (self.delivery.is_running() && !state.paused).then(|| self.delivery.moves());
        let subscription = self.store.order_move(id, place).await?;
        tracing::info!(subscription = %id, subscriber = %subscription.issuer, after = place.sequence,
            "the subscriber is to go on from elsewhere");
        self.delivery.ensure_lane(LaneKey::of(&subscription));
        if let Some(moves) = moves {
            resetting.told = match timeout(STEP_LIMIT, self.wait(moves, &state)).await {
                Ok(told) => told.map(|()| true)?,
                Err(_) => false,
            };
        }
        Ok(resetting)
    }

    /// Until the subscriber was told; fails if it does not do it.
    async fn wait(&self, mut moves: watch::Receiver<()>, before: &SubscriptionState) -> Result<(), Failure> {
        let id = before.subscription.id;
        loop {
            let state = self.store.subscription(id).await?.ok_or_else(|| not_found(id))?;
            match (state.moving, state.last_error) {
                (Some(_), _) => {}
                (None, Some(error)) if state.cursor == before.cursor => {
                    let message = format!("the subscriber goes on from where it was: {error}");
                    return Err(Failure::new(ErrorCode::Failed, message)
                        .hint("if its version does not know this, its owner has to update it"));
                }
                (None, _) => return Ok(()),
            }
            if moves.changed().await.is_err() {
                // Nobody is told any more.
                std::future::pending::<()>().await;
            }
        }
    }

    /// A subscription that the caller holds here.
    async fn of(&self, caller: &Caller, id: SubscriptionId) -> Result<SubscriptionState, Failure> {
        let state = self.store.subscription(id).await?;
        let owned = |state: &SubscriptionState| is_owner(caller, &state.subscription, Operation::Attach);
        state.filter(owned).ok_or_else(|| not_found(id))
    }
}
