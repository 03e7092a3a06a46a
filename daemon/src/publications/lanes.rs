use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coattail::name::ActionName;
use tokio::sync::Notify;

use super::delivery::LaneKey;

/// The lanes at work, and the subscribers who have everything: for those there is no lane until there is something new,
/// so that a subscription which has nothing to get costs a few bytes.
///
/// No I/O, and no lock of its own.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    working: HashMap<LaneKey, Arc<Wake>>,
    readers: HashMap<ActionName, Readers>,
}

/// Who is told when there is something new in the log of an action. Whoever waits to try again is not: what is published
/// costs nothing for those who are not there.
#[derive(Debug, Default)]
struct Readers {
    listening: HashMap<LaneKey, Arc<Wake>>,
    resting: HashSet<LaneKey>,
}

/// Tells a lane to look again.
#[derive(Debug, Default)]
pub(super) struct Wake {
    notify: Notify,
    /// Whether it was told so since it last began to listen.
    told: AtomicBool,
}

impl Wake {
    /// Waits until it is told; what it was told meanwhile is kept.
    pub(super) async fn told(&self) {
        self.notify.notified().await;
    }

    fn tell(&self) {
        self.told.store(true, Ordering::Release);
        self.notify.notify_one();
    }
}

impl Lanes {
    /// Has a lane look again. If there is none, one is to be started with what is returned.
    pub(super) fn begin(&mut self, key: &LaneKey) -> Option<Arc<Wake>> {
        if self.tell(key) {
            return None;
        }
        if let Some(readers) = self.readers.get_mut(&key.action) {
            readers.resting.remove(key);
        }
        let wake = Arc::<Wake>::default();
        self.working.insert(key.clone(), wake.clone());
        Some(wake)
    }

    /// Has a lane look again, if it is at work.
    pub(super) fn tell(&self, key: &LaneKey) -> bool {
        let lane = self.working.get(key);
        lane.inspect(|wake| wake.tell()).is_some()
    }

    /// There is something new in a log. Returns those for whom a lane is to be begun.
    pub(super) fn publish(&mut self, action: &ActionName) -> HashSet<LaneKey> {
        let Some(readers) = self.readers.get_mut(action) else { return HashSet::new() };
        for (_, wake) in readers.listening.drain() {
            wake.tell();
        }
        std::mem::take(&mut readers.resting)
    }

    /// A lane is about to look into its log: from now on it is told.
    pub(super) fn listen(&mut self, key: &LaneKey, wake: &Arc<Wake>) {
        wake.told.store(false, Ordering::Release);
        self.readers(key).listening.entry(key.clone()).or_insert_with(|| wake.clone());
    }

    /// A lane has found nothing to do. Returns whether it ends, since nobody has told it to look again.
    pub(super) fn rest(&mut self, key: &LaneKey, wake: &Arc<Wake>) -> bool {
        if wake.told.load(Ordering::Acquire) {
            return false;
        }
        self.end(key, wake);
        self.readers(key).resting.insert(key.clone());
        true
    }

    /// Somebody has everything: there is no lane for it yet.
    pub(super) fn add_resting(&mut self, key: LaneKey) {
        if !self.working.contains_key(&key) {
            self.readers(&key).resting.insert(key);
        }
    }

    /// A lane ends.
    pub(super) fn end(&mut self, key: &LaneKey, wake: &Arc<Wake>) {
        if self.working.get(key).is_some_and(|working| Arc::ptr_eq(working, wake)) {
            self.working.remove(key);
        }
        if let Some(readers) = self.readers.get_mut(&key.action)
            && readers.listening.get(key).is_some_and(|listening| Arc::ptr_eq(listening, wake))
        {
            readers.listening.remove(key);
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }

    fn readers(&mut self, key: &LaneKey) -> &mut Readers {
        if !self.readers.contains_key(&key.action) {
            self.readers.insert(key.action.clone(), Readers::default());
        }
        self.readers.get_mut(&key.action).expect("just inserted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use coattail::id::IssuerHash;

    fn action(name: &str) -> ActionName {
        ActionName::new(name).unwrap()
    }

    fn key(subscriber: &str) -> LaneKey {
        LaneKey { subscriber: IssuerHash::of_public_key(subscriber), action: action("a"), filter: None }
    }

    #[test]
    fn whoever_has_everything_has_no_lane_until_there_is_something_new() {
        let (mut lanes, key) = (Lanes::default(), key("them"));
        let wake = lanes.begin(&key).expect("there was none");
        lanes.listen(&key, &wake);
        assert!(lanes.rest(&key, &wake));
        assert!(!lanes.tell(&key), "it has ended");
        assert!(lanes.publish(&action("b")).is_empty());
        assert_eq!(lanes.publish(&action("a")), HashSet::from([key.clone()]));
        assert!(lanes.publish(&action("a")).is_empty(), "once");
        assert!(lanes.begin(&key).is_some());
    }

    #[test]
    fn what_comes_while_a_lane_looks_is_not_overlooked() {
        let (mut lanes, key) = (Lanes::default(), key("them"));
        let wake = lanes.begin(&key).expect("there was none");
        lanes.listen(&key, &wake);
        assert!(lanes.publish(&action("a")).is_empty(), "it is at work");
        assert!(!lanes.rest(&key, &wake));
        lanes.listen(&key, &wake);
        assert!(lanes.begin(&key).is_none(), "somebody has come back");
        assert!(!lanes.rest(&key, &wake));
        lanes.listen(&key, &wake);
        assert!(lanes.rest(&key, &wake));
    }

    #[test]
    fn whoever_waits_to_try_again_is_told_once() {
        let (mut lanes, key) = (Lanes::default(), key("them"));
        let wake = lanes.begin(&key).expect("there was none");
        lanes.listen(&key, &wake);
        lanes.publish(&action("a"));
        wake.told.store(false, Ordering::Release);
        lanes.publish(&action("a"));
        assert!(!wake.told.load(Ordering::Acquire));
        assert!(lanes.tell(&key), "but by whom it waits for");
        assert!(wake.told.load(Ordering::Acquire));
    }
}
