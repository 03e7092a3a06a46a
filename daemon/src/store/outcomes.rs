use coattail::id::{IssuerHash, PublicationId, SubscriptionId};
use coattail::name::{ActionName, ReceiverName};
use coattail::wire::Place;
use coattail::wire::fate::Handling;
use rusqlite::{Connection, Row, params};

use super::columns::{parsed, parsed_if_any, signed, unsigned};
use super::{Error, Store};

/// A call of a receiver after which a publication waits no more.
#[derive(Debug, Clone, Copy)]
pub struct LastTry {
    /// Which one, counted from 1.
    pub attempt: u32,
    /// When it began, in milliseconds.
    pub began: i64,
    /// When it had ended, in milliseconds.
    pub ended: i64,
}

/// What became of a publication in one of our subscriptions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// Which publication.
    pub publication: PublicationId,
    /// In which subscription; it may have ended since.
    pub subscription: SubscriptionId,
    /// Who published it.
    pub publisher: IssuerHash,
    /// For which action.
    pub action: ActionName,
    /// Whose it was to handle.
    pub receiver: ReceiverName,
    /// Its place in the publisher's log.
    pub sequence: u64,
    /// When it was accepted there, in milliseconds.
    pub time: i64,
    /// Which publication was being handled when it was made.
    pub cause: Option<PublicationId>,
    /// How many led to it.
    pub hops: u8,
    /// What became of it.
    pub state: Handling,
    /// How often the receiver was called for it.
    pub attempts: u32,
    /// When it was stored here, in milliseconds.
    pub stored: i64,
    /// When it had been handled or was given up, in milliseconds.
    pub ended: Option<i64>,
    /// How long the last call of the receiver took, in milliseconds.
    pub duration: Option<u64>,
    /// Why the last call failed, as far as that is kept.
    pub reason: Option<String>,
}

impl Store {
    /// What became of a publication, in all of our subscriptions. `at` is where it stands, if that is known; otherwise
    /// all that waits is looked through.
    pub async fn outcomes(
        &self,
        id: PublicationId,
        at: Option<(IssuerHash, ActionName, u64)>,
    ) -> Result<Vec<Outcome>, Error> {
        self.read(move |db| {
            let key = id.to_string();
            let mut outcomes = Vec::new();
            let ended = format!("{ENDED} WHERE publication = ?1 ORDER BY row");
            for row in db.prepare_cached(&ended)?.query_map([&key], ended_row)? {
                outcomes.push(row?);
            }
            let waiting = |condition: &str| format!("{WAITING} WHERE p.id = ?1 AND {condition} ORDER BY c.receiver");
            let found: Vec<Outcome> = match at {
                Some((issuer, action, sequence)) => {
                    let mut query =
                        db.prepare_cached(&waiting("p.issuer = ?2 AND p.action = ?3 AND p.sequence = ?4"))?;
                    let key = params![key, issuer.to_string(), action.as_str(), signed(sequence)];
                    query.query_map(key, waiting_row)?.collect::<Result<_, _>>()?
                }
                None => {
                    let mut query = db.prepare_cached(&waiting("true"))?;
                    query.query_map([key], waiting_row)?.collect::<Result<_, _>>()?
                }
            };
            for waits in found {
                // It was given up before, and was taken up again.
                outcomes.retain(|ended| ended.subscription != waits.subscription);
                outcomes.push(waits);
            }
            Ok(outcomes)
        })
        .await
    }

    /// What became of a publication in one subscription, at its place in the log of the publisher.
    pub async fn outcome(
        &self,
        id: PublicationId,
        subscription: SubscriptionId,
        place: Place,
    ) -> Result<Option<Outcome>, Error> {
        self.read(move |db| {
            let (id, subscription) = (id.to_string(), subscription.to_string());
            let waiting =
                format!("{WAITING} WHERE i.subscription = ?1 AND i.epoch = ?2 AND i.sequence = ?3 AND p.id = ?4");
            let key = params![subscription, place.epoch, signed(place.sequence), id];
            if let Some(waits) = db.prepare_cached(&waiting)?.query_map(key, waiting_row)?.next() {
                return Ok(Some(waits?));
            }
            let ended = format!("{ENDED} WHERE publication = ?1 AND subscription = ?2");
            Ok(db.prepare_cached(&ended)?.query_map([id, subscription], ended_row)?.next().transpose()?)
        })
        .await
    }

