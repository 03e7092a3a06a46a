use std::collections::HashMap;

use coattail::id::{IssuerHash, PublicationId, SubscriptionId};
use coattail::name::ActionName;
use coattail::wire::fate::Reaching;
use rusqlite::{OptionalExtension as _, Row, params};

use super::audience::Audience;
use super::columns::{parsed, parsed_if_any, signed, unsigned};
use super::{Error, Store};

/// A publication, without its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: PublicationId,
    /// In whose log.
    pub action: ActionName,
    /// Its place there.
    pub sequence: u64,
    /// When it was accepted, in milliseconds.
    pub time: i64,
    /// What its payload takes.
    pub bytes: u64,
    /// Which publication was being handled when it was made.
    pub cause: Option<PublicationId>,
    /// How many led to it.
    pub hops: u8,
    /// The identity that signed it.
    pub signed_by: IssuerHash,
    /// Until when somebody wants it, in milliseconds.
    pub expires: Option<i64>,
    /// Who gets it; absent: everyone.
    pub audience: Option<Audience>,
}

impl Store {
    /// The newest publications of a log, or of all, back to the first that is older than `since`; the oldest of them
    /// first.
    pub async fn published(&self, action: Option<ActionName>, since: i64, limit: u32) -> Result<Vec<Listed>, Error> {
        let issuer = self.issuer();
        self.read(move |db| {
            let columns = LISTED;
            let mut newest = match action {
                Some(_) => {
                    db.prepare_cached(&format!("{columns} WHERE action = ?1 ORDER BY sequence DESC LIMIT ?2"))?
                }
                // Rows are numbered as they are appended.
                None => {
                    db.prepare_cached(&format!("{columns} WHERE ?1 IS NULL ORDER BY publications.rowid DESC LIMIT ?2"))?
                }
            };
            let mut rows = newest.query(params![action.as_ref().map(ActionName::as_str), limit])?;
            let mut listed = Vec::new();
            while let Some(row) = rows.next()? {
                let found = read(issuer, row)?;
                if found.time < since {
                    break;
                }
                listed.push(found);
            }
            listed.reverse();
            Ok(listed)
        })
        .await
    }

    /// Where a publication stands.
    pub async fn place_of(&self, id: PublicationId) -> Result<Option<(ActionName, u64)>, Error> {
        let query = "SELECT action, sequence FROM publications JOIN logs ON logs.id = log WHERE publications.id = ?1";
        self.read(move |db| {
            let place = |row: &Row<'_>| Ok((parsed(row, "action")?, unsigned(row, "sequence")?));
            Ok(db.prepare_cached(query)?.query_row([id.to_string()], place).optional()?)
        })
        .await
    }

