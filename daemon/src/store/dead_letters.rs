use coattail::id::{IssuerHash, PublicationId, SubscriptionId};
use coattail::name::{ActionName, ReceiverName};
use coattail::wire::dead_letters::DeadLetterId;
use coattail::wire::fate::Handling;
use coattail::wire::{Place, Raw};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension as _, Row, params, params_from_iter};

use super::columns::{parsed, payload, signed, unsigned};
use super::inbox::{FailedTry, forget_if_drained, place, release, take_out, wait};
use super::outcomes::{self, LastTry};
use super::{Error, Store};

/// A publication that was given up.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    /// Its number, which no other ever has.
    pub id: DeadLetterId,
    /// For which subscription.
    pub subscription: SubscriptionId,
    /// Its place in the publisher's log.
    pub place: Place,
    /// The same at its origin and at everyone who gets it.
    pub publication: PublicationId,
    /// Who published it.
    pub issuer: IssuerHash,
    /// For which action.
    pub action: ActionName,
    /// Who did not take it.
    pub receiver: ReceiverName,
    /// When it was accepted there, in milliseconds.
    pub time: i64,
    /// How often the receiver was called for it.
    pub attempts: u32,
    /// When the receiver was first called for it, in milliseconds.
    pub first_attempt: i64,
    /// When it was given up, in milliseconds.
    pub buried: i64,
    /// Why the last attempt failed.
    pub reason: String,
    /// What the receiver printed at the last attempt.
    pub output: String,
}

/// Which dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhichDead {
    /// One.
    One(DeadLetterId),
    /// Those of a receiver.
    Of(ReceiverName),
    /// All.
    All,
}

