use coattail::id::{IssuerHash, TokenId};
use coattail::wire::control::Outcome;
use rusqlite::{Connection, Row, params};

use super::columns::{parsed, signed, unsigned};
use super::{Error, Store};

/// What was allowed or refused. No field can hold a secret: tokens appear by id.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuditFact {
    /// What was decided.
    pub outcome: Outcome,
    /// What was asked for.
    pub what: String,
    /// With which token.
    pub token: Option<TokenId>,
    /// By whom.
    pub peer: Option<IssuerHash>,
    /// From where.
    pub address: Option<String>,
    /// On what.
    pub subject: Option<String>,
    /// Why it was refused.
    pub reason: Option<String>,
}

/// A fact, and how often it occurred within a minute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// When first, in milliseconds.
    pub first: i64,
    /// When last, in milliseconds.
    pub last: i64,
    /// How often.
    pub count: u64,
    /// What.
    pub fact: AuditFact,
}

impl Store {
    /// Adds rows to the audit. A fact that has a row in the same minute is counted there.
    pub async fn append_audit(&self, rows: Vec<AuditRow>) -> Result<(), Error> {
        self.write(move |group| rows.iter().try_for_each(|row| append(group.db(), row))).await
    }

    /// The newest rows of the audit that are not older than a time, the oldest of them first.
    pub async fn audit(&self, since: i64, limit: u32) -> Result<Vec<AuditRow>, Error> {
        self.read(move |db| {
            let query = "SELECT * FROM audit WHERE minute >= ?1 AND last >= ?2 ORDER BY id DESC LIMIT ?3";
            let mut query = db.prepare_cached(query)?;
            let rows = query.query_map(params![minute(since), since, limit], row)?;
            let mut rows = rows.collect::<Result<Vec<_>, _>>()?;
            rows.reverse();
            Ok(rows)
        })
        .await
    }

    /// Removes the oldest rows of the audit: those before a time, and more until no more than `most` are left. Returns
    /// whether there may be more to remove: call again, so that other writes get their turn between.
    pub async fn trim_audit(&self, before: i64, most: u64) -> Result<bool, Error> {
        self.write(move |group| {
            let removed = group
                .db()
                .prepare_cached(
                    "DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?1)
                         AND (last < ?2 OR id <= (SELECT max(id) FROM audit) - ?3)",
                )?
                .execute(params![TRIM_ROWS, before, signed(most)])?;
            Ok(removed == TRIM_ROWS as usize)
        })
        .await
    }
}

fn append(db: &Connection, row: &AuditRow) -> Result<(), Error> {
    let AuditRow { first, last, count, fact } = row;
    let AuditFact { outcome, what, token, peer, address, subject, reason } = fact;
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    db.prepare_cached(
        "INSERT INTO audit (minute, first, last, count, outcome, what, token, peer, address, subject, reason)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
         ON CONFLICT DO UPDATE SET count = count + excluded.count, last = max(last, excluded.last)",
    )?
    .execute(params![
        minute(*first),
        first,
        last,
        signed(*count),
        match outcome {
            Outcome::Allowed => "allowed",
            Outcome::Refused => "refused",
        },
        what,
        token.map(|token| token.to_string()).unwrap_or_default(),
        peer.map(|peer| peer.to_string()).unwrap_or_default(),
        text(address),
        text(subject),
        text(reason),
    ])?;
    Ok(())
}

fn row(row: &Row<'_>) -> rusqlite::Result<AuditRow> {
    let text = |column| row.get(column).map(|text: String| (!text.is_empty()).then_some(text));
    let outcome: String = row.get("outcome")?;
    Ok(AuditRow {
        first: row.get("first")?,
        last: row.get("last")?,
        count: unsigned(row, "count")?,
        fact: AuditFact {
            outcome: if outcome == "allowed" { Outcome::Allowed } else { Outcome::Refused },
            what: row.get("what")?,
            token: text("token")?.map(|_| parsed(row, "token")).transpose()?,
            peer: text("peer")?.map(|_| parsed(row, "peer")).transpose()?,
            address: text("address")?,
            subject: text("subject")?,
            reason: text("reason")?,
        },
    })
}

fn minute(time: i64) -> i64 {
    time.div_euclid(60_000)
}

/// Rows that one call of [`Store::trim_audit`] removes at most: some milliseconds, then other writes get their turn.
const TRIM_ROWS: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{issuer, rows, store};

    fn refused(what: &str, address: &str) -> AuditFact {
        AuditFact {
            outcome: Outcome::Refused,
            what: what.to_owned(),
            token: None,
            peer: None,
            address: Some(address.to_owned()),
            subject: None,
            reason: Some("penalty".to_owned()),
        }
    }

    fn once(time: i64, fact: AuditFact) -> AuditRow {
        AuditRow { first: time, last: time, count: 1, fact }
    }

    #[tokio::test]
    async fn a_flood_is_one_row_a_minute() {
        let store = store();
        let flood = |from: i64| (from..from + 500).map(|time| once(time, refused("connect", "192.0.2.1"))).collect();
        store.append_audit(flood(0)).await.unwrap();
        store.append_audit(flood(1_000)).await.unwrap();
        store.append_audit(flood(60_000)).await.unwrap();
        store.append_audit(vec![once(60_001, refused("connect", "192.0.2.2"))]).await.unwrap();
        let told: Vec<_> =
            store.audit(0, 10).await.unwrap().iter().map(|row| (row.first, row.last, row.count)).collect();
        assert_eq!(told, [(0, 1_499, 1_000), (60_000, 60_499, 500), (60_001, 60_001, 1)]);
    }

    #[tokio::test]
    async fn every_field_survives_and_the_newest_are_told() {
        let store = store();
        let full = AuditFact {
            outcome: Outcome::Allowed,
            what: "actions.perform".to_owned(),
            token: Some(TokenId::new()),
            peer: Some(issuer("them")),
            address: Some("2001:db8::1".to_owned()),
            subject: Some("Café".to_owned()),
            reason: None,
        };
        let sent = vec![once(1, refused("a", "x")), once(2, full), once(70_000, refused("b", "x"))];
        store.append_audit(sent.clone()).await.unwrap();
        assert_eq!(store.audit(0, 10).await.unwrap(), sent);
        assert_eq!(store.audit(0, 2).await.unwrap(), sent[1..]);
        assert_eq!(store.audit(2, 10).await.unwrap(), sent[1..]);
        assert!(store.audit(70_001, 10).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn what_is_too_old_or_too_much_goes() {
        let store = store();
        let all = (0..2_500).map(|n| once(n, refused("connect", &n.to_string()))).collect();
        store.append_audit(all).await.unwrap();
        let trim = async |before, most| while store.trim_audit(before, most).await.unwrap() {};
        trim(0, 2_500).await;
        assert_eq!(rows(&store, "audit").await, 2_500);
        trim(1_100, 2_500).await;
        assert_eq!(rows(&store, "audit").await, 1_400);
        trim(0, 10).await;
        assert_eq!(store.audit(0, 100).await.unwrap().first().unwrap().first, 2_490);
        trim(i64::MAX, 10).await;
        assert_eq!(rows(&store, "audit").await, 0);
    }
}
