use coattail::filter::Filter;
use coattail::id::{PeerId, SubscriptionId, TokenId, ValidationId};
use coattail::name::{ActionName, ReceiverName};
use coattail::secret::Secret;
use coattail::wire::Place;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::columns::{parsed, parsed_if_any};
use super::inbox::{forget_if_drained, place};
use super::subscriptions::{Subscription, subscription};
use super::{Error, Store};

/// A token that this instance issued. Without its row it opens nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuedToken {
    /// Its `jti`.
    pub id: TokenId,
    /// The token.
    pub jwt: Secret,
    /// When it was issued, in milliseconds.
    pub issued: i64,
    /// For a subscription token (Publisher Authentication): what it is for. `None` for an authentication token.
    pub held: Option<Held>,
}

/// What a subscription token is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// At whom we are subscribed.
    pub peer: PeerId,
    /// The only key that may use the token.
    pub validation: ValidationId,
    /// To what.
    pub action: ActionName,
    /// Who handles it here.
    pub receiver: ReceiverName,
    /// Which publications; absent: all.
    pub filter: Option<Filter>,
}

/// A subscription of ours at a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldSubscription {
    /// The id of the subscription token.
    pub id: SubscriptionId,
    /// Where, to what, and for whom.
    pub held: Held,
    /// The last place that we have stored, or where it began; `None` while it is being made.
    pub stored: Option<Place>,
}

/// What went with a revoked token.
#[derive(Debug, Clone)]
pub struct Revoked {
    /// The token.
    pub token: IssuedToken,
    /// Subscriptions here that were made with it.
    pub subscriptions: Vec<Subscription>,
}

impl Store {
    /// Stores a token before it is handed out. We hold one subscription per peer, action and receiver.
    pub async fn add_token(&self, token: IssuedToken) -> Result<(), Error> {
        self.write(move |group| insert(group.db(), &token)).await
    }

    /// One issued token: it is valid only while this finds it.
    pub async fn token(&self, id: TokenId) -> Result<Option<IssuedToken>, Error> {
        let query = "SELECT * FROM issued_tokens WHERE id = ?1";
        self.read(move |db| Ok(db.prepare_cached(query)?.query_row([id.to_string()], token).optional()?)).await
    }

    /// Several issued tokens at once, in the order in which they are asked for.
    pub async fn tokens_of(&self, ids: Vec<TokenId>) -> Result<Vec<Option<IssuedToken>>, Error> {
        self.read(move |db| {
            let mut query = db.prepare_cached("SELECT * FROM issued_tokens WHERE id = ?1")?;
            ids.iter().map(|id| Ok(query.query_row([id.to_string()], token).optional()?)).collect()
        })
        .await
    }

    /// Which of these tokens were issued and are not revoked, in their order: without what they say, which takes longer to
    /// read.
    pub async fn have_tokens(&self, ids: Vec<TokenId>) -> Result<Vec<bool>, Error> {
        self.read(move |db| {
            let mut query = db.prepare_cached("SELECT 1 FROM issued_tokens WHERE id = ?1")?;
            ids.iter().map(|id| Ok(query.exists([id.to_string()])?)).collect()
        })
        .await
    }

    /// Every issued token, those issued first first.
    pub async fn tokens(&self) -> Result<Vec<IssuedToken>, Error> {
        let query = "SELECT * FROM issued_tokens ORDER BY issued, id";
        self.read(move |db| Ok(db.prepare_cached(query)?.query_map([], token)?.collect::<Result<_, _>>()?)).await
    }

    /// Deletes a token and the subscriptions made with it. A subscription token ends our subscription; what was
    /// delivered to it before stays in the inbox and is handled.
    pub async fn revoke_token(&self, id: TokenId) -> Result<Revoked, Error> {
        self.write(move |group| revoke(group.db(), id)).await
    }