impl Store {
    /// It is given up after this try, at which the receiver printed `output`. `now` is in milliseconds.
    pub async fn bury(
        &self,
        subscription: SubscriptionId,
        place: Place,
        failed: FailedTry,
        output: String,
        now: i64,
    ) -> Result<(), Error> {
        self.write(move |group| {
            let (key, FailedTry { attempt, began, reason }) = (subscription.to_string(), failed);
            // It may have been given up before, and come again since the subscription was reset.
            let before = "DELETE FROM dead_letters WHERE subscription = ?1 AND epoch = ?2 AND sequence = ?3
                          RETURNING publication";
            let before = group
                .db()
                .prepare_cached(before)?
                .query_row(params![key, place.epoch, signed(place.sequence)], |row| row.get(0));
            if let Some(row) = before.optional()? {
                release(group.db(), row, 1)?;
                group.tally.dead -= 1;
            }
            group
                .db()
                .prepare_cached(
                    "INSERT INTO dead_letters (subscription, epoch, sequence, publication, attempts, first_attempt,
                         buried, reason, output)
                     SELECT subscription, epoch, sequence, publication, ?4, coalesce(first_attempt, ?5), ?6, ?7, ?8
                     FROM inbox WHERE subscription = ?1 AND epoch = ?2 AND sequence = ?3",
                )?
                .execute(params![key, place.epoch, signed(place.sequence), attempt, began, now, reason, output])?;
            let last = LastTry { attempt, began, ended: now };
            outcomes::note(group.db(), subscription, place, Handling::Dead, last)?;
            take_out(group.db(), "DELETE FROM inbox", subscription, place)?;
            group.tally.waiting -= 1;
            group.tally.dead += 1;
            Ok(())
        })
        .await
    }

    /// Dead letters, those given up first first, at most `limit`. Their payloads are left where they are.
    pub async fn dead_letters(&self, which: WhichDead, limit: u32) -> Result<Vec<DeadLetter>, Error> {
        self.read(move |db| {
            let (condition, key) = which.condition();
            let query = format!(
                "SELECT d.*, d.id AS number, p.id AS published, p.issuer, p.action, p.time, c.receiver
                 FROM dead_letters d JOIN inbox_cursors c USING (subscription)
                     JOIN inbox_publications p ON p.row = d.publication
                 WHERE {condition} ORDER BY d.id LIMIT {limit}"
            );
            let mut query = db.prepare_cached(&query)?;
            Ok(query.query_map(params_from_iter(key), dead_letter)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What was published.
    pub async fn dead_payload(&self, id: DeadLetterId) -> Result<Option<Raw>, Error> {
        self.read(move |db| {
            let query = "SELECT payload FROM dead_letters d JOIN inbox_publications p ON p.row = d.publication
                         WHERE d.id = ?1";
            let payload = |row: &Row<'_>| payload(row, "payload");
            Ok(db.prepare_cached(query)?.query_row([signed(id.number())], payload).optional()?)
        })
        .await
    }

    /// How many there are.
    pub async fn count_dead_letters(&self, which: WhichDead) -> Result<u64, Error> {
        self.read(move |db| {
            let (condition, key) = which.condition();
            let query = format!("SELECT count(*) AS number FROM {FROM} WHERE {condition}");
            Ok(db.prepare_cached(&query)?.query_row(params_from_iter(key), |row| unsigned(row, "number"))?)
        })
        .await
    }

    /// Puts dead letters back among what waits, as if they had never been tried: at most `limit`, in one transaction.
    /// Returns how many.
    pub async fn replay_dead_letters(&self, which: WhichDead, limit: u32) -> Result<u64, Error> {
        self.write(move |group| {
            let taken = dig_up(group.db(), &which, limit)?;
            let now = jiff::Timestamp::now().as_millisecond();
            for (subscription, place, row) in &taken {
                let key = subscription.to_string();
                if wait(group.db(), &key, *place, *row, now)? {
                    group.tally.waiting += 1;
                } else {
                    // It has come again since the subscription was reset.
                    release(group.db(), *row, 1)?;
                }
                let query = "UPDATE inbox SET replayed = 1 WHERE subscription = ?1 AND epoch = ?2 AND sequence = ?3";
                group.db().prepare_cached(query)?.execute(params![key, place.epoch, signed(place.sequence)])?;
            }
            group.tally.dead -= signed(taken.len() as u64);
            Ok(taken.len() as u64)
        })
        .await
    }

    /// Deletes dead letters for good: at most `limit`, in one transaction. Returns how many.
    pub async fn drop_dead_letters(&self, which: WhichDead, limit: u32) -> Result<u64, Error> {
        self.write(move |group| {
            let taken = dig_up(group.db(), &which, limit)?;
            for (subscription, _, row) in &taken {
                release(group.db(), *row, 1)?;
                forget_if_drained(group.db(), *subscription)?;
            }
            group.tally.dead -= signed(taken.len() as u64);
            Ok(taken.len() as u64)
        })
        .await
    }
}

impl WhichDead {
    /// As a condition, and what to compare with.
    fn condition(&self) -> (&'static str, Option<Value>) {
        match self {
            Self::One(id) => ("d.id = ?1", Some(Value::Integer(signed(id.number())))),
            Self::Of(receiver) => ("c.receiver = ?1", Some(Value::Text(receiver.to_string()))),
            Self::All => ("true", None),
        }
    }
}

/// Takes out the rows, those given up first first, and returns for what each stood.
fn dig_up(db: &Connection, which: &WhichDead, limit: u32) -> Result<Vec<(SubscriptionId, Place, i64)>, Error> {
    let (condition, key) = which.condition();
    let query = format!("SELECT d.id FROM {FROM} WHERE {condition} ORDER BY d.id LIMIT {limit}");
    let mut query = db.prepare_cached(&query)?;
    let ids: Vec<i64> = query.query_map(params_from_iter(key), |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut delete = db.prepare_cached("DELETE FROM dead_letters WHERE id = ?1 RETURNING *")?;
    let mut taken = Vec::new();
    for id in ids {
        let row = |row: &Row<'_>| Ok((parsed(row, "subscription")?, place(row)?, row.get("publication")?));
        taken.extend(delete.query_row([id], row).optional()?);
    }
    Ok(taken)
}

fn dead_letter(row: &Row<'_>) -> rusqlite::Result<DeadLetter> {
    Ok(DeadLetter {
        id: DeadLetterId::new(unsigned(row, "number")?),
        subscription: parsed(row, "subscription")?,
        place: place(row)?,
        publication: parsed(row, "published")?,
        issuer: parsed(row, "issuer")?,
        action: parsed(row, "action")?,
        receiver: parsed(row, "receiver")?,
        time: row.get("time")?,
        attempts: row.get("attempts")?,
        first_attempt: row.get("first_attempt")?,
        buried: row.get("buried")?,
        reason: row.get("reason")?,
        output: row.get("output")?,
    })
}

/// Dead letters, with whom they were for.
const FROM: &str = "dead_letters d JOIN inbox_cursors c USING (subscription)";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{at, failed, receiver, rows, with_waiting};

    #[tokio::test]
    async fn dead_letters_keep_their_reason_and_can_be_replayed_or_dropped() {
        let (store, id) = with_waiting(3).await;
        store.retry(id, at(1), FailedTry { began: 2, ..failed(1, "busy") }, 0).await.unwrap();
        for sequence in 1..=2 {
            store.bury(id, at(sequence), failed(8, "rejected"), "alas".to_owned(), 5).await.unwrap();
        }
        assert!(matches!(store.bury(id, at(1), failed(9, ""), String::new(), 5).await, Err(Error::Missing(_))));
        assert_eq!(store.next_waiting(id).await.unwrap().unwrap().place.sequence, 3);
        let dead = store.dead_letters(WhichDead::All, 9).await.unwrap();
        assert!(dead.iter().map(|dead| dead.place.sequence).eq([1, 2]));
        assert!(
            dead.iter()
                .map(|dead| (dead.first_attempt, dead.buried, dead.output.as_str()))
                .eq([(2, 5, "alas"), (3, 5, "alas")])
        );
        assert_eq!((dead[0].reason.as_str(), dead[0].attempts), ("rejected", 8));
        assert_eq!(store.dead_payload(dead[0].id).await.unwrap().unwrap().get(), "{\"n\":1}");
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.waiting, counts.dead), (1, 2));

        let one = |at: usize| WhichDead::One(dead[at].id);
        assert_eq!(store.replay_dead_letters(one(0), 9).await.unwrap(), 1);
        let again = store.next_waiting(id).await.unwrap().unwrap();
        assert_eq!((again.place.sequence, again.attempts, again.reason), (1, 0, None));
        assert_eq!(store.count_dead_letters(one(0)).await.unwrap(), 0);
        assert_eq!(store.count_dead_letters(one(1)).await.unwrap(), 1);
        assert_eq!(store.drop_dead_letters(one(1), 9).await.unwrap(), 1);
        assert_eq!(store.drop_dead_letters(one(1), 9).await.unwrap(), 0);
        let counts = store.counts().await.unwrap();
        assert_eq!((counts.stored, counts.waiting, counts.dead), (3, 2, 0));
        assert_eq!(rows(&store, "inbox_publications").await, 2);
    }

    #[tokio::test]
    async fn no_number_is_given_out_twice_and_many_go_by_receiver_and_in_portions() {
        let (store, id) = with_waiting(4).await;
        let bury = async |sequence| store.bury(id, at(sequence), failed(1, "no"), String::new(), 5).await.unwrap();
        bury(1).await;
        let first = store.dead_letters(WhichDead::All, 9).await.unwrap()[0].id;
        store.replay_dead_letters(WhichDead::All, 9).await.unwrap();
        for sequence in 1..=4 {
            bury(sequence).await;
        }
        let dead = store.dead_letters(WhichDead::All, 9).await.unwrap();
        assert!(dead.iter().all(|dead| dead.id.number() > first.number()));

        let other = WhichDead::Of(receiver("other"));
        assert_eq!(store.count_dead_letters(other.clone()).await.unwrap(), 0);
        assert_eq!(store.drop_dead_letters(other, 9).await.unwrap(), 0);
        let ours = WhichDead::Of(receiver("r"));
        assert_eq!(store.dead_letters(ours.clone(), 3).await.unwrap().len(), 3);
        assert_eq!(store.replay_dead_letters(ours.clone(), 3).await.unwrap(), 3);
        assert_eq!(store.count_dead_letters(ours).await.unwrap(), 1);
        assert_eq!(store.next_waiting(id).await.unwrap().unwrap().place, at(1));
    }
}