    /// How far a publication has got, of those who were subscribed when it was published; `None` if it is not kept in
    /// this log.
    pub async fn reaching(&self, action: ActionName, id: PublicationId) -> Result<Option<Reaching>, Error> {
        let count = "SELECT count(*) AS subscribers, coalesce(sum(cursor >= sequence), 0) AS stored,
                 coalesce(sum(cursor < sequence AND paused), 0) AS paused
             FROM publications JOIN logs ON logs.id = log LEFT JOIN subscriptions USING (action)
             WHERE publications.id = ?1 AND action = ?2 AND created <= time
                 AND (audience IS NULL OR instr(' ' || audience || ' ', ' ' || subscriptions.issuer || ' '))";
        self.read(move |db| {
            let known =
                "SELECT 1 FROM publications JOIN logs ON logs.id = log WHERE publications.id = ?1 AND action = ?2";
            let key = params![id.to_string(), action.as_str()];
            if !db.prepare_cached(known)?.exists(key)? {
                return Ok(None);
            }
            let reaching = |row: &Row<'_>| {
                let (subscribers, stored) = (unsigned(row, "subscribers")?, unsigned(row, "stored")?);
                Ok(Reaching { subscribers, stored, paused: unsigned(row, "paused")? })
            };
            Ok(Some(db.prepare_cached(count)?.query_row(key, reaching)?))
        })
        .await
    }

    /// Who was subscribed when something was published and has not stored it, the first `limit`.
    pub async fn lacking(&self, id: PublicationId, limit: u32) -> Result<Vec<SubscriptionId>, Error> {
        let query = "SELECT subscriptions.id FROM publications JOIN logs ON logs.id = log
                 JOIN subscriptions USING (action)
             WHERE publications.id = ?1 AND cursor < sequence AND created <= time
                 AND (audience IS NULL OR instr(' ' || audience || ' ', ' ' || subscriptions.issuer || ' '))
             ORDER BY created, subscriptions.id LIMIT ?2";
        self.read(move |db| {
            let mut query = db.prepare_cached(query)?;
            let lacking = query.query_map(params![id.to_string(), limit], |row| parsed(row, "id"))?;
            Ok(lacking.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// To whom what comes after a sequence is addressed, up to another, as far as it is not for everyone.
    pub async fn audiences(&self, action: ActionName, after: u64, end: u64) -> Result<HashMap<u64, Audience>, Error> {
        let query = "SELECT sequence, audience FROM publications WHERE log = (SELECT id FROM logs WHERE action = ?1)
             AND sequence > ?2 AND sequence <= ?3 AND audience IS NOT NULL";
        self.read(move |db| {
            let one = |row: &Row<'_>| Ok((unsigned(row, "sequence")?, parsed(row, "audience")?));
            let mut query = db.prepare_cached(query)?;
            let found = query.query_map(params![action.as_str(), signed(after), signed(end)], one)?;
            Ok(found.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// The first sequence of a log after this one that has a row, whatever is in it.
    pub async fn next_sequence(&self, action: ActionName, after: u64) -> Result<Option<u64>, Error> {
        let query = "SELECT sequence FROM publications
             WHERE log = (SELECT id FROM logs WHERE action = ?1) AND sequence > ?2 ORDER BY sequence LIMIT 1";
        self.read(move |db| {
            let mut query = db.prepare_cached(query)?;
            Ok(query.query_row(params![action.as_str(), signed(after)], |row| unsigned(row, "sequence")).optional()?)
        })
        .await
    }
}

/// Publications without their payloads, for [`read`].
pub(super) const LISTED: &str = "SELECT publications.id, action, sequence, time, octet_length(payload) AS bytes, cause,
    hops, issuer, expires, audience FROM publications JOIN logs ON logs.id = log LEFT JOIN signed_groups ON signed_groups.id = signed_group";

pub(super) fn read(issuer: IssuerHash, row: &Row<'_>) -> rusqlite::Result<Listed> {
    Ok(Listed {
        id: parsed(row, "id")?,
        action: parsed(row, "action")?,
        sequence: unsigned(row, "sequence")?,
        time: row.get("time")?,
        bytes: unsigned(row, "bytes")?,
        cause: parsed_if_any(row, "cause")?,
        hops: row.get("hops")?,
        // Signed before there was more than one.
        signed_by: parsed_if_any(row, "issuer")?.unwrap_or(issuer),
        expires: row.get("expires")?,
        audience: parsed_if_any(row, "audience")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Draft;
    use crate::store::testing::{action, issuer, raw, store};

    #[tokio::test]
    async fn the_newest_are_listed_in_order_and_without_payloads() {
        let store = store();
        let at = |log, time| Draft::new(action(log), raw("\"four\""), time);
        for draft in [at("a", 1), at("b", 2), at("a", 3), at("b", 4)] {
            store.append(draft).await.unwrap();
        }
        let listed = async |action, since, limit| {
            let listed = store.published(action, since, limit).await.unwrap();
            listed.iter().map(|row| (row.action.to_string(), row.sequence)).collect::<Vec<_>>()
        };
        let (a, b) = (|n| ("a".to_owned(), n), |n| ("b".to_owned(), n));
        assert_eq!(listed(None, 0, 9).await, [a(1), b(1), a(2), b(2)]);
        assert_eq!(listed(None, 0, 2).await, [a(2), b(2)]);
        assert_eq!(listed(None, 3, 9).await, [a(2), b(2)]);
        assert_eq!(listed(Some(action("a")), 0, 9).await, [a(1), a(2)]);
        assert_eq!(listed(Some(action("c")), 0, 9).await, []);
        let last = store.published(None, 0, 1).await.unwrap().remove(0);
        assert_eq!((last.bytes, last.signed_by), (6, issuer("us")));
        assert_eq!(store.place_of(last.id).await.unwrap(), Some((action("b"), 2)));
        assert_eq!(store.place_of(PublicationId::new()).await.unwrap(), None);
        assert_eq!(store.next_sequence(action("a"), 1).await.unwrap(), Some(2));
        assert_eq!(store.next_sequence(action("a"), 2).await.unwrap(), None);
    }
}
