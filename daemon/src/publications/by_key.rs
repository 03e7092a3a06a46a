use std::sync::atomic::Ordering;
use std::time::Duration;

use coattail::pointer::Pointer;
use coattail::wire::{Failure, Place};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio_util::sync::CancellationToken;

use super::keys::Keys;
use super::runner::{Handled, Runner, STORE_PAUSE, now};
use crate::store::{Error, InboxItem, WhichWaiting};

/// Calls the receiver of a subscription for what waits in the inbox: for different keys at once, in order for each key.
///
/// It looks at every row once, from the first on. What has a key that is taken is passed over, and its key noted in the
/// row, so that it is found again without a look at the others. Nothing held in memory is needed: whoever begins anew
/// looks at every row again, and believes none of the notes beyond the place up to which it has looked itself.
pub(super) struct ByKey<'r> {
    runner: &'r Runner,
    cancel: &'r CancellationToken,
    pointer: Pointer,
    at_once: usize,
    keys: Keys,
    /// Up to where it has looked.
    looked: Option<Place>,
    under_way: FuturesUnordered<BoxFuture<'r, Ended>>,
}

/// What became of a call.
struct Ended {
    key: i64,
    place: Place,
    handled: Result<Handled, Failure>,
}

impl<'r> ByKey<'r> {
    pub(super) fn new(runner: &'r Runner, pointer: Pointer, at_once: usize, cancel: &'r CancellationToken) -> Self {
        let (keys, under_way) = (Keys::default(), FuturesUnordered::new());
        Self { runner, cancel, pointer, at_once, keys, looked: None, under_way }
    }

    /// Until cancelled, or until the sidecar says something else of order. What is under way then finishes; the plugins'
    /// own deadline bounds it.
    pub(super) async fn run(mut self) {
        while self.is_still_wanted() {
            let begun = self.begin().await;
            if let Err(error) = &begun {
                tracing::error!(subscription = %self.runner.lane.subscription, %error, "the inbox could not be read");
            }
            let pause = if begun.is_err() { STORE_PAUSE } else { self.pause() };
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => break,
                Some(ended) = self.under_way.next() => self.settle(ended).await,
                () = self.runner.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
        while let Some(ended) = self.under_way.next().await {
            self.report(&ended);
        }
    }

    fn is_still_wanted(&mut self) -> bool {
        match self.runner.plugins.order(&self.runner.lane.receiver) {
            Some((pointer, at_once)) => {
                self.at_once = at_once;
                pointer.as_ref() == Some(&self.pointer)
            }
            // It is missing, or broken: what fails for that waits for another try.
            None => true,
        }
    }

    /// Begins what may be begun.
    async fn begin(&mut self) -> Result<(), Error> {
        if self.runner.wake.anew.swap(false, Ordering::AcqRel) {
            // Something may have come before the place up to which we have looked.
            self.looked = None;
            self.keys.let_go();
        }
        while self.keys.may_run(self.at_once) {
            let Some((key, place)) = self.keys.due(now()) else { break };
            match read(self.runner, WhichWaiting::At(place)).await? {
                Some(item) => self.start(key, item),
                None => self.follow(key, place).await,
            }
        }
        while self.keys.has_room(self.at_once) && self.look_further().await? {}
        Ok(())
    }

    /// Looks at some of what comes next. Whether there was any.
    async fn look_further(&mut self) -> Result<bool, Error> {
        let subscription = self.runner.lane.subscription;
        let next = self.runner.store.waiting_after(subscription, self.looked, BATCH, BATCH_BYTES).await?;
        let (mut looked, mut notes, mut first) = (self.looked, Vec::new(), Vec::new());
        for row in next {
            if !self.keys.has_room(self.at_once) {
                break;
            }
            looked = Some(row.place);
            let key = Keys::of(&self.pointer, &row.payload);
            let is_taken = self.keys.is_taken(key);
            // A note of another pointer would be believed; one that is missing matters only if it is passed over.
            if row.key.map_or(is_taken, |noted| noted != key) {
                notes.push((row.place, key));
            }
            if is_taken {
                continue;
            }
            if row.due > now() {
                self.keys.hold(key, row.place, row.due);
            } else {
                self.keys.run(key);
                first.push((key, row.place));
            }
        }
        let found = looked != self.looked;
        // Before anything is looked up by them.
        let noted = if notes.is_empty() { Ok(()) } else { self.runner.store.note_keys(subscription, notes).await };
        if noted.is_ok() {
            self.looked = looked;
        }
        for (key, place) in first {
            match read(self.runner, WhichWaiting::At(place)).await {
                Ok(Some(item)) => self.start(key, item),
                Ok(None) => self.follow(key, place).await,
                Err(error) => self.hold_for(error, key, place),
            }
        }
        noted.map(|()| found)
    }

    fn start(&mut self, key: i64, item: InboxItem) {
        self.keys.run(key);
        let (runner, cancel, place) = (self.runner, self.cancel, item.place);
        self.under_way.push(Box::pin(async move { Ended { key, place, handled: runner.handle(item, cancel).await } }));
    }

    async fn settle(&mut self, ended: Ended) {
        self.report(&ended);
        let Ended { key, place, handled } = ended;
        match handled {
            Ok(Handled::Done) => self.follow(key, place).await,
            Ok(Handled::Later(until)) => self.keys.hold(key, place, until),
            Ok(Handled::Left) | Err(_) => self.keys.hold(key, place, later(STORE_PAUSE)),
        }
    }

    fn report(&self, ended: &Ended) {
        if let Err(failure) = &ended.handled {
            tracing::error!(subscription = %self.runner.lane.subscription, %failure, "the inbox could not be written");
        }
    }

    /// What comes next of a key, of which this was the last, if that was passed over.
    async fn follow(&mut self, key: i64, last: Place) {
        let next = match self.looked {
            Some(until) => read(self.runner, WhichWaiting::First { key, until }).await,
            None => Ok(None),
        };
        match next {
            Ok(None) => self.keys.free(key),
            Ok(Some(item)) if item.due() > now() => self.keys.hold(key, item.place, item.due()),
            Ok(Some(item)) => self.start(key, item),
            Err(error) => self.hold_for(error, key, last),
        }
    }

    fn hold_for(&mut self, error: Error, key: i64, place: Place) {
        tracing::error!(subscription = %self.runner.lane.subscription, %error, "the inbox could not be read");
        self.keys.hold(key, place, later(STORE_PAUSE));
    }

    /// Until the time of the next that is held comes, if it may run then.
    fn pause(&self) -> Duration {
        let next = self.keys.next_due().filter(|_| self.keys.may_run(self.at_once));
        let wait = next.map(|next| u64::try_from(next.saturating_sub(now())).unwrap_or_default());
        wait.map_or(LONGEST_PAUSE, Duration::from_millis).min(LONGEST_PAUSE)
    }
}

async fn read(runner: &Runner, which: WhichWaiting) -> Result<Option<InboxItem>, Error> {
    runner.store.waiting(runner.lane.subscription, which).await
}

fn later(pause: Duration) -> i64 {
    now().saturating_add(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX))
}

/// Rows that are looked at together, and bytes of their payloads.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 1024 * 1024;

/// How long the clock is trusted, and the sidecar taken to be what it was.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
