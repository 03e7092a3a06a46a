use coattail::id::{IssuerHash, PublicationId};
use coattail::name::{ActionName, ReceiverName};
use coattail::wire::Raw;
use rusqlite::{Row, params};

use super::columns::{parsed, payload, signed, unsigned};
use super::{Error, Store};

/// A publication that a receiver was sent, and has not handled.
#[derive(Debug, Clone)]
pub struct Received {
    /// Where it stands among all that was received.
    pub place: u64,
    /// The same at its origin and at everyone who gets it.
    pub id: PublicationId,
    /// Who published it.
    pub issuer: IssuerHash,
    /// For which action.
    pub action: ActionName,
    /// Its place in the publisher's log.
    pub sequence: u64,
    /// When it was accepted there, in milliseconds.
    pub time: i64,
    /// How many publications led to it.
    pub hops: u8,
    /// What was published.
    pub payload: Raw,
}

impl Store {
    /// After which place the last `count` begin that wait for a receiver or were given up.
    pub async fn place_of_last_received(&self, receiver: ReceiverName, count: u64) -> Result<u64, Error> {
        self.read(move |db| {
            let query = format!(
                "SELECT COALESCE(MIN(row) - 1, 0) AS place
                 FROM (SELECT row FROM inbox_publications WHERE {WANTED} ORDER BY row DESC LIMIT ?2)"
            );
            let key = params![receiver.as_str(), signed(count)];
            Ok(db.prepare_cached(&query)?.query_row(key, |row| unsigned(row, "place"))?)
        })
        .await
    }

    /// What waits for a receiver or was given up, after a place: at most `max_count`, and no more payload than
    /// `max_bytes`, but at least one if there is any.
    pub async fn received(
        &self,
        receiver: ReceiverName,
        after: u64,
        max_count: usize,
        max_bytes: usize,
    ) -> Result<Vec<Received>, Error> {
        self.read(move |db| {
            let query = format!("SELECT * FROM inbox_publications WHERE {WANTED} AND row > ?2 ORDER BY row LIMIT ?3");
            let mut query = db.prepare_cached(&query)?;
            let mut rows = query.query(params![receiver.as_str(), signed(after), signed(max_count as u64)])?;
            let (mut received, mut bytes) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                bytes += row.get_ref("payload")?.as_str().map_or(0, str::len);
                if bytes > max_bytes && !received.is_empty() {
                    break;
                }
                received.push(one(row)?);
            }
            Ok(received)
        })
        .await
    }
}

fn one(row: &Row<'_>) -> rusqlite::Result<Received> {
    Ok(Received {
        place: unsigned(row, "row")?,
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer")?,
        action: parsed(row, "action")?,
        sequence: unsigned(row, "sequence")?,
        time: row.get("time")?,
        hops: row.get("hops")?,
        payload: payload(row, "payload")?,
    })
}

/// Those of the receiver `?1`.
const WANTED: &str = "row IN (
    SELECT i.publication FROM inbox_cursors c JOIN inbox i USING (subscription) WHERE c.receiver = ?1
    UNION SELECT d.publication FROM inbox_cursors c JOIN dead_letters d USING (subscription) WHERE c.receiver = ?1)";

#[cfg(test)]
mod tests {
    use crate::store::testing::{at, failed, receiver, tried, with_waiting};

    #[tokio::test]
    async fn what_waits_and_what_was_given_up_can_be_read() {
        let (store, id) = with_waiting(4).await;
        store.bury(id, at(1), failed(8, "rejected"), String::new(), 5).await.unwrap();
        store.finish(id, at(2), tried()).await.unwrap();
        let read = async |after, count, bytes| {
            let received = store.received(receiver("r"), after, count, bytes).await.unwrap();
            received.into_iter().map(|one| one.sequence).collect::<Vec<_>>()
        };
        assert_eq!(read(0, 9, usize::MAX).await, [1, 3, 4]);
        assert_eq!(read(0, 9, 0).await, [1], "at least one");
        let place = store.place_of_last_received(receiver("r"), 2).await.unwrap();
        assert_eq!(read(place, 1, usize::MAX).await, [3]);
        assert_eq!(store.place_of_last_received(receiver("other"), 2).await.unwrap(), 0);
        assert!(store.received(receiver("other"), 0, 9, usize::MAX).await.unwrap().is_empty());
    }
}
