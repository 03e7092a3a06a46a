use coattail::id::SubscriptionId;
use coattail::wire::peer::Reached;
use coattail::wire::places::{Locate, Located, Move, Reset};
use coattail::wire::subscriptions::{ResetSubscription, Resetting};
use coattail::wire::{ErrorCode, Failure};

use crate::publications::subscribe::STEP_LIMIT;
use crate::publications::subscriptions::{not_ours, oldest};
use crate::publications::{Inbox, Links};
use crate::session::{Caller, Sessions};
use crate::store::{Error, Jump, Peer, Pending, Store};
use crate::tokens::{Operation, authorize, inspect};

/// The side that subscribes: its place in a log is what counts. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SubscriberResets {
    store: Store,
    sessions: Sessions,
    inbox: Inbox,
    links: Links,
}

impl SubscriberResets {
    pub(crate) fn new(store: Store, sessions: Sessions, inbox: Inbox, links: Links) -> Self {
        Self { store, sessions, inbox, links }
    }

    /// The owner wants a subscription to go on from elsewhere.
    pub(crate) async fn reset(&self, request: ResetSubscription) -> Result<Resetting, Failure> {
        let ResetSubscription { subscription: id, from, dry_run } = request;
        let peer = self.peer_of(id).await?;
        let Located { place, begun } = self.locate(&peer, Locate { subscription: id, from }).await?;
        let ended = |error| match error {
            Error::Missing(_) => not_ours(id),
            error => error.into(),
        };
        let (jump, told) = if dry_run {
            (self.store.weigh_reset(id, place).await.map_err(ended)?, false)
        } else {
            let jump = self.store.reset_held(id, place, Pending::Skipped).await.map_err(ended)?;
            tracing::info!(subscription = %id, peer = %peer.id, after = place.sequence, "the subscription goes on from elsewhere");
            self.inbox.look_again().await?;
            (jump, self.tell(&peer, Reached { subscription: id, place }).await)
        };
        let Jump { again, skipped } = jump;
        Ok(Resetting { id, after: place.sequence, again, skipped, oldest: begun.oldest.map(oldest), told })
    }

    /// The publisher's owner wants it: it may, with the token with which it delivers.
    pub(crate) async fn go_on(&self, caller: &Caller, request: Move) -> Result<(), Failure> {
        let Reached { subscription, place } = request.reached;
        let ended = || Failure::new(ErrorCode::TokenRevoked, "the subscription has ended");
        let token = self.store.token(subscription).await?.ok_or_else(ended)?;
        let held = token.held.ok_or_else(ended)?;
        let evidence = self.sessions.evidence(caller).await?;
        let claims = inspect(token.jwt.reveal())?.into_claims();
        let (action, receiver) = (&held.action, &held.receiver);
        authorize(&claims, &evidence, &Operation::Deliver { subscription, action, receiver })?;
        self.store.reset_held(subscription, place, Pending::Kept).await?;
        tracing::info!(%subscription, publisher = %caller.issuer(), after = place.sequence,
            "the publisher has the subscription go on from elsewhere");
        self.inbox.look_again().await
    }

    async fn locate(&self, peer: &Peer, request: Locate) -> Result<Located, Failure> {
        let session = async {
            let target = self.sessions.target(&peer.jwt, peer.issuer).await?;
            self.sessions.get_or_dial(&target).await
        };
        let nothing_changed = |mut failure: Failure| {
            failure.message = format!("nothing was reset, since the publisher knows where that is: {failure}");
            failure
        };
        let session = session.await.map_err(nothing_changed)?;
        session.call_within(STEP_LIMIT, &request).await.map_err(|failure| match failure.code {
            ErrorCode::UnknownMethod => Failure::new(
                ErrorCode::UnsupportedVersion,
                "nothing was reset: the peer's version does not know how to",
            )
            .hint("ask its owner to update it"),
            _ => nothing_changed(failure),
        })
    }

    /// If it cannot be told now, it finds out when we attach.
    async fn tell(&self, peer: &Peer, reached: Reached) -> bool {
        let attempt = async {
            let target = self.sessions.target(&peer.jwt, peer.issuer).await?;
            self.sessions.get_or_dial(&target).await?.call_within(STEP_LIMIT, &Reset { reached }).await
        };
        match tokio::time::timeout(STEP_LIMIT, attempt).await {
            Ok(Ok(_)) => true,
            failed => {
                tracing::info!(subscription = %reached.subscription, peer = %peer.id, ?failed,
                    "the publisher could not be told; it finds out when it delivers, or when we attach");
                self.links.refresh(peer.id);
                false
            }
        }
    }

    async fn peer_of(&self, id: SubscriptionId) -> Result<Peer, Failure> {
        let held = self.store.token(id).await?.and_then(|token| token.held).ok_or_else(|| not_ours(id))?;
        self.store.peer(held.peer).await?.ok_or_else(|| not_ours(id))
    }
}
