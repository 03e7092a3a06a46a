use std::sync::Arc;
use std::time::Duration;

use coattail::id::CallId;
use coattail::wire::plugin::Source;
use coattail::wire::{ErrorCode, Failure};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::cause::{Cause, Causes};
use crate::config::RetrySchedule;
use crate::plugins::{Plugins, ReceiveCall};
use crate::store::{InboxItem, InboxLane, Store};

/// How receivers are called.
#[derive(Debug, Clone)]
pub(crate) struct ReceiverSettings {
    /// How long a receiver may take, unless its sidecar says otherwise.
    pub(crate) timeout: Duration,
    /// How long to wait after each failure, and when to give up.
    pub(crate) retry: RetrySchedule,
}

/// How long to wait when the store fails: it says so itself, and the publication is safe.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// Calls the receiver of one subscription for what waits in the inbox, in order, one after the other.
pub(super) struct Runner {
    pub(super) store: Store,
    pub(super) plugins: Plugins,
    pub(super) causes: Causes,
    pub(super) settings: ReceiverSettings,
    pub(super) lane: InboxLane,
    pub(super) wake: Arc<Notify>,
}

impl Runner {
    pub(super) async fn run(self, cancel: CancellationToken) {
        loop {
            let next = cancel.run_until_cancelled(self.next()).await;
            let Some(item) = next else { return };
            // Not cancelled from here on, so that a receiver which is under way at a stop can finish; the plugins'
            // own deadline bounds it.
            if let Err(failure) = self.handle(item).await {
                tracing::error!(subscription = %self.lane.subscription, %failure, "the inbox could not be written");
                if cancel.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await.is_none() {
                    return;
                }
            }
        }
    }

    /// The first publication that waits, once its time has come.
    async fn next(&self) -> InboxItem {
        loop {
            match self.store.next_waiting(self.lane.subscription).await {
                Ok(None) => self.wake.notified().await,
                Ok(Some(item)) => {
                    let wait = item.next_attempt.saturating_sub(now());
                    match u64::try_from(wait) {
                        Ok(wait @ 1..) => tokio::time::sleep(Duration::from_millis(wait)).await,
                        _ => return item,
                    }
                }
                Err(error) => {
                    tracing::error!(subscription = %self.lane.subscription, %error, "the inbox could not be read");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    async fn handle(&self, item: InboxItem) -> Result<(), Failure> {
        let (subscription, place) = (item.subscription, item.place);
        let sequence = place.sequence;
        let attempt = item.attempts + 1;
        let receiver = item.receiver.clone();
        let Err(failure) = self.receive(item, attempt).await else {
            self.store.finish(subscription, place).await?;
            return Ok(());
        };
        let delay = match failure.code {
            ErrorCode::Rejected => None,
            // Nobody failed; the service is stopping.
            ErrorCode::ShuttingDown => return Ok(()),
            _ => self.delay(attempt, &failure),
        };
        match delay {
            Some(delay) => {
                tracing::warn!(%receiver, sequence, attempt, %failure, ?delay, "a receiver failed and is tried again");
                let next = now().saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
                self.store.retry(subscription, place, attempt, next, failure.to_string()).await?;
            }
            None => {
                tracing::error!(%receiver, sequence, attempt, %failure, "a publication went to the dead letters");
                self.store.bury(subscription, place, attempt, failure.to_string(), now()).await?;
            }
        }
        Ok(())
    }

    /// When to try again: on the schedule, unless the receiver has said when. How often is up to the schedule alone.
    fn delay(&self, attempt: u32, failure: &Failure) -> Option<Duration> {
        let scheduled = self.settings.retry.delay(attempt, None, rand::random())?;
        let asked = failure.retry_after_ms.filter(|_| failure.code == ErrorCode::RetryLater);
        Some(asked.map_or(scheduled, |asked| Duration::from_millis(asked).clamp(SOONEST, LATEST)))
    }

    async fn receive(&self, item: InboxItem, attempt: u32) -> Result<(), Failure> {
        let call = CallId::new();
        let _cause = self.causes.enter(call, Some(Cause::of(item.id, item.hops)));
        let source = Source {
            id: item.id,
            issuer: item.issuer,
            action: item.action.to_string(),
            sequence: item.place.sequence,
            time: item.time,
            hops: item.hops,
            attempt,
        };
        let cancel = CancellationToken::new();
        let timeout = Some(self.settings.timeout);
        let call = ReceiveCall { call, input: item.payload, source, timeout, follower: None, cancel };
        self.plugins.receive(&item.receiver, call).await
    }
}

/// Within which bounds a receiver may say when it is to be called again.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_hours(24);

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
