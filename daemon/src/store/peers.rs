use coattail::id::{IssuerHash, PeerId};
use coattail::secret::Secret;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::columns::parsed;
use super::tokens::{HeldSubscription, end_held};
use super::{Error, Store};

/// A remote instance that gave us a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its id here.
    pub id: PeerId,
    /// The hash of its key; there is one peer per issuer.
    pub issuer: IssuerHash,
    /// The token it gave us.
    pub jwt: Secret,
    /// When it was added, in milliseconds.
    pub added: i64,
}

/// What went with a peer.
#[derive(Debug, Clone)]
pub struct PeerRemoved {
    /// The peer; with its token it can still be told.
    pub peer: Peer,
    /// Our subscriptions there.
    pub subscriptions: Vec<HeldSubscription>,
}

impl Store {
    /// Adds a peer, unless there is one of this issuer.
    pub async fn add_peer(&self, peer: Peer) -> Result<(), Error> {
        self.write(move |group| {
            group
                .db()
                .prepare_cached("INSERT INTO peers (id, issuer, jwt, added) VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![peer.id.to_string(), peer.issuer.to_string(), peer.jwt.reveal(), peer.added])
                .map_err(|error| match error {
                    error if Error::is_constraint(&error) => Error::Exists("the peer"),
                    error => error.into(),
                })?;
            Ok(())
        })
        .await
    }

    /// One peer.
    pub async fn peer(&self, id: PeerId) -> Result<Option<Peer>, Error> {
        let query = "SELECT * FROM peers WHERE id = ?1";
        self.read(move |db| Ok(db.prepare_cached(query)?.query_row([id.to_string()], peer).optional()?)).await
    }

    /// The peer with this key.
    pub async fn peer_of_issuer(&self, issuer: IssuerHash) -> Result<Option<Peer>, Error> {
        let query = "SELECT * FROM peers WHERE issuer = ?1";
        self.read(move |db| Ok(db.prepare_cached(query)?.query_row([issuer.to_string()], peer).optional()?)).await
    }

    /// Every peer, those added first first.
    pub async fn peers(&self) -> Result<Vec<Peer>, Error> {
        let query = "SELECT * FROM peers ORDER BY added, id";
        self.read(move |db| Ok(db.prepare_cached(query)?.query_map([], peer)?.collect::<Result<_, _>>()?)).await
    }

    /// Forgets a peer, ends our subscriptions there, and forgets the validation tokens learned by subscribing.
    ///
    /// What it had already delivered stays in the inbox and is handled: it was accepted. Validation tokens that were
    /// added by hand stay, too, since tokens that we issued may name them.
    pub async fn remove_peer(&self, id: PeerId) -> Result<PeerRemoved, Error> {
        self.write(move |group| remove(group.db(), id)).await
    }
}

fn remove(db: &Connection, id: PeerId) -> Result<PeerRemoved, Error> {
    let key = id.to_string();
    let query = "SELECT * FROM peers WHERE id = ?1";
    let peer = db.prepare_cached(query)?.query_row([&key], peer).optional()?.ok_or(Error::Missing("peer"))?;
    let subscriptions = end_held(db, "peer = ?1", &key)?;
    db.prepare_cached(
        "DELETE FROM validation_tokens WHERE peer = ?1
             AND NOT EXISTS (SELECT 1 FROM issued_tokens WHERE validation = validation_tokens.id)",
    )?
    .execute([&key])?;
    // Another peer's subscription can be bound to the same key.
    db.prepare_cached("UPDATE validation_tokens SET peer = NULL WHERE peer = ?1")?.execute([&key])?;
    db.prepare_cached("DELETE FROM peers WHERE id = ?1")?.execute([&key])?;
    let query = "DELETE FROM remotes WHERE issuer = ?1
                     AND NOT EXISTS (SELECT 1 FROM subscriptions WHERE issuer = ?1)";
    db.prepare_cached(query)?.execute([peer.issuer.to_string()])?;
    Ok(PeerRemoved { peer, subscriptions })
}

fn peer(row: &Row<'_>) -> rusqlite::Result<Peer> {
    Ok(Peer {
        id: parsed(row, "id")?,
        issuer: parsed(row, "issuer")?,
        jwt: row.get::<_, String>("jwt")?.into(),
        added: row.get("added")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{hold, issuer, peer, store, validation};

    #[tokio::test]
    async fn there_is_one_peer_per_issuer() {
        let store = store();
        let them = peer("them");
        store.add_peer(them.clone()).await.unwrap();
        assert!(matches!(store.add_peer(peer("them")).await, Err(Error::Exists(_))));
        store.add_peer(peer("others")).await.unwrap();
        assert_eq!(store.peer(them.id).await.unwrap(), Some(them.clone()));
        assert_eq!(store.peer_of_issuer(issuer("them")).await.unwrap(), Some(them));
        assert_eq!(store.peer(PeerId::new()).await.unwrap(), None);
        assert_eq!(store.peers().await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn keys_added_by_hand_outlive_the_peer() {
        let store = store();
        hold(&store, "them", "a", "r").await;
        let by_hand = validation("them", None);
        store.add_validation(by_hand.clone()).await.unwrap();
        let id = store.peer_of_issuer(issuer("them")).await.unwrap().unwrap().id;
        store.remove_peer(id).await.unwrap();
        assert_eq!(store.validations().await.unwrap(), [by_hand]);
    }
}
