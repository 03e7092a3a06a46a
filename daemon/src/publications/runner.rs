use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coattail::id::CallId;
use coattail::kill_point;
use coattail::name::ReceiverName;
use coattail::wire::plugin::Source;
use coattail::wire::{ErrorCode, Failure};
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::by_key::ByKey;
use super::cause::{Cause, Causes};
use super::links::Links;
use super::room::Room;
use crate::config::RetrySchedule;
use crate::plugins::{LAST_OUTPUT, Plugins, ReceiveCall};
use crate::store::{Error, FailedTry, InboxItem, InboxLane, LastTry, Store, Waiting};

/// How receivers are called.
#[derive(Debug, Clone)]
pub(crate) struct ReceiverSettings {
    /// How long a receiver may take, unless its sidecar says otherwise.
    pub(crate) timeout: Duration,
    /// How long to wait after each failure, and when to give up, unless its sidecar says otherwise.
    pub(crate) retry: RetrySchedule,
}

/// How long to wait when the store fails: it says so itself, and the publication is safe.
pub(super) const STORE_PAUSE: Duration = Duration::from_secs(5);

/// How long to wait for the time of another try before the sidecar is looked at again.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Calls the receiver of one subscription for what waits in the inbox: in order, one after the other, or as the sidecar
/// says [by key](ByKey).
pub(super) struct Runner {
    pub(super) store: Store,
    pub(super) plugins: Plugins,
    pub(super) causes: Causes,
    pub(super) links: Links,
    pub(super) room: Room,
    pub(super) settings: ReceiverSettings,
    pub(super) lane: InboxLane,
    pub(super) wake: Arc<Wake>,
}

/// Tells a runner that there is something to do.
#[derive(Debug, Default)]
pub(super) struct Wake {
    notify: Notify,
    /// It may come before what the runner has looked at already.
    pub(super) anew: AtomicBool,
}

impl Wake {
    /// Something has come with a delivery, after everything else.
    pub(super) fn more(&self) {
        self.notify.notify_one();
    }

    /// Something has come, or anything else has changed.
    pub(super) fn anew(&self) {
        self.anew.store(true, Ordering::Release);
        self.notify.notify_one();
    }

    pub(super) async fn notified(&self) {
        self.notify.notified().await;
    }
}

/// What became of a publication.
pub(super) enum Handled {
    /// It does not wait any more.
    Done,
    /// It is tried again, not before this time, in milliseconds.
    Later(i64),
    /// It waits as before: the service is stopping.
    Left,
}

impl Runner {
    pub(super) async fn run(self, cancel: CancellationToken) {
        while let Some(first) = cancel.run_until_cancelled(self.first()).await {
            // After a look whether there is anything to do: to look for the receiver takes longer.
            match self.plugins.order(&self.lane.receiver) {
                Some((Some(pointer), at_once)) => ByKey::new(&self, pointer, at_once, &cancel).run().await,
                // In order, if nothing is known: that is never wrong.
                _ => self.handle_first(first, &cancel).await,
            }
        }
    }

    /// The first publication that waits, whether or not its time has come.
    async fn first(&self) -> InboxItem {
        loop {
            match self.store.next_waiting(self.lane.subscription).await {
                Ok(Some(item)) => return item,
                Ok(None) => self.wake.notified().await,
                Err(error) => {
                    tracing::error!(subscription = %self.lane.subscription, %error, "the inbox could not be read");
                    tokio::time::sleep(STORE_PAUSE).await;
                }
            }
        }
    }

    async fn handle_first(&self, item: InboxItem, cancel: &CancellationToken) {
        if let Ok(wait @ 1..) = u64::try_from(item.due().saturating_sub(now())) {
            // Or until there is something new: it may be before this one.
            let wait = Duration::from_millis(wait).min(LONGEST_PAUSE);
            let _ = cancel.run_until_cancelled(timeout(wait, self.wake.notified())).await;
            return;
        }
        // Not cancelled from here on, so that a receiver which is under way at a stop can finish; the plugins' own
        // deadline bounds it.
        if let Err(failure) = self.handle(item, cancel).await {
            tracing::error!(subscription = %self.lane.subscription, %failure, "the inbox could not be written");
            cancel.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await;
        }
    }