    /// The subscriptions here that were made with a token.
    pub async fn subscriptions_with(&self, token: TokenId) -> Result<Vec<SubscriptionId>, Error> {
        let query = "SELECT id FROM subscriptions WHERE authentication_token = ?1 ORDER BY created, id";
        self.read(move |db| {
            let mut query = db.prepare_cached(query)?;
            Ok(query.query_map([token.to_string()], |row| parsed(row, "id"))?.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Our subscriptions at every peer.
    pub async fn held(&self) -> Result<Vec<HeldSubscription>, Error> {
        self.read(|db| held_where(db, "peer IS NOT NULL", &[])).await
    }

    /// Our subscriptions at one peer.
    pub async fn held_at(&self, peer: PeerId) -> Result<Vec<HeldSubscription>, Error> {
        self.read(move |db| held_where(db, "peer = ?1", &[&peer.to_string()])).await
    }

    /// Our subscription of a receiver to an action of a peer.
    pub async fn find_held(
        &self,
        peer: PeerId,
        action: ActionName,
        receiver: ReceiverName,
    ) -> Result<Option<HeldSubscription>, Error> {
        let peer = peer.to_string();
        let condition = "peer = ?1 AND issued_tokens.action = ?2 AND issued_tokens.receiver = ?3";
        Ok(self.read(move |db| held_where(db, condition, &[&peer, action.as_str(), receiver.as_str()])).await?.pop())
    }
}

/// Deletes a token and the subscriptions made with it.
pub(super) fn revoke(db: &Connection, id: TokenId) -> Result<Revoked, Error> {
    let key = id.to_string();
    let ended = "DELETE FROM subscriptions WHERE authentication_token = ?1 RETURNING *";
    let subscriptions = db.prepare_cached(ended)?.query_map([&key], subscription)?.collect::<Result<Vec<_>, _>>()?;
    let revoked = "DELETE FROM issued_tokens WHERE id = ?1 RETURNING *";
    let token = db.prepare_cached(revoked)?.query_row([&key], token).optional()?;
    let token = token.ok_or(Error::Missing("token"))?;
    forget_if_drained(db, id)?;
    Ok(Revoked { token, subscriptions })
}

fn insert(db: &Connection, token: &IssuedToken) -> Result<(), Error> {
    let id = token.id.to_string();
    let held = token.held.as_ref().map(|held| {
        let Held { peer, validation, action, receiver, filter: _ } = held;
        (peer.to_string(), validation.to_string(), action.as_str(), receiver.as_str())
    });
    let known = "SELECT 1 FROM issued_tokens WHERE id = ?1 OR (peer = ?2 AND action = ?3 AND receiver = ?4)";
    let (peer, validation, action, receiver) = match &held {
        Some((peer, validation, action, receiver)) => (Some(peer), Some(validation), Some(action), Some(receiver)),
        None => (None, None, None, None),
    };
    if db.prepare_cached(known)?.exists(params![id, peer, action, receiver])? {
        return Err(Error::Exists(if held.is_some() { "the subscription" } else { "the token" }));
    }
    let filter = token.held.as_ref().and_then(|held| held.filter.as_ref()).map(Filter::as_str);
    let usage = if held.is_some() { "Publisher Authentication" } else { "Authentication" };
    db.prepare_cached(
        "INSERT INTO issued_tokens (id, usage, jwt, issued, peer, validation, action, receiver, filter)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
    )?
    .execute(params![id, usage, token.jwt.reveal(), token.issued, peer, validation, action, receiver, filter])
    .map_err(|error| match error {
        // The peer or its key was removed while the token was being issued.
        error if Error::is_constraint(&error) => Error::Missing("peer or validation token"),
        error => error.into(),
    })?;
    Ok(())
}

/// Deletes the subscription tokens that meet a condition, and the inbox's cursors if nothing waits there.
pub(super) fn end_held(db: &Connection, condition: &str, key: &str) -> Result<Vec<HeldSubscription>, Error> {
    let ended = held_where(db, condition, &[key])?;
    for subscription in &ended {
        db.prepare_cached("DELETE FROM issued_tokens WHERE id = ?1")?.execute([subscription.id.to_string()])?;
        forget_if_drained(db, subscription.id)?;
    }
    Ok(ended)
}

fn held_where(db: &Connection, condition: &str, key: &[&str]) -> Result<Vec<HeldSubscription>, Error> {
    let query = format!(
        "SELECT issued_tokens.*, inbox_cursors.epoch, inbox_cursors.sequence
         FROM issued_tokens LEFT JOIN inbox_cursors ON subscription = issued_tokens.id
         WHERE {condition} ORDER BY issued, issued_tokens.id"
    );
    let mut query = db.prepare_cached(&query)?;
    let held = query.query_map(rusqlite::params_from_iter(key), |row| {
        let has_begun = row.get::<_, Option<i64>>("sequence")?.is_some();
        let stored = has_begun.then(|| place(row)).transpose()?;
        Ok(HeldSubscription { id: parsed(row, "id")?, held: held(row)?, stored })
    })?;
    Ok(held.collect::<Result<_, _>>()?)
}

fn held(row: &Row<'_>) -> rusqlite::Result<Held> {
    Ok(Held {
        peer: parsed(row, "peer")?,
        validation: parsed(row, "validation")?,
        action: parsed(row, "action")?,
        receiver: parsed(row, "receiver")?,
        filter: parsed_if_any(row, "filter")?,
    })
}

fn token(row: &Row<'_>) -> rusqlite::Result<IssuedToken> {
    let peer: Option<PeerId> = parsed_if_any(row, "peer")?;
    Ok(IssuedToken {
        id: parsed(row, "id")?,
        jwt: row.get::<_, String>("jwt")?.into(),
        issued: row.get("issued")?,
        held: peer.map(|_| held(row)).transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{
        action, at, hold, issuer, publication, receiver, rows, store, subscription, to, token, tried,
    };

    #[tokio::test]
    async fn revoking_a_token_takes_its_subscriptions_and_no_others() {
        let store = store();
        let (revoked, kept) = (token(None), token(None));
        for token in [&revoked, &kept] {
            store.add_token(token.clone()).await.unwrap();
        }
        assert!(matches!(store.add_token(kept.clone()).await, Err(Error::Exists(_))));
        let (gone, stays) = (subscription("a", "x", revoked.id), subscription("b", "x", kept.id));
        for subscription in [&gone, &stays] {
            store.add_subscription(subscription.clone()).await.unwrap();
        }
        let went = store.revoke_token(revoked.id).await.unwrap();
        assert_eq!((went.token, went.subscriptions), (revoked.clone(), vec![gone]));
        assert!(matches!(store.revoke_token(revoked.id).await, Err(Error::Missing(_))));
        assert_eq!(store.token(revoked.id).await.unwrap(), None);
        assert_eq!(store.tokens().await.unwrap(), [kept]);
        let left = store.subscriptions().await.unwrap();
        assert!(left.iter().map(|state| &state.subscription).eq([&stays]));
    }

    #[tokio::test]
    async fn held_subscriptions_are_unique_and_found() {
        let store = store();
        let id = hold(&store, "them", "a", "r").await;
        let other = hold(&store, "them", "a", "other").await;
        let elsewhere = hold(&store, "others", "a", "r").await;
        let held = store.token(id).await.unwrap().unwrap().held.unwrap();
        let again = store.add_token(token(Some(held.clone()))).await;
        assert!(matches!(again, Err(Error::Exists("the subscription"))));
        let strange = Held { peer: PeerId::new(), ..held.clone() };
        assert!(matches!(store.add_token(token(Some(strange))).await, Err(Error::Missing(_))));

        let found = store.find_held(held.peer, action("a"), receiver("r")).await.unwrap();
        assert_eq!(found, Some(HeldSubscription { id, held: held.clone(), stored: None }));
        assert_eq!(store.find_held(held.peer, action("b"), receiver("r")).await.unwrap(), None);
        let ids = |held: Vec<HeldSubscription>| held.iter().map(|held| held.id).collect::<Vec<_>>();
        assert_eq!(ids(store.held_at(held.peer).await.unwrap()), [id, other]);
        assert_eq!(ids(store.held().await.unwrap()), [id, other, elsewhere]);
    }

    #[tokio::test]
    async fn removing_a_peer_ends_what_we_hold_there_and_keeps_what_was_accepted() {
        let store = store();
        let id = hold(&store, "them", "a", "r").await;
        let idle = hold(&store, "them", "a", "idle").await;
        let elsewhere = hold(&store, "others", "a", "r").await;
        let to = vec![to(id, 0)];
        store.store_delivery(vec![publication("them", "a", 1)], vec![], to.clone()).await.unwrap();
        let peer = store.peer_of_issuer(issuer("them")).await.unwrap().unwrap();

        let removed = store.remove_peer(peer.id).await.unwrap();
        assert_eq!(removed.peer, peer);
        let ended: Vec<_> = removed.subscriptions.iter().map(|held| (held.id, held.stored)).collect();
        assert_eq!(ended, [(id, Some(at(1))), (idle, None)]);
        assert!(matches!(store.remove_peer(peer.id).await, Err(Error::Missing(_))));
        assert!(store.held().await.unwrap().iter().map(|held| held.id).eq([elsewhere]));
        assert_eq!(store.validations().await.unwrap().len(), 1);

        // Nothing more is taken, and what was is handled by the receiver that it was for.
        let refused = store.store_delivery(vec![publication("them", "a", 2)], vec![], to).await.unwrap();
        assert_eq!(refused, [(id, crate::store::Taken::Unknown)]);
        let waiting = store.next_waiting(id).await.unwrap().unwrap();
        assert_eq!((waiting.place, waiting.receiver), (at(1), receiver("r")));
        store.finish(id, at(1), tried()).await.unwrap();
        assert_eq!(
            rows(&store, "inbox_cursors").await,
            0,
            "nothing is left of a subscription that ended and was drained"
        );
    }
}
