use coattail::id::SubscriptionId;
use coattail::wire::{Place, Raw};
use rusqlite::{OptionalExtension as _, params};

use super::columns::{payload, signed};
use super::inbox::{READY, item, place as read_place};
use super::{Error, InboxItem, Store};

/// A publication that waits for its receiver, as whoever sorts them by keys looks at it.
#[derive(Debug, Clone)]
pub struct Unsorted {
    /// Its place in the publisher's log.
    pub place: Place,
    /// What was noted for it when it was looked at last.
    pub key: Option<i64>,
    /// When it is to be looked at, in milliseconds, as [`InboxItem::due`] says.
    pub due: i64,
    /// What was published.
    pub payload: Raw,
}

/// Which publication of those that wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichWaiting {
    /// This one.
    At(Place),
    /// The first of those that were noted with a key, up to a place.
    First {
        /// As it was noted.
        key: i64,
        /// Up to where keys were noted.
        until: Place,
    },
}

impl Store {
    /// What waits for the receiver of a subscription after a place, in order: at most `max_count`, and no more payload
    /// than `max_bytes`, but at least one if there is any. As with [`next_waiting`](Self::next_waiting), nothing while
    /// it is paused.
    pub async fn waiting_after(
        &self,
        subscription: SubscriptionId,
        after: Option<Place>,
        max_count: usize,
        max_bytes: usize,
    ) -> Result<Vec<Unsorted>, Error> {
        self.read(move |db| {
            let query = format!(
                "SELECT i.epoch, i.sequence, i.key, p.payload, min(i.next_attempt,
                     CASE WHEN i.replayed THEN i.next_attempt ELSE coalesce(p.expires, i.next_attempt) END) AS due
                 FROM inbox i JOIN inbox_cursors c USING (subscription)
                     JOIN inbox_publications p ON p.row = i.publication
                 WHERE i.subscription = ?1 AND (i.epoch, i.sequence) > (?2, ?3) AND {READY}
                 ORDER BY i.epoch, i.sequence LIMIT ?4"
            );
            let mut query = db.prepare_cached(&query)?;
            // Before every place.
            let after = after.unwrap_or(Place { epoch: i64::MIN, sequence: 0 });
            let key = params![subscription.to_string(), after.epoch, signed(after.sequence), signed(max_count as u64)];
            let mut rows = query.query(key)?;
            let (mut found, mut bytes) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                bytes += row.get_ref("payload")?.as_str().map_or(0, str::len);
                if bytes > max_bytes && !found.is_empty() {
                    break;
                }
                found.push(Unsorted {
                    place: read_place(row)?,
                    key: row.get("key")?,
                    due: row.get("due")?,
                    payload: payload(row, "payload")?,
                });
            }
            Ok(found)
        })
        .await
    }

    /// Notes the keys of what waits; what does not any more is passed over.
    pub async fn note_keys(&self, subscription: SubscriptionId, keys: Vec<(Place, i64)>) -> Result<(), Error> {
        self.write(move |group| {
            let id = subscription.to_string();
            let query = "UPDATE inbox SET key = ?4 WHERE subscription = ?1 AND epoch = ?2 AND sequence = ?3";
            let mut query = group.db().prepare_cached(query)?;
            for (place, key) in keys {
                query.execute(params![id, place.epoch, signed(place.sequence), key])?;
            }
            Ok(())
        })
        .await
    }

    /// One publication that waits for the receiver of a subscription, whether or not its time has come. Nothing while it
    /// is paused.
    pub async fn waiting(&self, subscription: SubscriptionId, which: WhichWaiting) -> Result<Option<InboxItem>, Error> {
        self.read(move |db| {
            let query = which.query();
            let (key, place) = match which {
                WhichWaiting::At(place) => (0, place),
                WhichWaiting::First { key, until } => (key, until),
            };
            let key = params![subscription.to_string(), place.epoch, signed(place.sequence), key];
            Ok(db.prepare_cached(&query)?.query_row(key, item).optional()?)
        })
        .await
    }
}

impl WhichWaiting {
    fn query(self) -> String {
        // Without being told, SQLite would look at all that wait for one that is not there.
        let (index, condition) = match self {
            Self::At(_) => ("", "?4 = 0 AND (i.epoch, i.sequence) = (?2, ?3)"),
            Self::First { .. } => ("INDEXED BY inbox_key", "i.key = ?4 AND (i.epoch, i.sequence) <= (?2, ?3)"),
        };
        format!(
            "SELECT p.*, i.subscription, i.attempts, i.next_attempt, i.reason, i.replayed, c.receiver
             FROM inbox i {index} JOIN inbox_cursors c USING (subscription)
                 JOIN inbox_publications p ON p.row = i.publication
             WHERE i.subscription = ?1 AND {condition} AND {READY} ORDER BY i.epoch, i.sequence LIMIT 1"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Pending;
    use crate::store::testing::{at, tried, with_waiting};

    #[tokio::test]
    async fn what_waits_is_found_by_place_and_by_key() {
        let (store, id) = with_waiting(6).await;
        let after = async |after: Option<u64>, count, bytes| {
            let found = store.waiting_after(id, after.map(at), count, bytes).await.unwrap();
            found.iter().map(|one| (one.place.sequence, one.key)).collect::<Vec<_>>()
        };
        assert_eq!(after(None, 2, 999).await, [(1, None), (2, None)]);
        assert_eq!(after(Some(4), 9, 999).await, [(5, None), (6, None)]);
        assert_eq!(after(Some(0), 9, 1).await, [(1, None)], "each has seven bytes");
        let keys = [(1, 7), (2, 8), (4, 7), (6, 7), (99, 7)];
        store.note_keys(id, keys.map(|(sequence, key)| (at(sequence), key)).to_vec()).await.unwrap();
        assert_eq!(after(Some(2), 2, 999).await, [(3, None), (4, Some(7))]);
        let first = async |key, until| {
            let found = store.waiting(id, WhichWaiting::First { key, until: at(until) }).await.unwrap();
            found.map(|item| item.place.sequence)
        };
        assert_eq!((first(7, 6).await, first(8, 6).await, first(9, 6).await), (Some(1), Some(2), None));
        store.finish(id, at(1), tried()).await.unwrap();
        assert_eq!((first(7, 3).await, first(7, 4).await), (None, Some(4)));
        let place = async |sequence| store.waiting(id, WhichWaiting::At(at(sequence))).await.unwrap().is_some();
        assert_eq!((place(1).await, place(2).await, place(3).await), (false, true, true));

        store.reset_held(id, at(3), Pending::Kept).await.unwrap();
        assert_eq!((first(7, 6).await, place(2).await, place(5).await), (None, true, false), "5 comes again");
        store.pause(id, true).await.unwrap();
        assert_eq!((first(8, 6).await, place(2).await, after(None, 9, 999).await), (None, false, vec![]));
    }

    #[tokio::test]
    async fn a_key_is_found_without_a_look_at_the_others() {
        let (store, id) = with_waiting(1).await;
        let plan = format!("EXPLAIN QUERY PLAN {}", WhichWaiting::First { key: 1, until: at(9) }.query());
        let detail = store.read(move |db| {
            let mut plan = db.prepare(&plan)?;
            let rows = plan.query_map(params![id.to_string(), 0, 9, 1], |row| row.get::<_, String>("detail"))?;
            Ok(rows.collect::<Result<Vec<_>, _>>()?.join("\n"))
        });
        let detail = detail.await.unwrap();
        assert!(detail.contains("inbox_key (subscription=? AND key=? AND"), "{detail}");
        assert!(!detail.contains("TEMP B-TREE"), "{detail}");
    }
}
