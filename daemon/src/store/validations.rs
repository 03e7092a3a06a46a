use coattail::id::{IssuerHash, PeerId, TokenId, ValidationId};
use rusqlite::{OptionalExtension as _, Row, params};

use super::columns::{parsed, parsed_if_any};
use super::subscriptions::Subscription;
use super::tokens::{HeldSubscription, end_held, revoke};
use super::{Error, Store};

/// A validation token: the public key of another instance. It is no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Validation {
    /// Its id here, as in `vt://ID`.
    pub id: ValidationId,
    /// The hash of the key.
    pub issuer: IssuerHash,
    /// The token.
    pub jwt: String,
    /// The text of the key file (PEM).
    pub public_key: String,
    /// When it was added, in milliseconds.
    pub added: i64,
    /// The peer from which it was learned by subscribing, and with which it goes. `None` if it was added by hand.
    pub peer: Option<PeerId>,
}

/// What went with a validation token.
#[derive(Debug, Clone)]
pub struct ValidationRemoved {
    /// The token.
    pub validation: Validation,
    /// Our subscriptions that only this key may deliver to.
    pub held: Vec<HeldSubscription>,
    /// The subscriptions here that were made with the tokens which went with it.
    pub subscriptions: Vec<Subscription>,
}

impl Store {
    /// Stores a validation token.
    pub async fn add_validation(&self, validation: Validation) -> Result<(), Error> {
        self.write(move |group| {
            let Validation { id, issuer, jwt, public_key, added, peer } = validation;
            let db = group.db();
            let (id, peer) = (id.to_string(), peer.map(|peer| peer.to_string()));
            if db.prepare_cached("SELECT 1 FROM validation_tokens WHERE id = ?1")?.exists([&id])? {
                return Err(Error::Exists("the validation token"));
            }
            db.prepare_cached(
                "INSERT INTO validation_tokens (id, issuer, jwt, public_key, added, peer)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute(params![id, issuer.to_string(), jwt, public_key, added, peer])
            .map_err(|error| match error {
                // The one constraint that is left.
                error if Error::is_constraint(&error) => Error::Missing("peer"),
                error => error.into(),
            })?;
            Ok(())
        })
        .await
    }

    /// One validation token.
    pub async fn validation(&self, id: ValidationId) -> Result<Option<Validation>, Error> {
        let query = "SELECT * FROM validation_tokens WHERE id = ?1";
        self.read(move |db| Ok(db.prepare_cached(query)?.query_row([id.to_string()], validation).optional()?)).await
    }

    /// Every validation token, those added first first.
    pub async fn validations(&self) -> Result<Vec<Validation>, Error> {
        let query = "SELECT * FROM validation_tokens ORDER BY added, id";
        self.read(move |db| Ok(db.prepare_cached(query)?.query_map([], validation)?.collect::<Result<_, _>>()?)).await
    }

    /// Which validation tokens hold this key: what a connection that has proven it may claim to be.
    pub async fn validations_of_key(&self, public_key: String) -> Result<Vec<ValidationId>, Error> {
        let query = "SELECT id FROM validation_tokens WHERE public_key = ?1 ORDER BY added, id";
        self.read(move |db| {
            let mut query = db.prepare_cached(query)?;
            Ok(query.query_map([public_key], |row| parsed(row, "id"))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// As [`validations_of_key`](Self::validations_of_key), with all that is known of them.
    pub async fn validations_with_key(&self, public_key: String) -> Result<Vec<Validation>, Error> {
        let query = "SELECT * FROM validation_tokens WHERE public_key = ?1 ORDER BY added, id";
        self.read(move |db| {
            let mut query = db.prepare_cached(query)?;
            Ok(query.query_map([public_key], validation)?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Forgets a validation token, ends our subscriptions that are bound to it, and revokes `tokens`: those that name
    /// no other bearer. In other tokens nobody satisfies that bearer any more.
    pub async fn remove_validation(&self, id: ValidationId, tokens: Vec<TokenId>) -> Result<ValidationRemoved, Error> {
        self.write(move |group| {
            let (db, key) = (group.db(), id.to_string());
            let held = end_held(db, "validation = ?1", &key)?;
            let mut subscriptions = Vec::new();
            for token in tokens {
                match revoke(db, token) {
                    Ok(revoked) => subscriptions.extend(revoked.subscriptions),
                    // Somebody was quicker.
                    Err(Error::Missing(_)) => {}
                    Err(error) => return Err(error),
                }
            }
            let query = "DELETE FROM validation_tokens WHERE id = ?1 RETURNING *";
            let validation = db.prepare_cached(query)?.query_row([&key], validation).optional()?;
            let validation = validation.ok_or(Error::Missing("validation token"))?;
            Ok(ValidationRemoved { validation, held, subscriptions })
        })
        .await
    }
}

fn validation(row: &Row<'_>) -> rusqlite::Result<Validation> {
    Ok(Validation {
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer")?,
        jwt: row.get("jwt")?,
        public_key: row.get("public_key")?,
        added: row.get("added")?,
        peer: parsed_if_any(row, "peer")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{hold, store, validation};

    #[tokio::test]
    async fn a_key_is_found_and_its_subscriptions_go_with_it() {
        let store = store();
        let by_hand = validation("them", None);
        store.add_validation(by_hand.clone()).await.unwrap();
        assert!(matches!(store.add_validation(by_hand.clone()).await, Err(Error::Exists(_))));
        assert!(matches!(
            store.add_validation(validation("x", Some(PeerId::new()))).await,
            Err(Error::Missing("peer"))
        ));
        let held = hold(&store, "them", "a", "r").await;
        let learned = store.token(held).await.unwrap().unwrap().held.unwrap().validation;

        let mut of_key = store.validations_of_key("them".to_owned()).await.unwrap();
        of_key.sort();
        assert_eq!(of_key, [by_hand.id, learned]);
        assert!(store.validations_of_key("nobody".to_owned()).await.unwrap().is_empty());

        let removed = store.remove_validation(learned, Vec::new()).await.unwrap();
        assert!(removed.held.iter().map(|held| held.id).eq([held]));
        assert_eq!(store.token(held).await.unwrap(), None);
        assert!(matches!(store.remove_validation(learned, Vec::new()).await, Err(Error::Missing(_))));
        assert_eq!(store.validation(by_hand.id).await.unwrap(), Some(by_hand.clone()));
        assert_eq!(store.validations().await.unwrap(), [by_hand]);
    }
}
