use coattail::id::{IssuerHash, PublicationId, SubscriptionId};
use coattail::name::{ActionName, ReceiverName};
use coattail::wire::fate::Handling;
use coattail::wire::{Place, Raw};
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::columns::{parsed, parsed_if_any, payload, signed, unsigned};
use super::outcomes::{self, LastTry};
use super::{Error, Store};

/// A subscription with something in the inbox. It may have ended meanwhile: what was accepted is handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxLane {
    /// Which one.
    pub subscription: SubscriptionId,
    /// Whose publications.
    pub publisher: IssuerHash,
    /// From which log.
    pub action: ActionName,
    /// Who handles them.
    pub receiver: ReceiverName,
}

/// A call of a receiver that has failed.
#[derive(Debug, Clone)]
pub struct FailedTry {
    /// Which one, counted from 1.
    pub attempt: u32,
    /// When it began, in milliseconds.
    pub began: i64,
    /// Why it failed.
    pub reason: String,
}

/// A publication that waits for a receiver.
#[derive(Debug, Clone)]
pub struct InboxItem {
    /// For which subscription.
    pub subscription: SubscriptionId,
    /// Its place in the publisher's log.
    pub place: Place,
    /// How often it was tried.
    pub attempts: u32,
    /// Not to be tried before this time, in milliseconds.
    pub next_attempt: i64,
    /// Why the last attempt failed.
    pub reason: Option<String>,
    /// The same at its origin and at everyone who gets it.
    pub id: PublicationId,
    /// Who published it.
    pub issuer: IssuerHash,
    /// For which action.
    pub action: ActionName,
    /// Who handles it.
    pub receiver: ReceiverName,
    /// When it was accepted there, in milliseconds.
    pub time: i64,
    /// What was published.
    pub payload: Raw,
    /// The publication that was being handled when this one was made.
    pub cause: Option<PublicationId>,
    /// How many publications led to this one.
    pub hops: u8,
    /// Until when somebody wants it, in milliseconds; absent: for ever, or it was put back by its owner.
    pub expires: Option<i64>,
}

impl InboxItem {
    /// When it is to be looked at, in milliseconds: when it may be tried, or before that, once its time is over. What
    /// nobody wants any more need not wait for another try.
    pub fn due(&self) -> i64 {
        self.expires.map_or(self.next_attempt, |expires| expires.min(self.next_attempt))
    }
}

impl Store {
    /// The first publication that waits for the receiver of a subscription, whether or not its time has come. Nothing
    /// while it is paused. What lies beyond the place of a subscription that was reset waits until it is delivered again.
    pub async fn next_waiting(&self, subscription: SubscriptionId) -> Result<Option<InboxItem>, Error> {
        self.read(move |db| {
            let query = format!(
                "SELECT p.*, i.subscription, i.attempts, i.next_attempt, i.reason, i.replayed, c.receiver
                 FROM inbox i JOIN inbox_cursors c USING (subscription)
                     JOIN inbox_publications p ON p.row = i.publication
                 WHERE i.subscription = ?1 AND {READY} ORDER BY i.epoch, i.sequence LIMIT 1"
            );
            Ok(db.prepare_cached(&query)?.query_row([subscription.to_string()], item).optional()?)
        })
        .await
    }

    /// Where a subscription that was just made begins, as its publisher says. Without a delivery nobody else knows.
    pub async fn begin_at(&self, subscription: SubscriptionId, place: Place) -> Result<(), Error> {
        self.write(move |group| {
            let Some(lane) = held_lane(group.db(), subscription)? else { return Ok(()) };
            begin(group.db(), &lane, place)
        })
        .await
    }

    /// A publisher says when its database was put back. Returns those of the subscriptions that had not been told so.
    pub async fn note_restored(&self, held: Vec<SubscriptionId>, restored: i64) -> Result<Vec<SubscriptionId>, Error> {
        self.write(move |group| {
            let query = "UPDATE inbox_cursors SET restored = ?2
                         WHERE subscription = ?1 AND coalesce(restored, 0) < ?2 AND ?2 > (
                             SELECT issued FROM issued_tokens WHERE issued_tokens.id = subscription)";
            let mut query = group.db().prepare_cached(query)?;
            let mut told = Vec::new();
            for id in held {
                if query.execute(params![id.to_string(), restored])? == 1 {
                    told.push(id);
                }
            }
            Ok(told)
        })
        .await
    }

