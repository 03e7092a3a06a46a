use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
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
    links: HashMap<PeerId, Arc<Link>>,
    /// Stored here and perhaps not yet at the publisher, who would call them unknown.
    unconfirmed: HashSet<SubscriptionId>,
    running: bool,
}

/// What is said to the task that keeps one.
struct Link {
    changed: Notify,
    /// Whether the publisher is to hear how far the subscriptions have got. Once on each session, and when that has
    /// changed otherwise than by a delivery: told beside deliveries, it would be out of date.
    places: AtomicBool,
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
            link.places.store(true, Ordering::Release);
            link.changed.notify_one();
            return;
        }
        let link = Arc::new(Link { changed: Notify::new(), places: AtomicBool::new(true) });
        state.links.insert(peer, link.clone());
        drop(state);
        let (links, cancel) = (self.clone(), self.inner.cancel.clone());
        self.inner.tracker.spawn(async move {
            cancel.run_until_cancelled(links.keep(peer, &link)).await;
        });
    }

    /// There is room for what a publisher was told to keep: it goes on when it is attached to anew.
    pub(super) fn go_on(&self, peer: PeerId) {
        if let Some(link) = self.state().links.get(&peer) {
            link.changed.notify_one();
        }
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

    async fn keep(&self, peer: PeerId, link: &Link) {
        let (mut failures, changed) = (0_u32, &link.changed);
        loop {
            let attached = self.attach(peer, link).await;
            if !matches!(attached, Ok(Attachment::Changed)) {
                link.places.store(true, Ordering::Release);
            }
            match attached {
                Ok(Attachment::Changed) => failures = 0,
                Ok(Attachment::Ended(lasted)) => {
                    // The first time at once: the publisher may only have restarted.
                    failures = if lasted < SHORT { failures.saturating_add(1) } else { 0 };
                    if failures > 1 {
                        self.pause(failures, changed).await;
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
                    self.pause(failures, changed).await;
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

    /// What is to be attached at a publisher, and how far each has got.
    async fn held(&self, peer: PeerId) -> Result<Vec<HeldSubscription>, Failure> {
        let mut held = self.inner.store.held_at(peer).await?;
        // After the look at the rows: what is confirmed meanwhile is known to the publisher.
        held.retain(|held| !self.state().unconfirmed.contains(&held.id));
        Ok(held)
    }

    async fn attach(&self, peer: PeerId, link: &Link) -> Result<Attachment, Failure> {
        // Before the look at the rows, so that no change of them is overlooked.
        let tells_places = link.places.swap(false, Ordering::AcqRel);
        let (store, sessions) = (&self.inner.store, &self.inner.sessions);
        let held = self.held(peer).await?;
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
        // Again: to dial takes time, and what is stored meanwhile would be taken for lost.
        let held = self.held(peer).await?;
        let subscriptions: Vec<_> = held.iter().map(|held| held.id).collect();
        let reached = |held: &HeldSubscription| held.stored.map(|place| Reached { subscription: held.id, place });
        let places = held.iter().filter(|_| tells_places).filter_map(reached).collect();
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
            () = link.changed.notified() => Ok(Attachment::Changed),
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
