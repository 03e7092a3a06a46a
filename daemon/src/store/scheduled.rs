use coattail::id::PublicationId;
use coattail::name::ActionName;
use rusqlite::{OptionalExtension as _, Row, params};

use super::audience::Audience;
use super::columns::{parsed, parsed_if_any, payload, signed, unsigned};
use super::publications::Draft;
use super::{Error, Store};

/// A publication whose time has not come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scheduled {
    /// The id that it will have.
    pub id: PublicationId,
    /// In whose log it will stand.
    pub action: ActionName,
    /// When, in milliseconds.
    pub due: i64,
    /// What its payload takes.
    pub bytes: u64,
}

impl Store {
    /// Keeps a draft until its time has come; `false` if there is no room for it.
    ///
    /// `ttl`: for how many milliseconds somebody wants it, from when it is published.
    pub async fn schedule(&self, draft: Draft, due: i64, ttl: Option<i64>) -> Result<bool, Error> {
        self.write(move |group| {
            group.take_room(draft.bytes())?;
            let db = group.db();
            let (count, bytes): (u64, u64) = db
                .prepare_cached("SELECT count(*) AS count, coalesce(sum(bytes), 0) AS bytes FROM scheduled")?
                .query_row([], |row| Ok((unsigned(row, "count")?, unsigned(row, "bytes")?)))?;
            if count >= MOST_SCHEDULED || bytes + draft.bytes() > MOST_SCHEDULED_BYTES {
                return Ok(false);
            }
            db.prepare_cached(
                "INSERT INTO scheduled (id, action, due, payload, bytes, cause, hops, ttl, audience)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                draft.id.to_string(),
                draft.action.as_str(),
                due,
                draft.payload.get(),
                signed(draft.bytes()),
                draft.cause.map(|cause| cause.to_string()),
                draft.hops,
                ttl,
                draft.audience.as_ref().map(Audience::to_string),
            ])?;
            Ok(true)
        })
        .await
    }

    /// What waits for its time, the next first.
    pub async fn scheduled(&self) -> Result<Vec<Scheduled>, Error> {
        let query = "SELECT id, action, due, bytes FROM scheduled ORDER BY due, rowid";
        self.read(move |db| Ok(db.prepare_cached(query)?.query_map([], scheduled)?.collect::<Result<_, _>>()?)).await
    }

    /// Takes back what waits for its time; `None` if it does not.
    pub async fn unschedule(&self, id: PublicationId) -> Result<Option<Scheduled>, Error> {
        let query = "DELETE FROM scheduled WHERE id = ?1 RETURNING id, action, due, bytes";
        self.write(move |group| {
            Ok(group.db().prepare_cached(query)?.query_row([id.to_string()], scheduled).optional()?)
        })
        .await
    }

    /// Appends what is due by now to its log, in the order of the times that were set, and returns in whose: some of it,
    /// so that other writes get their turn. A publication is scheduled, or in its log, and never both.
    pub async fn publish_due(&self, now: i64) -> Result<Vec<ActionName>, Error> {
        self.write(move |group| {
            let due = group
                .db()
                .prepare_cached("SELECT * FROM scheduled WHERE due <= ?1 ORDER BY due, rowid LIMIT ?2")?
                .query_map(params![now, DUE_AT_ONCE], |row| draft(row, now))?
                .collect::<Result<Vec<_>, _>>()?;
            let mut actions = Vec::with_capacity(due.len());
            for draft in due {
                let query = "DELETE FROM scheduled WHERE id = ?1";
                group.db().prepare_cached(query)?.execute([draft.id.to_string()])?;
                actions.push(draft.action.clone());
                group.append(draft)?;
            }
            Ok(actions)
        })
        .await
    }

    /// When the next is due, in milliseconds.
    pub async fn next_due(&self) -> Result<Option<i64>, Error> {
        self.read(|db| Ok(db.prepare_cached("SELECT min(due) FROM scheduled")?.query_row([], |row| row.get(0))?)).await
    }
}

fn scheduled(row: &Row<'_>) -> rusqlite::Result<Scheduled> {
    Ok(Scheduled {
        id: parsed(row, "id")?,
        action: parsed(row, "action")?,
        due: row.get("due")?,
        bytes: unsigned(row, "bytes")?,
    })
}

fn draft(row: &Row<'_>, now: i64) -> rusqlite::Result<Draft> {
    let draft = Draft::new(parsed(row, "action")?, payload(row, "payload")?, now).with_id(parsed(row, "id")?);
    let draft = match parsed_if_any(row, "cause")? {
        Some(cause) => draft.caused_by(cause, row.get("hops")?),
        None => draft,
    };
    let draft = match row.get::<_, Option<i64>>("ttl")? {
        Some(ttl) => draft.expiring(now.saturating_add(ttl)),
        None => draft,
    };
    Ok(match parsed_if_any(row, "audience")? {
        Some(audience) => draft.addressed_to(audience),
        None => draft,
    })
}

/// Publications that wait for their time, at the most, and bytes of their payloads: as much as a log keeps.
const MOST_SCHEDULED: u64 = 10_000;
const MOST_SCHEDULED_BYTES: u64 = 1 << 30;

/// Publications that one call of [`Store::publish_due`] appends at most.
const DUE_AT_ONCE: u32 = 100;

#[cfg(test)]
mod tests {
    use crate::store::testing::{action, draft, rows, store};

    #[tokio::test]
    async fn what_is_due_moves_into_its_log_once_and_in_order() {
        let store = store();
        for (json, due) in [("1", 30), ("2", 10), ("3", 20)] {
            assert!(store.schedule(draft("a", json), due, Some(5)).await.unwrap());
        }
        let waiting = store.scheduled().await.unwrap();
        assert_eq!(waiting.iter().map(|one| one.due).collect::<Vec<_>>(), [10, 20, 30]);
        assert_eq!(store.next_due().await.unwrap(), Some(10));
        assert!(store.publish_due(9).await.unwrap().is_empty());
        assert_eq!(store.publish_due(20).await.unwrap(), [action("a"), action("a")]);
        assert!(store.publish_due(20).await.unwrap().is_empty());
        let log = store.batch(action("a"), 0, 9, usize::MAX).await.unwrap();
        let published: Vec<_> = log.iter().map(|(one, _)| (one.id, one.payload.get(), one.time, one.expires)).collect();
        assert_eq!(published, [(waiting[0].id, "2", 20, Some(25)), (waiting[1].id, "3", 20, Some(25))]);
        assert_eq!(store.unschedule(waiting[1].id).await.unwrap(), None, "it is in the log");
        assert_eq!(store.unschedule(waiting[2].id).await.unwrap().as_ref(), Some(&waiting[2]));
        assert_eq!((rows(&store, "scheduled").await, store.next_due().await.unwrap()), (0, None));
    }
}