    /// Those with something that waits for its receiver.
    pub async fn subscriptions_with_waiting(&self) -> Result<Vec<InboxLane>, Error> {
        self.read(|db| {
            let query = "SELECT * FROM inbox_cursors c
                         WHERE EXISTS (SELECT 1 FROM inbox i WHERE i.subscription = c.subscription)";
            Ok(db.prepare_cached(query)?.query_map([], lane)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The receiver has handled it: the row goes, and the payload with the last row that needs it. Lazily: only if the
    /// machine ends in this moment is the receiver called again.
    pub async fn finish(&self, subscription: SubscriptionId, place: Place, last: LastTry) -> Result<(), Error> {
        self.write_lazily(move |group| {
            outcomes::note(group.db(), subscription, place, Handling::Handled, last)?;
            let row = take_out(group.db(), "DELETE FROM inbox", subscription, place)?;
            release(group.db(), row, 1)?;
            forget_if_drained(group.db(), subscription)?;
            group.tally.waiting -= 1;
            group.tally.handled += 1;
            Ok(())
        })
        .await
    }

    /// Its time was over before a receiver had it: the row goes as if it were handled, and is counted.
    pub async fn expire(&self, subscription: SubscriptionId, place: Place, last: LastTry) -> Result<(), Error> {
        self.write(move |group| {
            outcomes::note(group.db(), subscription, place, Handling::Expired, last)?;
            let db = group.db();
            let row = take_out(db, "DELETE FROM inbox", subscription, place)?;
            release(db, row, 1)?;
            db.prepare_cached("UPDATE inbox_cursors SET expired = expired + 1 WHERE subscription = ?1")?
                .execute([subscription.to_string()])?;
            forget_if_drained(db, subscription)?;
            group.tally.waiting -= 1;
            group.tally.expired += 1;
            Ok(())
        })
        .await
    }

    /// The receiver could not take it: it is tried again at `next_attempt`.
    pub async fn retry(
        &self,
        subscription: SubscriptionId,
        place: Place,
        failed: FailedTry,
        next_attempt: i64,
    ) -> Result<(), Error> {
        self.write(move |group| {
            let query = "UPDATE inbox SET attempts = ?4, next_attempt = ?5, reason = ?6,
                             first_attempt = coalesce(first_attempt, ?7)
                         WHERE subscription = ?1 AND epoch = ?2 AND sequence = ?3";
            let key = subscription.to_string();
            let changed = group.db().prepare_cached(query)?.execute(params![
                key,
                place.epoch,
                signed(place.sequence),
                failed.attempt,
                next_attempt,
                failed.reason,
                failed.began
            ])?;
            if changed == 1 { Ok(()) } else { Err(Error::Missing("publication in the inbox")) }
        })
        .await
    }
}

/// What waits may be given to the receiver: the subscription is not paused, and what comes before it was delivered again
/// if the subscription was reset. If it has ended, nothing more is delivered.
pub(super) const READY: &str = "NOT EXISTS (SELECT 1 FROM paused WHERE paused.subscription = ?1)
    AND ((i.epoch, i.sequence) <= (c.epoch, c.sequence)
        OR NOT EXISTS (SELECT 1 FROM issued_tokens WHERE issued_tokens.id = ?1))";

/// Deletes the cursor of a subscription that has ended once nothing of it is left in the inbox.
pub(super) fn forget_if_drained(db: &Connection, subscription: SubscriptionId) -> Result<(), Error> {
    let drained = db
        .prepare_cached(
            "DELETE FROM inbox_cursors WHERE subscription = ?1
             AND NOT EXISTS (SELECT 1 FROM issued_tokens WHERE id = ?1)
             AND NOT EXISTS (SELECT 1 FROM inbox WHERE subscription = ?1)
             AND NOT EXISTS (SELECT 1 FROM dead_letters WHERE subscription = ?1)",
        )?
        .execute([subscription.to_string()])?;
    if drained > 0 {
        db.prepare_cached("DELETE FROM paused WHERE subscription = ?1")?.execute([subscription.to_string()])?;
    }
    Ok(())
}

/// Begins the cursor of a subscription, unless there is one.
pub(super) fn begin(db: &Connection, lane: &InboxLane, place: Place) -> Result<(), Error> {
    let InboxLane { subscription, publisher, action, receiver } = lane;
    db.prepare_cached(
        "INSERT OR IGNORE INTO inbox_cursors (subscription, publisher, action, receiver, epoch, sequence)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?
    .execute(params![
        subscription.to_string(),
        publisher.to_string(),
        action.as_str(),
        receiver.as_str(),
        place.epoch,
        signed(place.sequence)
    ])?;
    Ok(())
}

/// What a subscription is for, as long as we hold its token.
pub(super) fn held_lane(db: &Connection, subscription: SubscriptionId) -> Result<Option<InboxLane>, Error> {
    let query = "SELECT issued_tokens.id AS subscription, peers.issuer AS publisher, action, receiver
                 FROM issued_tokens JOIN peers ON peers.id = peer WHERE issued_tokens.id = ?1";
    Ok(db.prepare_cached(query)?.query_row([subscription.to_string()], lane).optional()?)
}

/// Has a publication wait for the receiver of a subscription, since this time in milliseconds. Whether it does not do so
/// already.
pub(super) fn wait(db: &Connection, subscription: &str, place: Place, row: i64, stored: i64) -> Result<bool, Error> {
    let query = "INSERT OR IGNORE INTO inbox (subscription, epoch, sequence, publication, stored)
                 VALUES (?1, ?2, ?3, ?4, ?5)";
    let values = params![subscription, place.epoch, signed(place.sequence), row, stored];
    Ok(db.prepare_cached(query)?.execute(values)? == 1)
}

/// Deletes the row of a subscription and returns that of the payload, which it still counts for.
pub(super) fn take_out(
    db: &Connection,
    delete: &str,
    subscription: SubscriptionId,
    place: Place,
) -> Result<i64, Error> {
    let query = format!("{delete} WHERE subscription = ?1 AND epoch = ?2 AND sequence = ?3 RETURNING publication");
    let key = params![subscription.to_string(), place.epoch, signed(place.sequence)];
    let row = db.prepare_cached(&query)?.query_row(key, |row| row.get(0)).optional()?;
    row.ok_or(Error::Missing("publication in the inbox"))
}

/// So many rows less need a payload.
pub(super) fn release(db: &Connection, row: i64, count: i64) -> Result<(), Error> {
    db.prepare_cached("UPDATE inbox_publications SET wanted = wanted - ?2 WHERE row = ?1")?.execute([row, count])?;
    forget_unwanted(db, row)
}

fn forget_unwanted(db: &Connection, row: i64) -> Result<(), Error> {
    db.prepare_cached("DELETE FROM inbox_publications WHERE row = ?1 AND wanted = 0")?.execute([row])?;
    Ok(())
}

fn lane(row: &Row<'_>) -> rusqlite::Result<InboxLane> {
    Ok(InboxLane {
        subscription: parsed(row, "subscription")?,
        publisher: parsed(row, "publisher")?,
        action: parsed(row, "action")?,
        receiver: parsed(row, "receiver")?,
    })
}

/// From the columns `epoch` and `sequence`.
pub(super) fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place { epoch: row.get("epoch")?, sequence: unsigned(row, "sequence")? })
}

pub(super) fn item(row: &Row<'_>) -> rusqlite::Result<InboxItem> {
    Ok(InboxItem {
        subscription: parsed(row, "subscription")?,
        place: place(row)?,
        attempts: row.get("attempts")?,
        next_attempt: row.get("next_attempt")?,
        reason: row.get("reason")?,
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer")?,
        action: parsed(row, "action")?,
        receiver: parsed(row, "receiver")?,
        time: row.get("time")?,
        payload: payload(row, "payload")?,
        cause: parsed_if_any(row, "cause")?,
        hops: row.get("hops")?,
        // Whoever puts it back wants it.
        expires: if row.get("replayed")? { None } else { row.get("expires")? },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{at, failed, receiver, rows, tried, with_waiting};

    #[tokio::test]
    async fn what_came_too_late_goes_and_is_counted() {
        let (store, id) = with_waiting(2).await;
        store.expire(id, at(1), tried()).await.unwrap();
        assert!(matches!(store.expire(id, at(1), tried()).await, Err(Error::Missing(_))));
        assert_eq!((rows(&store, "inbox").await, rows(&store, "inbox_publications").await), (1, 1));
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.waiting, counts.handled, counts.expired), (1, 0, 1));
        assert_eq!(store.backlogs().await.unwrap()[0].expired, 1);
    }

    #[tokio::test]
    async fn what_waits_comes_in_order_and_as_it_was_sent() {
        let (store, id) = with_waiting(3).await;
        let lanes = store.subscriptions_with_waiting().await.unwrap();
        assert_eq!((lanes.len(), lanes[0].subscription, &lanes[0].receiver), (1, id, &receiver("r")));

        store.retry(id, at(1), failed(2, "busy"), 7000).await.unwrap();
        let first = store.next_waiting(id).await.unwrap().unwrap();
        assert_eq!((first.place.sequence, first.attempts, first.next_attempt), (1, 2, 7000));
        assert_eq!((first.reason.as_deref(), first.payload.get()), (Some("busy"), "{\"n\":1}"));

        for sequence in 1..=3 {
            assert_eq!(store.next_waiting(id).await.unwrap().unwrap().place.sequence, sequence);
            store.finish(id, at(sequence), tried()).await.unwrap();
        }
        assert!(store.next_waiting(id).await.unwrap().is_none());
        assert!(store.subscriptions_with_waiting().await.unwrap().is_empty());
        assert!(matches!(store.finish(id, at(3), tried()).await, Err(Error::Missing(_))));
        assert!(matches!(store.retry(id, at(3), failed(1, ""), 1).await, Err(Error::Missing(_))));
        assert_eq!(rows(&store, "inbox_publications").await, 0);
    }
}
