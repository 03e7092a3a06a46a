use coattail::id::SubscriptionId;
use coattail::wire::Place;
use rusqlite::{OptionalExtension as _, Row, params};

use super::columns::signed;
use super::inbox::{InboxItem, forget_if_drained, item, release, take_out, wait};
use super::{Error, Store};

/// A publication that was given up.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// What was given up, and why: `reason` is always there.
    pub item: InboxItem,
    /// When, in milliseconds.
    pub buried: i64,
}

impl Store {
    /// It is given up, after so many attempts and for this reason. `now` is in milliseconds.
    pub async fn bury(
        &self,
        subscription: SubscriptionId,
        place: Place,
        attempts: u32,
        reason: String,
        now: i64,
    ) -> Result<(), Error> {
        self.write(move |group| {
            let row = take_out(group.db(), "DELETE FROM inbox", subscription, place)?;
            let key = subscription.to_string();
            group
                .db()
                .prepare_cached(
                    "INSERT INTO dead_letters (subscription, epoch, sequence, publication, attempts, reason, buried)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                )?
                .execute(params![key, place.epoch, signed(place.sequence), row, attempts, reason, now])?;
            group.tally.waiting -= 1;
            group.tally.dead += 1;
            Ok(())
        })
        .await
    }

    /// Dead letters, those given up first first, at most `limit`.
    pub async fn dead_letters(&self, limit: u32) -> Result<Vec<DeadLetter>, Error> {
        self.read(move |db| {
            let query = format!("{DEAD_LETTERS} ORDER BY buried, d.subscription, d.epoch, d.sequence LIMIT ?1");
            Ok(db.prepare_cached(&query)?.query_map([limit], dead_letter)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// One dead letter.
    pub async fn dead_letter(&self, subscription: SubscriptionId, place: Place) -> Result<Option<DeadLetter>, Error> {
        self.read(move |db| {
            let query = format!("{DEAD_LETTERS} WHERE d.subscription = ?1 AND d.epoch = ?2 AND d.sequence = ?3");
            let key = params![subscription.to_string(), place.epoch, signed(place.sequence)];
            Ok(db.prepare_cached(&query)?.query_row(key, dead_letter).optional()?)
        })
        .await
    }

    /// Puts a dead letter back among what waits, as if it had never been tried.
    pub async fn replay_dead_letter(&self, subscription: SubscriptionId, place: Place) -> Result<(), Error> {
        self.write(move |group| {
            let row = take_out(group.db(), "DELETE FROM dead_letters", subscription, place)?;
            wait(group.db(), subscription, place, row)?;
            group.tally.dead -= 1;
            group.tally.waiting += 1;
            Ok(())
        })
        .await
    }

    /// Deletes a dead letter for good.
    pub async fn drop_dead_letter(&self, subscription: SubscriptionId, place: Place) -> Result<(), Error> {
        self.write(move |group| {
            let row = take_out(group.db(), "DELETE FROM dead_letters", subscription, place)?;
            release(group.db(), row)?;
            forget_if_drained(group.db(), subscription)?;
            group.tally.dead -= 1;
            Ok(())
        })
        .await
    }
}

fn dead_letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter { item: item(row)?, buried: row.get("buried")? })
}

/// Dead letters have no next attempt.
const DEAD_LETTERS: &str = "SELECT p.*, d.subscription, d.attempts, 0 AS next_attempt, d.reason, d.buried, c.receiver
    FROM dead_letters d JOIN inbox_cursors c USING (subscription) JOIN inbox_publications p ON p.row = d.publication";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{at, with_waiting};

    #[tokio::test]
    async fn dead_letters_keep_their_reason_and_can_be_replayed_or_dropped() {
        let (store, id) = with_waiting(3).await;
        for sequence in 1..=2 {
            store.bury(id, at(sequence), 8, "rejected".to_owned(), 5).await.unwrap();
        }
        assert_eq!(store.next_waiting(id).await.unwrap().unwrap().place.sequence, 3);
        let dead = store.dead_letters(9).await.unwrap();
        assert!(dead.iter().map(|dead| dead.item.place.sequence).eq([1, 2]));
        assert_eq!((dead[0].item.reason.as_deref(), dead[0].item.attempts, dead[0].buried), (Some("rejected"), 8, 5));
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.waiting, counts.dead), (1, 2));

        store.replay_dead_letter(id, at(1)).await.unwrap();
        let again = store.next_waiting(id).await.unwrap().unwrap();
        assert_eq!((again.place.sequence, again.attempts, again.reason), (1, 0, None));
        assert!(store.dead_letter(id, at(1)).await.unwrap().is_none());
        assert!(store.dead_letter(id, at(2)).await.unwrap().is_some());
        store.drop_dead_letter(id, at(2)).await.unwrap();
        assert!(matches!(store.drop_dead_letter(id, at(2)).await, Err(Error::Missing(_))));
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.stored, counts.waiting, counts.dead), (3, 2, 0));
    }
}
