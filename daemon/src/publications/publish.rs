use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use coattail::kill_point;
use coattail::name::ActionName;
use coattail::recipient::Recipient;
use coattail::rpc::{MAX_DEPTH, is_deeper_than};
use coattail::wire::peer::Published;
use coattail::wire::raw::one_line;
use coattail::wire::{ErrorCode, Failure, Raw};

use super::cause::Cause;
use super::delivery::Delivery;
use super::terms::{Terms, audience};
use crate::store::{Appended, Audience, Draft, Looped, Store};

/// Room in a frame for what surrounds a payload when it is delivered.
const ENVELOPE: usize = 64 * 1024;

/// How deep a payload may be nested, so that the frame which delivers it stays within [`MAX_DEPTH`].
const PAYLOAD_DEPTH: usize = MAX_DEPTH - 8;

/// Values that are published at once, at the most: other writes wait for them.
const MOST_VALUES: usize = 10_000;

/// Actions of which it is told that a loop has ended there.
const MOST_TOLD: usize = 1_000;

/// Makes values public: one row in the action's log. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Publisher {
    store: Store,
    delivery: Delivery,
    hops: u8,
    max_payload: usize,
    /// Of which actions it was told that a loop has ended there.
    // A std mutex: never held over an await.
    told: Arc<Mutex<HashSet<ActionName>>>,
}

impl Publisher {
    /// `frame` is how much fits into one message to a subscriber: what is larger could never be delivered.
    pub(crate) fn new(store: Store, delivery: Delivery, hops: u8, frame: usize) -> Self {
        Self { store, delivery, hops, max_payload: frame.saturating_sub(ENVELOPE), told: Arc::default() }
    }

    /// Once this returns, the publication is on disk, and will be delivered to everyone who is subscribed now. One of a
    /// name that is there already was on disk before.
    pub(crate) async fn publish(
        &self,
        action: ActionName,
        payload: Raw,
        terms: Terms,
        cause: Option<Cause>,
    ) -> Result<Published, Failure> {
        self.check(&action, cause).await?;
        let draft = self.draft(&action, payload, terms, cause)?;
        kill_point!("publish.before-write");
        let appended = self.store.append(draft).await?;
        kill_point!("publish.accepted");
        self.delivery.wake(&action);
        Ok(published(appended))
    }

    /// Publishes all of them, in one transaction, or none. An error names the value, counted from 1.
    pub(crate) async fn publish_all(
        &self,
        action: ActionName,
        values: Vec<(Raw, Terms)>,
        cause: Option<Cause>,
    ) -> Result<Vec<Published>, Failure> {
        if values.len() > MOST_VALUES {
            let message = format!("there are {} values, at most {MOST_VALUES} are published at once", values.len());
            return Err(Failure::new(ErrorCode::TooLarge, message).hint("publish them in several batches"));
        }
        self.check(&action, cause).await?;
        let draft = |(at, (payload, terms))| {
            self.draft(&action, payload, terms, cause)
                .map_err(|failure| Failure { message: format!("value {at}: {}", failure.message), ..failure })
        };
        let drafts = (1..).zip(values).map(draft).collect::<Result<Vec<_>, _>>()?;
        let appended = self.store.append_all(drafts).await?;
        self.delivery.wake(&action);
        Ok(appended.into_iter().map(published).collect())
    }

    /// Those subscribers of an action that are meant; `None` if all are.
    pub(crate) async fn audience(
        &self,
        action: &ActionName,
        to: Option<Vec<Recipient>>,
    ) -> Result<Option<Audience>, Failure> {
        match to {
            None => Ok(None),
            Some(to) => audience(&self.store, action, to).await.map(Some),
        }
    }

    /// A loop stops by itself: what has come through too many hops is refused, counted, and told once.
    pub(super) async fn check(&self, action: &ActionName, cause: Option<Cause>) -> Result<(), Failure> {
        let Err(failure) = Cause::check(cause, self.hops) else { return Ok(()) };
        if let Some(Cause { publication, hops }) = cause {
            let time = jiff::Timestamp::now().as_millisecond();
            self.store.note_loop(Looped { cause: publication, action: action.clone(), hops, time }).await?;
            if self.is_news(action) {
                tracing::warn!(%action, %publication, %failure,
                    "refused to publish: a loop, or a waterfall that is too long; `coattail trace` shows it, and it is not told again");
            }
        }
        Err(failure)
    }

    fn is_news(&self, action: &ActionName) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST_TOLD && told.insert(action.clone())
    }

    /// Makes a row of what is to be published. What it was caused by counts from now on, whenever it is published.
    pub(super) fn draft(
        &self,
        action: &ActionName,
        payload: Raw,
        terms: Terms,
        cause: Option<Cause>,
    ) -> Result<Draft, Failure> {
        // What is signed are these very bytes, and they travel in lines.
        let payload = one_line(payload);
        let size = payload.get().len();
        if size > self.max_payload {
            let message = format!("the value has {size} bytes, at most {} can be published", self.max_payload);
            return Err(Failure::new(ErrorCode::TooLarge, message).hint(
                "publish where the data can be fetched instead of the data, or raise `limits.frame` at both ends",
            ));
        }
        if is_deeper_than(PAYLOAD_DEPTH, payload.get()) {
            let message = format!("the value is nested deeper than {PAYLOAD_DEPTH} levels");
            return Err(Failure::new(ErrorCode::InvalidInput, message).hint("publish it flatter, or as a text"));
        }
        let (now, ttl) = (jiff::Timestamp::now().as_millisecond(), terms.ttl_ms()?);
        let mut draft = Draft::new(action.clone(), payload, now);
        if let Some(cause) = cause {
            draft = draft.caused_by(cause.publication, cause.hops);
        }
        if let Some(name) = terms.name {
            draft = draft.named(name);
        }
        if let Some(ttl) = ttl {
            draft = draft.expiring(now.saturating_add(ttl));
        }
        if let Some(audience) = terms.to {
            draft = draft.addressed_to(audience);
        }
        Ok(draft)
    }
}

fn published(appended: Appended) -> Published {
    let Appended { id, sequence, duplicate } = appended;
    Published { id, sequence, duplicate }
}
