use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coattail::id::{PeerId, SubscriptionId};
use coattail::wire::Failure;

use crate::config::Limits;
use crate::store::{Error, Store, Waiting};

/// Whether there is room in the inbox for what comes for a subscription. Cheap to clone.
///
/// What waits is counted once and then kept in mind, so that a delivery counts no rows. Whoever was refused is let in
/// again when an eighth of the room is free, not for each place: its publisher is told then, and begins anew.
#[derive(Clone)]
pub(super) struct Room {
    store: Store,
    most: Waiting,
    // Held for map operations, never over an await. An entry for each subscription that was delivered to.
    held: Arc<Mutex<HashMap<SubscriptionId, Held>>>,
}

#[derive(Debug)]
struct Held {
    waiting: Waiting,
    counted: Instant,
    /// At whom we hold it, if it was refused.
    refused: Option<PeerId>,
}

impl Room {
    pub(super) fn new(store: Store, limits: &Limits) -> Self {
        let most = Waiting {
            count: i64::try_from(limits.inbox).unwrap_or(i64::MAX),
            bytes: i64::try_from(limits.inbox_bytes).unwrap_or(i64::MAX),
        };
        Self { store, most, held: Arc::default() }
    }

    /// Whether another delivery for a subscription may come, and if not, why. One that begins below the limits is taken
    /// whole.
    pub(super) async fn check(&self, id: SubscriptionId, peer: PeerId) -> Result<Result<(), Failure>, Error> {
        let is_known = self.held().get(&id).is_some_and(|held| held.refused.is_none() || held.is_recent());
        if !is_known {
            // Order: what is done with while it is counted is subtracted from nothing, so that it is found too small
            // rather than too large for ever.
            let anew = Held { waiting: Waiting::default(), counted: Instant::now(), refused: None };
            let before = self.held().insert(id, anew);
            let waiting = self.store.waiting_for(id).await?;
            if let Some(held) = self.held().get_mut(&id) {
                held.waiting += waiting;
                held.refused = before.and_then(|before| before.refused);
            }
        }
        let mut all = self.held();
        let Some(held) = all.get_mut(&id) else { return Ok(Ok(())) };
        if held.has_room(self.most) {
            held.refused = None;
            return Ok(Ok(()));
        }
        let Waiting { count, bytes } = held.waiting;
        if held.refused.replace(peer).is_none() {
            tracing::warn!(subscription = %id, count, bytes, "the inbox is full: the publisher keeps what comes now");
        }
        let Waiting { count, bytes } = self.most;
        let message = format!("the inbox is full: {count} publications or {bytes} bytes wait for the receiver");
        Ok(Err(Failure::busy(message)))
    }

    /// So much more waits.
    pub(super) fn add(&self, id: SubscriptionId, more: Waiting) {
        if let Some(held) = self.held().get_mut(&id) {
            held.waiting += more;
        }
    }

    /// One publication waits no more. If that makes room for a subscription that was refused, returns who has to hear
    /// of it.
    pub(super) fn free(&self, id: SubscriptionId, bytes: i64) -> Option<PeerId> {
        let mut all = self.held();
        let held = all.get_mut(&id)?;
        held.waiting += Waiting { count: -1, bytes: -bytes };
        if held.refused.is_some() && held.has_room(self.most) { held.refused.take() } else { None }
    }

    /// What waits has changed in another way: it is counted anew.
    pub(super) fn forget(&self) {
        self.held().retain(|_, held| held.refused.is_some());
    }

    /// Whether deliveries for a subscription are refused.
    pub(super) fn is_full(&self, id: SubscriptionId) -> bool {
        self.held().get(&id).is_some_and(|held| held.refused.is_some())
    }

    fn held(&self) -> MutexGuard<'_, HashMap<SubscriptionId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn has_room(&self, most: Waiting) -> bool {
        let share = |most: i64| if self.refused.is_some() { most - most / 8 } else { most };
        self.waiting.count < share(most.count) && self.waiting.bytes < share(most.bytes)
    }

    fn is_recent(&self) -> bool {
        self.counted.elapsed() < BELIEVED
    }
}

/// How long a count is believed while a subscription is refused: what was dropped by hand is found out then.
const BELIEVED: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::LastTry;
    use crate::store::testing::{at, with_waiting};

    const ONE: Waiting = Waiting { count: 1, bytes: 1 };

    #[tokio::test]
    async fn who_was_refused_is_let_in_again_when_an_eighth_is_free() {
        let (store, id) = with_waiting(9).await;
        let peer = PeerId::new();
        let room = Room::new(store.clone(), &Limits { inbox: 16, ..Limits::default() });
        for _ in 9..16 {
            assert!(room.check(id, peer).await.unwrap().is_ok());
            room.add(id, ONE);
        }
        assert!(!room.is_full(id));
        assert!(room.check(id, peer).await.unwrap().unwrap_err().message.contains(": 16 publications or "));
        assert!(room.is_full(id));
        let freed: Vec<_> = (0..4).map(|_| room.free(id, 1)).collect();
        assert_eq!(freed, [None, None, Some(peer), None]);
        assert!(room.check(id, peer).await.unwrap().is_ok());
        // In a delivery, more can come than there was room for.
        room.add(id, Waiting { count: 50, bytes: 50 });
        assert!(room.check(id, peer).await.unwrap().is_err());
        room.forget();
        assert!(room.is_full(id), "its publisher is to be told");
        store.finish(id, at(1), LastTry { attempt: 1, began: 5, ended: 7 }).await.unwrap();
    }

    #[tokio::test]
    async fn bytes_count_too() {
        let (store, id) = with_waiting(1).await;
        let room = Room::new(store.clone(), &Limits { inbox_bytes: 100, ..Limits::default() });
        let peer = PeerId::new();
        assert!(room.check(id, peer).await.unwrap().is_ok());
        room.add(id, Waiting { count: 1, bytes: 100 });
        assert!(room.check(id, peer).await.unwrap().is_err());
        assert_eq!(room.free(id, 100), Some(peer));
    }
}
