use coattail::id::SubscriptionId;
use coattail::wire::subscriptions::{Flow, HeldSubscription, Pausing};
use coattail::wire::{ErrorCode, Failure};
use jiff::Timestamp;

use super::Inbox;
use crate::store::{Backlog, Error, Store};

/// What this instance is subscribed to, for its owner to look at and to pause. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Subscriptions {
    store: Store,
    inbox: Inbox,
}

impl Subscriptions {
    pub(crate) fn new(store: Store, inbox: Inbox) -> Self {
        Self { store, inbox }
    }

    pub(crate) async fn list(&self) -> Result<Vec<HeldSubscription>, Failure> {
        Ok(self.store.backlogs().await?.into_iter().map(|backlog| self.described(backlog)).collect())
    }

    /// Its receiver is not called any more, or again. A call that is under way ends as it ends.
    pub(crate) async fn pause(&self, id: SubscriptionId, paused: bool) -> Result<Pausing, Failure> {
        self.store.pause(id, paused).await.map_err(|error| match error {
            Error::Missing(_) => Failure::new(ErrorCode::NotFound, format!("there is no subscription {id} of ours"))
                .hint("`coattail subscriptions list` shows them; those of others are `subscribers`"),
            error => error.into(),
        })?;
        if !paused {
            self.inbox.look_again().await?;
        }
        Ok(Pausing { id, paused })
    }

    fn described(&self, backlog: Backlog) -> HeldSubscription {
        let has_failed = backlog.first.as_ref().is_some_and(|first| first.attempts > 0);
        let state = match backlog.peer {
            _ if backlog.paused => Flow::Paused,
            None => Flow::Ended,
            Some(_) if self.inbox.is_full(backlog.subscription) => Flow::Full,
            Some(_) if has_failed => Flow::Failing,
            Some(_) => Flow::Running,
        };
        let time = |millis| Timestamp::from_millisecond(millis).unwrap_or_default().to_string();
        let first = backlog.first;
        HeldSubscription {
            id: backlog.subscription,
            peer: backlog.peer,
            issuer: backlog.publisher,
            action: backlog.action,
            receiver: backlog.receiver,
            filter: backlog.filter,
            sequence: backlog.stored.map(|stored| stored.sequence),
            waiting: backlog.waiting,
            dead: backlog.dead,
            expired: backlog.expired,
            state,
            waiting_since: first.as_ref().map(|first| time(first.since)),
            next_attempt: first
                .as_ref()
                .filter(|_| has_failed && state != Flow::Paused)
                .map(|first| time(first.next_attempt)),
            reason: first.and_then(|first| first.reason),
        }
    }
}
