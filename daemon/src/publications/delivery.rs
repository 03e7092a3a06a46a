use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coattail::filter::Filter;
use coattail::id::{IssuerHash, SubscriptionId};
use coattail::name::ActionName;
use coattail::rpc::Session;
use coattail::wire::Failure;
use coattail::wire::peer::{Ahead, Reached};
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::lane::Lane;
use crate::config::RetrySchedule;
use crate::session::Sessions;
use crate::store::{SetBack, Store, Subscription};

/// Which lane: one subscriber's subscriptions to one action that want the same of it. They share it, so that a
/// publication which several of them want is sent and stored once.
///
/// Those with a filter have lanes of their own. So whatever is in a delivery is for everyone to whom it goes, also at
/// subscribers of versions that know nothing of what is skipped; and nothing is looked into for those without.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct LaneKey {
    pub(crate) subscriber: IssuerHash,
    pub(crate) action: ActionName,
    pub(crate) filter: Option<Filter>,
}

impl LaneKey {
    /// The lane of a subscription.
    pub(crate) fn of(subscription: &Subscription) -> Self {
        let Subscription { issuer, action, filter, .. } = subscription;
        Self { subscriber: *issuer, action: action.clone(), filter: filter.clone() }
    }
}

/// Delivers what is published: keeps a lane for everyone who is subscribed, and wakes those that are behind. Cheap to
/// clone.
#[derive(Clone)]
pub(crate) struct Delivery {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    sessions: Sessions,
    retry: RetrySchedule,
    // Held for map operations, never over an await.
    state: Mutex<State>,
    /// Told whenever there is something new in a log.
    published: watch::Sender<()>,
    /// Told whenever a subscriber was told to go on from elsewhere.
    moved: watch::Sender<()>,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

#[derive(Default)]
struct State {
    lanes: HashMap<LaneKey, Arc<Notify>>,
    attached: HashMap<SubscriptionId, Session>,
    /// When lanes that have failed try again.
    next: HashMap<LaneKey, Timestamp>,
    /// False while the instance is opened by a command: then what is published waits for the service.
    running: bool,
}

impl Delivery {
    pub(crate) fn new(store: Store, sessions: Sessions, retry: RetrySchedule) -> Self {
        let inner = Inner {
            store,
            sessions,
            retry,
            state: Mutex::default(),
            published: watch::Sender::default(),
            moved: watch::Sender::default(),
            tracker: TaskTracker::new(),
            cancel: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Starts the lanes of everyone who is subscribed.
    pub(crate) async fn start(&self) -> Result<(), Failure> {
        self.state().running = true;
        for state in self.inner.store.subscriptions().await? {
            self.ensure_lane(LaneKey::of(&state.subscription));
        }
        Ok(())
    }

    /// There is something new in the log of an action.
    pub(crate) fn wake(&self, action: &ActionName) {
        self.inner.published.send_replace(());
        for (key, lane) in &self.state().lanes {
            if key.action == *action {
                lane.notify_one();
            }
        }
    }

    /// Tells from now on when there is something new in a log.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.inner.published.subscribe()
    }

    /// Tells from now on when a subscriber was told to go on from elsewhere; nothing while nobody is told anything, since
    /// the service does not run.
    pub(super) fn moves(&self) -> Option<watch::Receiver<()>> {
        self.state().running.then(|| self.inner.moved.subscribe())
    }

    pub(super) fn note_moved(&self) {
        self.inner.moved.send_replace(());
    }

    /// Cancelled when nothing is delivered any more, since the service stops.
    pub(super) fn closing(&self) -> &CancellationToken {
        &self.inner.cancel
    }

    /// Somebody has subscribed, or come back: a lane that waits looks again.
    pub(crate) fn ensure_lane(&self, key: LaneKey) {
        let mut state = self.state();
        if !state.running {
            return;
        }
        if let Some(lane) = state.lanes.get(&key) {
            lane.notify_one();
            return;
        }
        let wake = Arc::new(Notify::new());
        state.lanes.insert(key.clone(), wake.clone());
        drop(state);
        let lane = Lane {
            delivery: self.clone(),
            store: self.inner.store.clone(),
            sessions: self.inner.sessions.clone(),
            retry: self.inner.retry.clone(),
            key,
            wake,
        };
        self.inner.tracker.spawn(lane.run(self.inner.cancel.clone()));
    }

    /// Delivers these over a session from now on. What was attached to it before no longer is.
    pub(crate) fn attach(&self, session: &Session, subscriptions: Vec<(SubscriptionId, LaneKey)>) {
        let mut state = self.state();
        state.attached.retain(|_, attached| !attached.is_same(session) && !attached.is_closed());
        for (id, _) in &subscriptions {
            state.attached.insert(*id, session.clone());
        }
        drop(state);
        for (_, key) in subscriptions {
            self.ensure_lane(key);
        }
    }

    /// A subscriber says how far its subscriptions have got. What it lacks is delivered again.
    pub(crate) async fn set_back(&self, subscriber: IssuerHash, reached: Vec<Reached>) -> Result<(), Failure> {
        if reached.is_empty() {
            return Ok(());
        }
        for SetBack { subscription, by, ahead } in self.inner.store.set_back(reached).await? {
            if by > 0 {
                tracing::warn!(%subscription, %subscriber, count = by,
                    "the subscriber lacks what it had stored, and gets it again as far as it is kept: it was restored from a backup, or reset");
            }
            if ahead > 0 {
                tell_ahead(subscription, subscriber, ahead);
            }
        }
        Ok(())
    }

    /// A subscriber had got further than the log here knows.
    pub(super) async fn note_ahead(&self, subscriber: IssuerHash, ahead: Ahead) -> Result<(), Failure> {
        let Ahead { subscription, count } = ahead;
        if self.inner.store.note_ahead(subscription, count).await? {
            tell_ahead(subscription, subscriber, count);
        }
        Ok(())
    }

    /// Adds one to those that are delivered over a session.
    pub(crate) fn attach_one(&self, session: &Session, id: SubscriptionId, key: LaneKey) {
        self.state().attached.insert(id, session.clone());
        self.ensure_lane(key);
    }

    /// The session over which a subscription is delivered, if its subscriber has attached it.
    pub(crate) fn attached(&self, id: SubscriptionId) -> Option<Session> {
        self.state().attached.get(&id).filter(|session| !session.is_closed()).cloned()
    }

    /// When the lane of a subscriber tries again, if it waits for that.
    pub(super) fn next_attempt(&self, key: &LaneKey) -> Option<Timestamp> {
        self.state().next.get(key).copied()
    }

    pub(super) fn note_next(&self, key: &LaneKey, next: Option<Timestamp>) {
        let mut state = self.state();
        match next {
            Some(next) => state.next.insert(key.clone(), next),
            None => state.next.remove(key),
        };
    }

    /// A subscription has ended: its lane looks again, and ends with the last of its subscriptions.
    pub(crate) fn detach(&self, id: SubscriptionId, key: &LaneKey) {
        let mut state = self.state();
        state.attached.remove(&id);
        if let Some(lane) = state.lanes.get(key) {
            lane.notify_one();
        }
    }

    /// A lane has no subscription left. False if somebody has subscribed in this very moment.
    pub(super) fn end_lane(&self, key: &LaneKey, wake: &Arc<Notify>) {
        let mut state = self.state();
        if state.lanes.get(key).is_some_and(|lane| Arc::ptr_eq(lane, wake)) {
            state.lanes.remove(key);
        }
    }

    /// Ends all lanes and waits for them. What they had sent and not heard of is sent again at the next start.
    pub(crate) async fn close(&self) {
        self.inner.cancel.cancel();
        self.inner.tracker.close();
        self.inner.tracker.wait().await;
        let mut state = self.state();
        state.attached.clear();
        state.lanes.clear();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn tell_ahead(subscription: SubscriptionId, subscriber: IssuerHash, count: u64) {
    tracing::warn!(%subscription, %subscriber, count,
        "the subscriber has publications that are not in the log here any more: this instance was restored from a backup");
}