    /// Calls the receiver, and notes what came of it. What was skipped meanwhile is done with.
    pub(super) async fn handle(&self, item: InboxItem, cancel: &CancellationToken) -> Result<Handled, Failure> {
        // What it does could not be noted, so it would be called again for it.
        while self.store.is_writable().is_err() {
            if cancel.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await.is_none() {
                return Ok(Handled::Left);
            }
        }
        match self.call(item, cancel).await {
            Err(Error::Missing(_)) => Ok(Handled::Done),
            handled => Ok(handled?),
        }
    }

    async fn call(&self, item: InboxItem, cancel: &CancellationToken) -> Result<Handled, Error> {
        let (subscription, place) = (item.subscription, item.place);
        let (sequence, bytes) = (place.sequence, Waiting::bytes_of(item.payload.get()));
        if item.expires.is_some_and(|expires| expires <= now()) {
            tracing::info!(receiver = %item.receiver, sequence, "a publication came too late for its receiver: its time is over");
            let last = LastTry { attempt: item.attempts, began: now(), ended: now() };
            self.note(cancel, || self.store.expire(subscription, place, last)).await?;
            self.make_room(bytes);
            return Ok(Handled::Done);
        }
        let attempt = item.attempts + 1;
        let (receiver, expires) = (item.receiver.clone(), item.expires.unwrap_or(i64::MAX));
        let (call, began) = (CallId::new(), now());
        kill_point!("receiver.before-start");
        let Err(failure) = self.receive(call, item, attempt).await else {
            kill_point!("receiver.answered");
            let last = LastTry { attempt, began, ended: now() };
            self.note(cancel, || self.store.finish(subscription, place, last)).await?;
            kill_point!("receiver.finished");
            self.make_room(bytes);
            return Ok(Handled::Done);
        };
        kill_point!("receiver.failed");
        let failed = |reason: &str| FailedTry { attempt, began, reason: reason.to_owned() };
        let delay = match failure.code {
            ErrorCode::Rejected => None,
            // Nobody failed; the service is stopping.
            ErrorCode::ShuttingDown => return Ok(Handled::Left),
            _ => self.delay(&receiver, attempt, &failure),
        };
        match delay {
            Some(delay) => {
                tracing::warn!(%receiver, sequence, attempt, %failure, ?delay, "a receiver failed and is tried again");
                let next = now().saturating_add(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX));
                let retry = || self.store.retry(subscription, place, failed(&failure.message), next);
                self.note(cancel, retry).await?;
                kill_point!("receiver.to-be-retried");
                Ok(Handled::Later(next.min(expires)))
            }
            None => {
                tracing::error!(%receiver, sequence, attempt, %failure, "a publication went to the dead letters");
                let (reason, output) = self.last_words(&receiver, call, &failure.message).await;
                let bury = || self.store.bury(subscription, place, failed(&reason), output.clone(), now());
                self.note(cancel, bury).await?;
                kill_point!("receiver.given-up");
                self.make_room(bytes);
                Ok(Handled::Done)
            }
        }
    }

    /// A publication waits no more. A publisher that was told to wait hears of the room by being attached to anew.
    fn make_room(&self, bytes: i64) {
        if let Some(peer) = self.room.free(self.lane.subscription, bytes) {
            tracing::info!(subscription = %self.lane.subscription, "there is room in the inbox again");
            self.links.go_on(peer);
        }
    }

    /// Puts on disk what has become of a publication, also if the disk does not take it at once: to call the receiver
    /// again is no way out.
    async fn note<F>(&self, cancel: &CancellationToken, write: impl Fn() -> F) -> Result<(), Error>
    where
        F: Future<Output = Result<(), Error>>,
    {
        let mut is_told = false;
        loop {
            match write().await {
                Err(error) if error.is_of_the_disk() => {
                    if !std::mem::replace(&mut is_told, true) {
                        tracing::error!(subscription = %self.lane.subscription, %error,
                            "what a receiver has done cannot be noted, and is tried to be until it can");
                    }
                    if cancel.run_until_cancelled(tokio::time::sleep(STORE_PAUSE)).await.is_none() {
                        return Err(error);
                    }
                }
                written => return written,
            }
        }
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

pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