    /// Whether a receiver of ours has ended with a publication: answered from an index, for whoever asks.
    pub async fn has_come(&self, id: PublicationId) -> Result<bool, Error> {
        self.read(move |db| {
            let query = "SELECT 1 FROM outcomes WHERE publication = ?1";
            Ok(db.prepare_cached(query)?.exists([id.to_string()])?)
        })
        .await
    }

    /// Removes outcomes from before a time, and more until no more than `most` are left. Whether there is more to remove.
    pub async fn trim_outcomes(&self, before: i64, most: u64) -> Result<bool, Error> {
        self.write(move |group| {
            let removed = group
                .db()
                .prepare_cached(
                    "DELETE FROM outcomes WHERE row IN (SELECT row FROM outcomes ORDER BY row LIMIT ?1)
                         AND (ended < ?2 OR row <= (SELECT max(row) FROM outcomes) - ?3)",
                )?
                .execute(params![TRIM_ROWS, before, signed(most)])?;
            Ok(removed == TRIM_ROWS as usize)
        })
        .await
    }
}

/// Remembers what became of a publication, before its row in the inbox goes, and in the same transaction.
pub(super) fn note(
    db: &Connection,
    subscription: SubscriptionId,
    place: Place,
    outcome: Handling,
    last: LastTry,
) -> Result<(), Error> {
    db.prepare_cached(
        "INSERT OR REPLACE INTO outcomes (publication, subscription, publisher, action, receiver, sequence, time, cause,
             hops, outcome, attempts, stored, ended, duration)
         SELECT p.id, i.subscription, p.issuer, p.action, c.receiver, p.sequence, p.time, p.cause, p.hops, ?4, ?5,
             i.stored, ?6, ?7
         FROM inbox i JOIN inbox_cursors c USING (subscription) JOIN inbox_publications p ON p.row = i.publication
         WHERE i.subscription = ?1 AND i.epoch = ?2 AND i.sequence = ?3",
    )?
    .execute(params![
        subscription.to_string(),
        place.epoch,
        signed(place.sequence),
        match outcome {
            Handling::Dead => DEAD,
            Handling::Expired => EXPIRED,
            _ => HANDLED,
        },
        last.attempt,
        last.ended,
        last.ended.saturating_sub(last.began).max(0)
    ])?;
    Ok(())
}

const HANDLED: &str = "handled";
const DEAD: &str = "dead";
const EXPIRED: &str = "expired";

/// Rows that one call of [`Store::trim_outcomes`] removes at most: some milliseconds, then other writes get their turn.
const TRIM_ROWS: u32 = 1000;

/// What is remembered, with the reason as long as there is a dead letter.
const ENDED: &str = "SELECT outcomes.*, (
        SELECT reason FROM dead_letters d JOIN inbox_publications p ON p.row = d.publication
        WHERE d.subscription = outcomes.subscription AND d.sequence = outcomes.sequence AND p.id = outcomes.publication
    ) AS reason FROM outcomes";

const WAITING: &str = "SELECT p.*, i.subscription, i.attempts, i.stored, i.reason, c.receiver,
        EXISTS (SELECT 1 FROM paused WHERE paused.subscription = i.subscription) AS paused
    FROM inbox_publications p JOIN inbox i ON i.publication = p.row AND i.sequence = p.sequence
        JOIN inbox_cursors c USING (subscription)";

fn ended_row(row: &Row<'_>) -> rusqlite::Result<Outcome> {
    Ok(Outcome {
        publication: parsed(row, "publication")?,
        subscription: parsed(row, "subscription")?,
        publisher: parsed(row, "publisher")?,
        action: parsed(row, "action")?,
        receiver: parsed(row, "receiver")?,
        sequence: unsigned(row, "sequence")?,
        time: row.get("time")?,
        cause: parsed_if_any(row, "cause")?,
        hops: row.get("hops")?,
        state: match row.get_ref("outcome")?.as_str()? {
            DEAD => Handling::Dead,
            EXPIRED => Handling::Expired,
            _ => Handling::Handled,
        },
        attempts: row.get("attempts")?,
        stored: row.get("stored")?,
        ended: Some(row.get("ended")?),
        duration: Some(unsigned(row, "duration")?),
        reason: row.get("reason")?,
    })
}

