use std::ops::AddAssign;

use coattail::filter::Filter;
use coattail::id::{IssuerHash, PeerId, SubscriptionId};
use coattail::name::{ActionName, ReceiverName};
use coattail::wire::Place;
use rusqlite::Row;

use super::columns::{parsed, parsed_if_any, unsigned};
use super::inbox::place;
use super::{Error, Store};

/// A subscription of ours, and what became of what came with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backlog {
    /// Which one.
    pub subscription: SubscriptionId,
    /// At whom we hold it; `None` if it has ended, and only what it left is here.
    pub peer: Option<PeerId>,
    /// Whose publications.
    pub publisher: IssuerHash,
    /// Of which action.
    pub action: ActionName,
    /// Who handles them.
    pub receiver: ReceiverName,
    /// Up to where everything is stored; `None` if that is not known before the first delivery.
    pub stored: Option<Place>,
    /// How many publications wait for the receiver.
    pub waiting: u64,
    /// How many were given up.
    pub dead: u64,
    /// How many came too late for the receiver.
    pub expired: u64,
    /// Which publications it is for; absent: all, or it is over.
    pub filter: Option<Filter>,
    /// The first of those that wait.
    pub first: Option<Front>,
    /// Whether the owner has paused it.
    pub paused: bool,
}

/// What waits for the receiver of one subscription, or how much more or less that is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Waiting {
    /// How many publications.
    pub count: i64,
    /// The bytes of their payloads, whether or not others need them, too.
    pub bytes: i64,
}

impl AddAssign for Waiting {
    fn add_assign(&mut self, more: Self) {
        self.count += more.count;
        self.bytes += more.bytes;
    }
}

impl Waiting {
    /// The bytes of one payload.
    pub fn bytes_of(payload: &str) -> i64 {
        i64::try_from(payload.len()).unwrap_or(i64::MAX)
    }
}

/// The first publication that waits for a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Front {
    /// Since when it waits, in milliseconds.
    pub since: i64,
    /// How often the receiver was called for it.
    pub attempts: u32,
    /// Not to be tried before this time, in milliseconds.
    pub next_attempt: i64,
    /// Why the last attempt failed.
    pub reason: Option<String>,
}

/// A subscription of ours of which something has waited for long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StuckLane {
    /// Which one.
    pub subscription: SubscriptionId,
    /// Who does not take it.
    pub receiver: ReceiverName,
    /// What waits.
    pub first: Front,
}

