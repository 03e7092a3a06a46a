use coattail::wire::control::KeyKind;
use rusqlite::types::Type;
use rusqlite::{Connection, Row, params};

use super::remotes::all_untold;
use super::{Error, Store};

/// A key of ours that was replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetiredKey {
    /// What it was for.
    pub kind: KeyKind,
    /// What named it.
    pub id: String,
    /// The text of the file of its public half, or of the certificate.
    pub public: String,
    /// When it was replaced, in milliseconds.
    pub replaced: i64,
    /// Until when it counts, in milliseconds.
    pub until: i64,
    /// For an identity: the statement that the next one replaces it, as JSON.
    pub statement: Option<String>,
}

impl Store {
    /// A key is replaced, from this moment on: whoever opens the instance next puts the next one in its place. Others
    /// have to be told, unless it only signs our tokens.
    pub async fn retire_key(&self, key: RetiredKey) -> Result<(), Error> {
        let signer = self.issuer().to_string();
        self.write(move |group| {
            let (db, RetiredKey { kind, id, public, replaced, until, statement }) = (group.db(), key);
            db.prepare_cached(
                "INSERT INTO retired_keys (kind, id, public, replaced, until, statement)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![kind.name(), id, public, replaced, until, statement])
            .map_err(|error| match error {
                error if Error::is_constraint(&error) => Error::Exists("the retired key"),
                error => error.into(),
            })?;
            if kind == KeyKind::Identity {
                db.prepare_cached("UPDATE signed_groups SET issuer = ?1 WHERE issuer IS NULL")?.execute([signer])?;
            }
            if kind == KeyKind::Auth { Ok(()) } else { all_untold(db) }
        })
        .await
    }
}

/// The keys that were replaced, oldest first.
pub(super) fn list(db: &Connection) -> Result<Vec<RetiredKey>, Error> {
    let mut query = db.prepare("SELECT * FROM retired_keys ORDER BY replaced, kind, id")?;
    Ok(query.query_map([], key)?.collect::<Result<_, _>>()?)
}

fn key(row: &Row<'_>) -> rusqlite::Result<RetiredKey> {
    let kind: String = row.get("kind")?;
    let kind = [KeyKind::Auth, KeyKind::Identity, KeyKind::Tls].into_iter().find(|known| known.name() == kind);
    Ok(RetiredKey {
        kind: kind.ok_or_else(|| rusqlite::Error::InvalidColumnType(1, "kind".to_owned(), Type::Text))?,
        id: row.get("id")?,
        public: row.get("public")?,
        replaced: row.get("replaced")?,
        until: row.get("until")?,
        statement: row.get("statement")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Database;
    use crate::store::testing::{action, draft, hold, issuer, signer, store, subscription, token};

    fn retired(kind: KeyKind, id: &str) -> RetiredKey {
        RetiredKey { kind, id: id.to_owned(), public: "PEM".to_owned(), replaced: 5, until: 9, statement: None }
    }

    #[tokio::test]
    async fn publications_stay_those_of_the_identity_that_signed_them() {
        let store = store();
        store.append(draft("a", "1")).await.unwrap();
        // As before there was a column for it.
        store.write(|group| Ok(group.db().execute("UPDATE signed_groups SET issuer = NULL", [])?)).await.unwrap();
        store.append(draft("a", "2")).await.unwrap();
        store.retire_key(retired(KeyKind::Identity, "us")).await.unwrap();
        store.append(draft("a", "3")).await.unwrap();
        store.close().await;

        let next = crate::store::Signer { issuer: issuer("us again"), ..signer() };
        let again =
            Store::open(Database::open(&store.path).unwrap(), next, &store.path.with_extension("epoch")).unwrap();
        again.append(draft("a", "4")).await.unwrap();
        let batch = again.batch(action("a"), 0, 10, 1000).await.unwrap();
        let signers: Vec<_> = batch.iter().map(|(publication, _)| publication.issuer).collect();
        assert_eq!(signers, [issuer("us"), issuer("us"), issuer("us"), issuer("us again")]);
    }

    #[tokio::test]
    async fn a_replaced_key_is_known_before_the_store_is_open_and_others_have_to_be_told() {
        let store = store();
        hold(&store, "peer", "a", "r").await;
        let with = token(None);
        store.add_token(with.clone()).await.unwrap();
        store.add_subscription(subscription("subscriber", "a", with.id)).await.unwrap();
        store.retire_key(retired(KeyKind::Auth, "1")).await.unwrap();
        assert!(store.untold().await.unwrap().is_empty(), "nobody else knows that key");
        store.retire_key(retired(KeyKind::Tls, "1")).await.unwrap();
        assert_eq!(store.untold().await.unwrap().len(), 2);
        assert!(matches!(store.retire_key(retired(KeyKind::Tls, "1")).await, Err(Error::Exists(_))));
        assert_eq!(
            Database::open(&store.path).unwrap().retired_keys().unwrap(),
            [retired(KeyKind::Auth, "1"), retired(KeyKind::Tls, "1")]
        );
    }
}
