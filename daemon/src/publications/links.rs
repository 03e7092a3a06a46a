use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coattail::id::{PeerId, SubscriptionId};
use coattail::kill_point;
use coattail::wire::peer::{Attach, Reached};
use coattail::wire::{ErrorCode, Failure};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::RetrySchedule;
use crate::session::Sessions;
use crate::store::{HeldSubscription, Store};

/// An attachment that its publisher ends sooner counts as a failure: to come back at once could go on for ever.
const SHORT: Duration = Duration::from_secs(5);

/// How long a publisher may take to answer what is attached.
const ATTACH_LIMIT: Duration = Duration::from_secs(10);

/// Keeps a session to every peer at which this instance holds subscriptions, and attaches them to it, so that what is
/// published comes over a connection that we opened: nobody has to be able to dial us. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Links {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    sessions: Sessions,
    retry: RetrySchedule,
    // Held for map operations, never over an await.
    state: Mutex<State>,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

#[derive(Default)]
struct State {
    links: HashMap<PeerId, Arc<Notify>>,
    /// Stored here and perhaps not yet at the publisher, who would call them unknown.
    unconfirmed: HashSet<SubscriptionId>,
    running: bool,
}

impl Links {
    pub(crate) fn new(store: Store, sessions: Sessions, retry: RetrySchedule) -> Self {
        let inner = Inner {
            store,
            sessions,
            retry,
            state: Mutex::default(),
            tracker: TaskTracker::new(),
            cancel: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Links to every peer at which a subscription is held.
    pub(crate) async fn start(&self) -> Result<(), Failure> {
        self.state().running = true;
        for subscription in self.inner.store.held().await? {
            self.refresh(subscription.held.peer);
        }
        Ok(())
    }

    /// A subscription is about to be stored; it is not attached before the guard is dropped.
    pub(crate) fn begin(&self, peer: PeerId, id: SubscriptionId) -> Unconfirmed {
        self.state().unconfirmed.insert(id);
        Unconfirmed { links: self.clone(), peer, id }
    }

    /// What is held at a peer has changed.
    pub(crate) fn refresh(&self, peer: PeerId) {
        let mut state = self.state();
        if !state.running {
            return;
        }
        if let Some(link) = state.links.get(&peer) {
            link.notify_one();
            return;
        }
        let changed = Arc::new(Notify::new());
        state.links.insert(peer, changed.clone());
        drop(state);
        let (links, cancel) = (self.clone(), self.inner.cancel.clone());
        self.inner.tracker.spawn(async move {
            cancel.run_until_cancelled(links.keep(peer, changed)).await;
        });
    }

    /// Ends all links and waits for them.
    pub(crate) async fn close(&self) {
        self.inner.cancel.cancel();
        self.inner.tracker.close();
        self.inner.tracker.wait().await;
        self.state().links.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep(&self, peer: PeerId, changed: Arc<Notify>) {
        let mut failures = 0_u32;
        loop {
            match self.attach(peer, &changed).await {
                Ok(Attachment::Changed) => failures = 0,
                Ok(Attachment::Ended(lasted)) => {
                    // The first time at once: the publisher may only have restarted.
                    failures = if lasted < SHORT { failures.saturating_add(1) } else { 0 };
                    if failures > 1 {
                        self.pause(failures, &changed).await;
                    }
                }
                Ok(Attachment::Nothing) => {
                    // The entry stays: the next subscription at this peer finds it and wakes us.
                    changed.notified().await;
                }
                Err(failure) => {
                    failures = failures.saturating_add(1);
                    if failures == 1 {
                        tracing::info!(%peer, %failure, "cannot attach to a publisher; trying again");
                    } else {
                        tracing::debug!(%peer, %failure, failures, "cannot attach to a publisher");
                    }
                    self.pause(failures, &changed).await;
                }
            }
        }
    }

    async fn pause(&self, failures: u32, changed: &Notify) {
        let delay = self.inner.retry.delay(failures, None, rand::random()).unwrap_or(ATTACH_LIMIT);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = changed.notified() => {}
        }
    }

    /// Forgets a subscription that is over at its publisher. It may have been forgotten already.
    pub(super) async fn forget(&self, id: SubscriptionId) -> Result<(), Failure> {
        match self.inner.store.revoke_token(id).await {
            Err(error) if error.code() != ErrorCode::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    async fn attach(&self, peer: PeerId, changed: &Notify) -> Result<Attachment, Failure> {
        let (store, sessions) = (&self.inner.store, &self.inner.sessions);
        let mut held = store.held_at(peer).await?;
        // After the look at the rows: what is confirmed meanwhile is known to the publisher.
        held.retain(|held| !self.state().unconfirmed.contains(&held.id));
        let (false, Some(row)) = (held.is_empty(), store.peer(peer).await?) else { return Ok(Attachment::Nothing) };
        let session = match sessions.get_or_dial(&sessions.target(&row.jwt, row.issuer).await?).await {
            Err(failure) if failure.code == ErrorCode::TokenRevoked => {
                tracing::warn!(%peer, %failure, "the peer has revoked our token; the subscriptions made with it have ended");
                for held in held {
                    self.forget(held.id).await?;
                }
                return Ok(Attachment::Nothing);
            }
            session => session?,
        };
        let subscriptions: Vec<_> = held.iter().map(|held| held.id).collect();
        let reached = |held: &HeldSubscription| held.stored.map(|place| Reached { subscription: held.id, place });
        let places = held.iter().filter_map(reached).collect();
        let attach = Attach { subscriptions: subscriptions.clone(), places };
        kill_point!("attach.before-send");
        let attached = session.call_within(ATTACH_LIMIT, &attach).await?;
        kill_point!("attach.answered");
        for id in attached.unknown.into_iter().filter(|id| subscriptions.contains(id)) {
            tracing::warn!(subscription = %id, %peer, "the publisher has ended the subscription");
            self.forget(id).await?;
        }
        if let Some(restored) = attached.restored {
            let time = jiff::Timestamp::from_millisecond(restored).map(|time| time.to_string()).unwrap_or_default();
            for subscription in store.note_restored(subscriptions.clone(), restored).await? {
                tracing::warn!(%subscription, %peer, restored = %time,
                    "the publisher was restored from a backup: what it had accepted and not delivered may be lost");
            }
        }
        tracing::debug!(%peer, count = subscriptions.len(), "attached");
        let since = Instant::now();
        tokio::select! {
            () = session.closed() => Ok(Attachment::Ended(since.elapsed())),
            () = changed.notified() => Ok(Attachment::Changed),
        }
    }
}

/// Keeps a subscription from being attached until the publisher has had the chance to store it.
pub(crate) struct Unconfirmed {
    links: Links,
    peer: PeerId,
    id: SubscriptionId,
}

impl Unconfirmed {
    pub(super) fn id(&self) -> SubscriptionId {
        self.id
    }
}

impl Drop for Unconfirmed {
    fn drop(&mut self) {
        self.links.state().unconfirmed.remove(&self.id);
        // Also when nobody waits for the answer any more: the publisher may have it, and says so when it is attached.
        self.links.refresh(self.peer);
    }
}

/// How an attachment went.
enum Attachment {
    /// It was there so long, until the session ended.
    Ended(Duration),
    /// What is held has changed.
    Changed,
    /// Nothing is held there any more.
    Nothing,
}