fn waiting_row(row: &Row<'_>) -> rusqlite::Result<Outcome> {
    let attempts = row.get("attempts")?;
    Ok(Outcome {
        publication: parsed(row, "id")?,
        subscription: parsed(row, "subscription")?,
        publisher: parsed(row, "issuer")?,
        action: parsed(row, "action")?,
        receiver: parsed(row, "receiver")?,
        sequence: unsigned(row, "sequence")?,
        time: row.get("time")?,
        cause: parsed_if_any(row, "cause")?,
        hops: row.get("hops")?,
        state: match attempts {
            _ if row.get("paused")? => Handling::Paused,
            0 => Handling::Waiting,
            _ => Handling::Failing,
        },
        attempts,
        stored: row.get("stored")?,
        ended: None,
        duration: None,
        reason: row.get("reason")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::WhichDead;
    use crate::store::testing::{at, failed, rows, tried, with_waiting};

    #[tokio::test]
    async fn what_became_of_a_publication_is_remembered_with_the_end_of_its_row() {
        let (store, id) = with_waiting(3).await;
        let mut ids = Vec::new();
        for sequence in 1..=3 {
            ids.push(store.next_waiting(id).await.unwrap().unwrap().id);
            match sequence {
                1 => store.finish(id, at(1), tried()).await.unwrap(),
                2 => store.bury(id, at(2), failed(8, "no"), String::new(), 50).await.unwrap(),
                _ => store.retry(id, at(3), failed(2, "busy"), 7000).await.unwrap(),
            }
        }
        let state = async |n: usize| {
            let outcomes = store.outcomes(ids[n], None).await.unwrap();
            let [outcome] = &outcomes[..] else { panic!("{outcomes:?}") };
            assert_eq!(store.outcome(ids[n], id, at(n as u64 + 1)).await.unwrap().as_ref(), Some(outcome));
            let place = (outcome.publisher, outcome.action.clone(), outcome.sequence);
            assert_eq!(store.outcomes(ids[n], Some(place)).await.unwrap(), outcomes);
            (outcome.state, outcome.attempts, outcome.ended, outcome.duration, outcome.reason.clone())
        };
        assert_eq!(state(0).await, (Handling::Handled, 1, Some(7), Some(2), None));
        let (dead, attempts, ended, _, reason) = state(1).await;
        assert_eq!((dead, attempts, ended, reason.as_deref()), (Handling::Dead, 8, Some(50), Some("no")));
        assert_eq!(state(2).await, (Handling::Failing, 2, None, None, Some("busy".to_owned())));
        assert!(store.has_come(ids[0]).await.unwrap() && !store.has_come(ids[2]).await.unwrap());

        // One that is taken up again waits, and then counts as what it ended as last.
        let letter = store.dead_letters(WhichDead::All, 9).await.unwrap()[0].id;
        assert_eq!(store.replay_dead_letters(WhichDead::One(letter), 9).await.unwrap(), 1);
        assert_eq!(state(1).await.0, Handling::Waiting);
        store.finish(id, at(2), tried()).await.unwrap();
        assert_eq!(state(1).await.0, Handling::Handled);
        // The oldest go: those that ended before a time, and what is too much.
        assert_eq!(rows(&store, "outcomes").await, 2);
        // What was replaced counts, too.
        assert!(!store.trim_outcomes(7, 3).await.unwrap());
        assert_eq!(rows(&store, "outcomes").await, 2);
        assert!(!store.trim_outcomes(0, 1).await.unwrap());
        assert_eq!(store.outcomes(ids[0], None).await.unwrap(), []);
        assert!(!store.trim_outcomes(8, 9).await.unwrap());
        assert_eq!(rows(&store, "outcomes").await, 0);
    }
}
