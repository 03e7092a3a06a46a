use std::sync::Arc;
use std::time::Duration;

use coattail::id::PublicationId;
use coattail::kill_point;
use coattail::name::ActionName;
use coattail::wire::publications::Scheduled;
use coattail::wire::{ErrorCode, Failure, Raw};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::cause::Cause;
use super::delivery::Delivery;
use super::publish::Publisher;
use super::terms::Terms;
use crate::store::{self, Store};

/// How long the clock is trusted: it may be set, and a machine that sleeps does not count.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// What is to be published later. Cheap to clone.
///
/// It is a row until its time has come, and then one in its action's log, by one transaction: after a kill it is one or
/// the other, and what has become due meanwhile is published at the next start.
#[derive(Clone)]
pub(crate) struct Schedule {
    store: Store,
    delivery: Delivery,
    publisher: Publisher,
    /// There is something new, which may be due before all else.
    changed: Arc<Notify>,
}

impl Schedule {
    pub(crate) fn new(store: Store, delivery: Delivery, publisher: Publisher) -> Self {
        Self { store, delivery, publisher, changed: Arc::default() }
    }

    /// Once this returns, it is on disk. `due` is in milliseconds since 1970-01-01 UTC.
    pub(crate) async fn add(
        &self,
        action: ActionName,
        payload: Raw,
        due: i64,
        mut terms: Terms,
        cause: Option<Cause>,
    ) -> Result<Scheduled, Failure> {
        self.publisher.check(&action, cause).await?;
        // It lives from when it is published.
        let ttl = terms.ttl_ms()?;
        terms.ttl = None;
        let draft = self.publisher.draft(&action, payload, terms, cause)?;
        let (id, bytes) = (draft.id(), draft.bytes());
        if !self.store.schedule(draft, due, ttl).await? {
            return Err(Failure::new(ErrorCode::Busy, "too much waits to be published later")
                .hint("`coattail publications scheduled` shows it; `publications unschedule` takes it back"));
        }
        self.changed.notify_one();
        Ok(shown(store::Scheduled { id, action, due, bytes }))
    }

    pub(crate) async fn list(&self) -> Result<Vec<Scheduled>, Failure> {
        Ok(self.store.scheduled().await?.into_iter().map(shown).collect())
    }

    pub(crate) async fn remove(&self, id: PublicationId) -> Result<Scheduled, Failure> {
        self.store.unschedule(id).await?.map(shown).ok_or_else(|| {
            Failure::new(ErrorCode::NotFound, format!("no publication {id} waits for its time"))
                .hint("`coattail publications scheduled` shows what waits; what was published cannot be taken back")
        })
    }

    /// Publishes what is due, until cancelled.
    pub(crate) async fn run(self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.publish()).await;
    }

    async fn publish(&self) {
        loop {
            let wait = match self.publish_due().await {
                Ok(wait) => wait,
                Err(failure) => {
                    tracing::warn!(%failure, "what is due could not be published; it is tried again");
                    LONGEST_SLEEP
                }
            };
            // A notice that came meanwhile is kept, so that nothing is overlooked.
            let _ = tokio::time::timeout(wait.min(LONGEST_SLEEP), self.changed.notified()).await;
        }
    }

    /// Publishes what is due by now, and returns how long to wait for the next.
    async fn publish_due(&self) -> Result<Duration, Failure> {
        let now = Timestamp::now().as_millisecond();
        kill_point!("schedule.before-publish");
        for action in self.store.publish_due(now).await? {
            kill_point!("schedule.published");
            self.delivery.wake(&action);
        }
        let next = self.store.next_due().await?;
        let wait = next.map_or(i64::MAX, |due| due.saturating_sub(now).max(0));
        Ok(Duration::from_millis(wait.unsigned_abs()))
    }
}

fn shown(scheduled: store::Scheduled) -> Scheduled {
    let store::Scheduled { id, action, due, bytes } = scheduled;
    let due = Timestamp::from_millisecond(due).map_or_else(|_| due.to_string(), |time| time.to_string());
    Scheduled { id, action, due, bytes }
}
