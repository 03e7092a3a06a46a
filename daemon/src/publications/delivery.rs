use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coattail::filter::Filter;
use coattail::id::{IssuerHash, SubscriptionId};
use coattail::name::ActionName;
use coattail::rpc::Session;
use coattail::wire::Failure;
use coattail::wire::peer::{Ahead, Reached};
use jiff::Timestamp;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::lane::Lane;
use super::lanes::{Lanes, Wake};
use crate::config::RetrySchedule;
use crate::session::Sessions;
use crate::store::{Reader, SetBack, Store, Subscription};

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

impl From<Reader> for LaneKey {
    fn from(Reader { subscriber, action, filter }: Reader) -> Self {
        Self { subscriber, action, filter }
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
    /// Told whenever a subscription has got further, was paused or resumed, was told to go on from elsewhere, or has ended.
    moved: watch::Sender<()>,
    /// Lanes that have failed, and wait to try again.
    away: AtomicUsize,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

/// A lane that has failed, until this is dropped.
pub(super) struct Away {
    delivery: Delivery,
    /// How many there were with it.
    number: usize,
}

impl Away {
    /// When it is its turn, if all who are away are tried again one after the other: what that costs does not grow with
    /// their number. Whoever comes by himself does not wait for it.
    pub(super) fn turn(&self) -> Duration {
        TRIES_EVERY.saturating_mul(u32::try_from(self.number).unwrap_or(u32::MAX))
    }
}

impl Drop for Away {
    fn drop(&mut self) {
        self.delivery.inner.away.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Between two tries to reach subscribers who are away: a hundred of them hold each other up for no more than it takes
/// to try one of them again.
const TRIES_EVERY: Duration = Duration::from_millis(50);

#[derive(Default)]
struct State {
    lanes: Lanes,
    attached: HashMap<SubscriptionId, Session>,
    /// How often anything was attached, and when each of what is attached was.
    visits: u64,
    visited: HashMap<SubscriptionId, u64>,
    /// When those that have failed are tried again.
    next: HashMap<SubscriptionId, Timestamp>,
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
            away: AtomicUsize::new(0),
            tracker: TaskTracker::new(),
            cancel: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Starts the lanes of everyone who is subscribed and behind.
    pub(crate) async fn start(&self) -> Result<(), Failure> {
        self.state().running = true;
        // Order: first all are told of what is new from now on, then a look at who lacks something.
        for key in self.inner.store.readers(false).await? {
            self.state().lanes.add_resting(key.into());
        }
        for key in self.inner.store.readers(true).await? {
            self.ensure_lane(key.into());
        }
        Ok(())
    }

    /// There is something new in the log of an action.
    pub(crate) fn wake(&self, action: &ActionName) {
        self.inner.published.send_replace(());
        let resting = self.state().lanes.publish(action);
        for key in resting {
            self.ensure_lane(key);
        }
    }

    /// Tells from now on when there is something new in a log.
    pub(super) fn news(&self) -> watch::Receiver<()> {
        self.inner.published.subscribe()
    }

    /// A subscription has got further, was paused or resumed, was told to go on from elsewhere, or has ended.
    pub(super) fn note_moved(&self) {
        self.inner.moved.send_replace(());
    }

    /// Tells from now on when subscribers have moved.
    pub(super) fn moves(&self) -> watch::Receiver<()> {
        self.inner.moved.subscribe()
    }

    /// Whether anybody is told anything: the service runs.
    pub(super) fn is_running(&self) -> bool {
        self.state().running
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
        let Some(wake) = state.lanes.begin(&key) else { return };
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
            state.attach(*id, session);
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
                    "the subscriber lacks what it had stored, and gets it again as far as it is kept: it was restored from a backup, or reset, or its message crossed a delivery");
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
        self.state().attach(id, session);
        self.ensure_lane(key);
    }

    /// The session over which a subscription is delivered, if its subscriber has attached it.
    pub(crate) fn attached(&self, id: SubscriptionId) -> Option<Session> {
        self.state().attached.get(&id).filter(|session| !session.is_closed()).cloned()
    }

    /// Which of its visits it was when the subscriber last attached a subscription.
    pub(super) fn visit(&self, id: SubscriptionId) -> u64 {
        self.state().visited.get(&id).copied().unwrap_or_default()
    }

    /// A lane has failed and waits.
    pub(super) fn note_away(&self) -> Away {
        let number = self.inner.away.fetch_add(1, Ordering::Relaxed) + 1;
        Away { delivery: self.clone(), number }
    }

    /// When a subscription that has failed is tried again, if it waits for that.
    pub(super) fn next_attempt(&self, id: SubscriptionId) -> Option<Timestamp> {
        self.state().next.get(&id).copied()
    }

    pub(super) fn note_next(&self, id: SubscriptionId, delay: Duration) {
        self.state().next.insert(id, Timestamp::now().saturating_add(delay).unwrap_or(Timestamp::MAX));
    }

    /// A subscription has ended: its lane looks again, and ends with the last of its subscriptions.
    pub(crate) fn detach(&self, id: SubscriptionId, key: &LaneKey) {
        let mut state = self.state();
        state.attached.remove(&id);
        state.visited.remove(&id);
        state.next.remove(&id);
        state.lanes.tell(key);
        drop(state);
        self.note_moved();
    }

    /// A lane is about to look into its log.
    pub(super) fn listen(&self, key: &LaneKey, wake: &Arc<Wake>) {
        self.state().lanes.listen(key, wake);
    }

    /// A lane has found nothing to do. Returns whether it ends until there is something new.
    pub(super) fn rest(&self, key: &LaneKey, wake: &Arc<Wake>) -> bool {
        self.state().lanes.rest(key, wake)
    }

    /// A lane has no subscription left.
    pub(super) fn end_lane(&self, key: &LaneKey, wake: &Arc<Wake>) {
        self.state().lanes.end(key, wake);
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

impl State {
    fn attach(&mut self, id: SubscriptionId, session: &Session) {
        self.visits += 1;
        self.visited.insert(id, self.visits);
        self.attached.insert(id, session.clone());
    }
}

fn tell_ahead(subscription: SubscriptionId, subscriber: IssuerHash, count: u64) {
    tracing::warn!(%subscription, %subscriber, count,
        "the subscriber has publications that are not in the log here any more: this instance was restored from a backup");
}
