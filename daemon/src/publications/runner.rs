use std::sync::Arc;
use std::time::Duration;

use coattail::id::CallId;
use coattail::name::ReceiverName;
use coattail::wire::plugin::Source;
use coattail::wire::{ErrorCode, Failure};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::cause::{Cause, Causes};
use crate::config::RetrySchedule;
use crate::plugins::{LAST_OUTPUT, Plugins, ReceiveCall};
use crate::store::{FailedTry, InboxItem, InboxLane, Store};

/// How receivers are called.
#[derive(Debug, Clone)]
pub(crate) struct ReceiverSettings {
    /// How long a receiver may take, unless its sidecar says otherwise.
    pub(crate) timeout: Duration,
    /// How long to wait after each failure, and when to give up, unless its sidecar says otherwise.
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
                if failure.code == ErrorCode::NotFound {
                    // It was skipped while the receiver was called for it.
                    continue;
                }
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
                        // Or until there is something new: it may be before this one.
                        Ok(wait @ 1..) => {
                            let _ = timeout(Duration::from_millis(wait), self.wake.notified()).await;
                        }
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
        let (call, began) = (CallId::new(), now());
        let Err(failure) = self.receive(call, item, attempt).await else {
            self.store.finish(subscription, place).await?;
            return Ok(());
        };
        let failed = |reason: &str| FailedTry { attempt, began, reason: reason.to_owned() };
        let delay = match failure.code {
            ErrorCode::Rejected => None,
            // Nobody failed; the service is stopping.
            ErrorCode::ShuttingDown => return Ok(()),
            _ => self.delay(&receiver, attempt, &failure),
        };
        match delay {
            Some(delay) => {
                tracing::warn!(%receiver, sequence, attempt, %failure, ?delay, "a receiver failed and is tried again");
                let next = now().saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
                self.store.retry(subscription, place, failed(&failure.message), next).await?;
            }
            None => {
                tracing::error!(%receiver, sequence, attempt, %failure, "a publication went to the dead letters");
                let (reason, output) = self.last_words(&receiver, call, &failure.message).await;
                self.store.bury(subscription, place, failed(&reason), output, now()).await?;
            }
        }
        Ok(())
    }

    /// When to try again: on the schedule, unless the receiver has said when. How often is up to the schedule alone.
    fn delay(&self, receiver: &ReceiverName, attempt: u32, failure: &Failure) -> Option<Duration> {
        let own = self.plugins.retry_schedule(receiver);
        let scheduled = own.as_ref().unwrap_or(&self.settings.retry).delay(attempt, None, rand::random())?;
        let asked = failure.retry_after_ms.filter(|_| failure.code == ErrorCode::RetryLater);
        Some(asked.map_or(scheduled, |asked| Duration::from_millis(asked).clamp(SOONEST, LATEST)))
    }

    /// Why it failed, and what the receiver printed meanwhile: as far as that is known to be of this call, else what it
    /// printed before it died.
    async fn last_words(&self, receiver: &ReceiverName, call: CallId, message: &str) -> (String, String) {
        let (reason, last) = message.split_once(LAST_OUTPUT).unwrap_or((message, ""));
        let printed = self.plugins.printed(receiver, call).await;
        let output = if printed.is_empty() { last.replace(" | ", "\n") } else { printed.join("\n") };
        (cut(reason, REASON), cut(&output, OUTPUT))
    }

    async fn receive(&self, call: CallId, item: InboxItem, attempt: u32) -> Result<(), Failure> {
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

/// The beginning of a text, at most so many bytes.
fn cut(text: &str, most: usize) -> String {
    text[..text.floor_char_boundary(most)].to_owned()
}

/// Bytes of a reason, and of what a receiver printed, that are kept with a dead letter: what a person reads.
const REASON: usize = 2 * 1024;
const OUTPUT: usize = 8 * 1024;

/// Within which bounds a receiver may say when it is to be called again.
const SOONEST: Duration = Duration::from_secs(1);
const LATEST: Duration = Duration::from_hours(24);

fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
