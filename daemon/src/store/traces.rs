use coattail::id::PublicationId;
use coattail::name::ActionName;
use rusqlite::{Row, params};

use super::columns::{parsed, signed, unsigned};
use super::history::{LISTED, read};
use super::{Error, Listed, Store, SubscriptionState};

/// Something that was not published, since too many publications had led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looped {
    /// What was being handled.
    pub cause: PublicationId,
    /// For which action.
    pub action: ActionName,
    /// How many had led to it.
    pub hops: u8,
    /// When it was refused, last, in milliseconds.
    pub time: i64,
}

impl Store {
    /// The publications of ours, or that came to us, whose ids begin so: the first `limit`.
    pub async fn ids_that_begin(&self, prefix: String, limit: u32) -> Result<Vec<PublicationId>, Error> {
        self.read(move |db| {
            // `~` comes after everything that ids are made of.
            let query = "SELECT id FROM publications WHERE id BETWEEN ?1 AND ?1 || '~'
                 UNION SELECT publication FROM outcomes WHERE publication BETWEEN ?1 AND ?1 || '~'
                 UNION SELECT id FROM inbox_publications WHERE id BETWEEN ?1 AND ?1 || '~'
                 LIMIT ?2";
            let mut query = db.prepare_cached(query)?;
            let ids = query.query_map(params![prefix, limit], |row| parsed(row, "id"))?;
            Ok(ids.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// A publication of this instance, without its payload.
    pub async fn listed(&self, id: PublicationId) -> Result<Option<Listed>, Error> {
        let issuer = self.issuer();
        self.read(move |db| {
            let mut query = db.prepare_cached(&format!("{LISTED} WHERE publications.id = ?1"))?;
            Ok(query.query_map([id.to_string()], |row| read(issuer, row))?.next().transpose()?)
        })
        .await
    }

    /// What this instance has published while another publication was being handled: the first `limit`.
    pub async fn caused_by(&self, cause: PublicationId, limit: u32) -> Result<Vec<Listed>, Error> {
        let issuer = self.issuer();
        self.read(move |db| {
            let mut query =
                db.prepare_cached(&format!("{LISTED} WHERE cause = ?1 ORDER BY publications.rowid LIMIT ?2"))?;
            let made = query.query_map(params![cause.to_string(), limit], |row| read(issuer, row))?;
            Ok(made.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Who was subscribed when something was published here: the first `limit`, but for those that have ended since.
    pub async fn subscribed_at(&self, id: PublicationId, limit: usize) -> Result<Vec<SubscriptionState>, Error> {
        let mut states = self
            .states(
                "subscriptions.id IN (
                     SELECT s.id FROM publications p JOIN logs l ON l.id = p.log JOIN subscriptions s ON s.action = l.action
                     WHERE p.id = ?1 AND s.created <= p.time ORDER BY s.created, s.id LIMIT 1000)",
                Some(id.to_string()),
            )
            .await?;
        states.truncate(limit);
        Ok(states)
    }

    /// Remembers that something was not published, since too many publications had led to it.
    pub async fn note_loop(&self, looped: Looped) -> Result<(), Error> {
        self.write(move |group| {
            let Looped { cause, action, hops, time } = looped;
            group
                .db()
                .prepare_cached("INSERT OR REPLACE INTO loops (cause, action, hops, time) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![cause.to_string(), action.as_str(), hops, time])?;
            group
                .db()
                .prepare_cached("DELETE FROM loops WHERE row <= (SELECT max(row) FROM loops) - ?1")?
                .execute([signed(MOST_LOOPS)])?;
            group.tally.looped += 1;
            Ok(())
        })
        .await
    }

    /// What was not published while a publication was being handled.
    pub async fn loops_of(&self, cause: PublicationId) -> Result<Vec<Looped>, Error> {
        self.read(move |db| {
            let mut query = db.prepare_cached("SELECT * FROM loops WHERE cause = ?1 ORDER BY row")?;
            Ok(query.query_map([cause.to_string()], looped)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// What was last not published since a time, one of each action.
    pub async fn loops_since(&self, since: i64) -> Result<Vec<Looped>, Error> {
        self.read(move |db| {
            let query = "SELECT cause, action, hops, max(time) AS time FROM loops WHERE time >= ?1 GROUP BY action";
            Ok(db.prepare_cached(query)?.query_map([since], looped)?.collect::<Result<_, _>>()?)
        })
        .await
    }
}

/// Ends of loops that are remembered: enough to find the last of each.
const MOST_LOOPS: u64 = 1_000;

fn looped(row: &Row<'_>) -> rusqlite::Result<Looped> {
    Ok(Looped {
        cause: parsed(row, "cause")?,
        action: parsed(row, "action")?,
        hops: u8::try_from(unsigned(row, "hops")?).unwrap_or(u8::MAX),
        time: row.get("time")?,
    })
}