impl Store {
    /// Every subscription of ours, and those that have ended and left something. Counts rows.
    pub async fn backlogs(&self) -> Result<Vec<Backlog>, Error> {
        self.read(|db| {
            let query = format!(
                "SELECT s.subscription, t.peer, coalesce(p.issuer, c.publisher) AS publisher,
                     coalesce(t.action, c.action) AS action, coalesce(t.receiver, c.receiver) AS receiver,
                     t.filter, c.epoch, c.sequence, coalesce(c.expired, 0) AS expired, {FRONT},
                     (SELECT count(*) FROM inbox WHERE inbox.subscription = s.subscription) AS waiting,
                     (SELECT count(*) FROM dead_letters d WHERE d.subscription = s.subscription) AS dead,
                     EXISTS (SELECT 1 FROM paused WHERE paused.subscription = s.subscription) AS paused
                 FROM (SELECT id AS subscription FROM issued_tokens WHERE peer IS NOT NULL
                       UNION SELECT subscription FROM inbox_cursors) s
                     LEFT JOIN issued_tokens t ON t.id = s.subscription LEFT JOIN peers p ON p.id = t.peer
                     LEFT JOIN inbox_cursors c ON c.subscription = s.subscription
                     LEFT JOIN inbox i ON {IS_FRONT}
                 ORDER BY s.subscription"
            );
            Ok(db.prepare_cached(&query)?.query_map([], backlog)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// How much waits for the receiver of a subscription. Counts rows.
    pub async fn waiting_for(&self, subscription: SubscriptionId) -> Result<Waiting, Error> {
        self.read(move |db| {
            let query = "SELECT count(*) AS count, coalesce(sum(octet_length(p.payload)), 0) AS bytes
                         FROM inbox i JOIN inbox_publications p ON p.row = i.publication WHERE i.subscription = ?1";
            let waiting = |row: &Row<'_>| Ok(Waiting { count: row.get("count")?, bytes: row.get("bytes")? });
            Ok(db.prepare_cached(query)?.query_row([subscription.to_string()], waiting)?)
        })
        .await
    }

    /// From now on its receiver is called, or is not.
    pub async fn pause(&self, subscription: SubscriptionId, paused: bool) -> Result<(), Error> {
        self.write(move |group| {
            let (db, key) = (group.db(), subscription.to_string());
            let known = "SELECT 1 FROM inbox_cursors WHERE subscription = ?1
                         UNION SELECT 1 FROM issued_tokens WHERE id = ?1 AND peer IS NOT NULL";
            if !db.prepare_cached(known)?.exists([&key])? {
                return Err(Error::Missing("subscription"));
            }
            let change = if paused {
                "INSERT OR IGNORE INTO paused (subscription) VALUES (?1)"
            } else {
                "DELETE FROM paused WHERE subscription = ?1"
            };
            db.prepare_cached(change)?.execute([key])?;
            Ok(())
        })
        .await
    }

    /// Those that are not paused and of which the first publication has waited since before a time, in milliseconds.
    pub async fn stuck(&self, before: i64) -> Result<Vec<StuckLane>, Error> {
        self.read(move |db| {
            let query = format!(
                "SELECT s.subscription, s.receiver, {FRONT} FROM inbox_cursors s JOIN inbox i ON {IS_FRONT}
                 WHERE i.stored < ?1 AND NOT EXISTS (SELECT 1 FROM paused WHERE paused.subscription = s.subscription)
                 ORDER BY i.stored, s.subscription"
            );
            let stuck = |row: &Row<'_>| {
                let (subscription, receiver) = (parsed(row, "subscription")?, parsed(row, "receiver")?);
                Ok(StuckLane { subscription, receiver, first: front(row)? })
            };
            Ok(db.prepare_cached(&query)?.query_map([before], stuck)?.collect::<Result<_, _>>()?)
        })
        .await
    }
}

fn backlog(row: &Row<'_>) -> rusqlite::Result<Backlog> {
    let has_begun = row.get::<_, Option<i64>>("sequence")?.is_some();
    let waits = row.get::<_, Option<i64>>("stored")?.is_some();
    Ok(Backlog {
        subscription: parsed(row, "subscription")?,
        peer: parsed_if_any(row, "peer")?,
        publisher: parsed(row, "publisher")?,
        action: parsed(row, "action")?,
        receiver: parsed(row, "receiver")?,
        stored: has_begun.then(|| place(row)).transpose()?,
        waiting: unsigned(row, "waiting")?,
        dead: unsigned(row, "dead")?,
        expired: unsigned(row, "expired")?,
        filter: parsed_if_any(row, "filter")?,
        first: waits.then(|| front(row)).transpose()?,
        paused: row.get("paused")?,
    })
}

fn front(row: &Row<'_>) -> rusqlite::Result<Front> {
    Ok(Front {
        since: row.get("stored")?,
        attempts: row.get("attempts")?,
        next_attempt: row.get("next_attempt")?,
        reason: row.get("reason")?,
    })
}

/// What there is to know of the first row that waits.
const FRONT: &str = "i.stored, i.attempts, i.next_attempt, i.reason";

/// Whether it is the first of its subscription.
const IS_FRONT: &str = "(i.subscription, i.epoch, i.sequence) = (
    SELECT subscription, epoch, sequence FROM inbox WHERE inbox.subscription = s.subscription
    ORDER BY epoch, sequence LIMIT 1)";

#[cfg(test)]
mod tests {
    use coattail::id::SubscriptionId;

    use crate::store::Error;
    use crate::store::testing::{at, failed, hold, receiver, with_waiting};

    #[tokio::test]
    async fn a_backlog_tells_what_waits_and_why() {
        let (store, id) = with_waiting(3).await;
        let idle = hold(&store, "them", "a", "idle").await;
        store.bury(id, at(1), failed(8, "no"), String::new(), 5).await.unwrap();
        store.retry(id, at(2), failed(2, "busy"), 7000).await.unwrap();
        let backlogs = store.backlogs().await.unwrap();
        let of = |id| backlogs.iter().find(|backlog| backlog.subscription == id).unwrap();
        let ours = of(id);
        assert_eq!((backlogs.len(), ours.waiting, ours.dead, ours.stored), (2, 2, 1, Some(at(3))));
        let first = ours.first.as_ref().unwrap();
        assert_eq!((first.attempts, first.next_attempt, first.reason.as_deref()), (2, 7000, Some("busy")));
        assert_eq!((of(idle).waiting, &of(idle).receiver, &of(idle).first), (0, &receiver("idle"), &None));

        let stuck = store.stuck(first.since + 1).await.unwrap();
        assert!(stuck.iter().map(|stuck| (stuck.subscription, &stuck.first)).eq([(id, first)]));
        assert!(store.stuck(first.since).await.unwrap().is_empty());

        store.pause(id, true).await.unwrap();
        store.pause(id, true).await.unwrap();
        assert!(store.next_waiting(id).await.unwrap().is_none());
        assert!(store.stuck(first.since + 1).await.unwrap().is_empty());
        store.pause(id, false).await.unwrap();
        assert!(store.next_waiting(id).await.unwrap().is_some());
        assert!(matches!(store.pause(SubscriptionId::new(), true).await, Err(Error::Missing(_))));

        // What it left is there until it is handled.
        store.revoke_token(id).await.unwrap();
        let left = store.backlogs().await.unwrap().into_iter().find(|backlog| backlog.subscription == id).unwrap();
        assert_eq!((left.peer, left.waiting, left.publisher), (None, 2, ours.publisher));
    }
}
