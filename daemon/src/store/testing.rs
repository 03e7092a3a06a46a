//! What the tests of this module share.

use std::path::PathBuf;
use std::sync::Arc;

use coattail::id::{IssuerHash, PeerId, PublicationId, SubscriptionId, TokenId, ValidationId};
use coattail::name::{ActionName, ReceiverName};
use coattail::wire::peer::Addressee;
use coattail::wire::{Place, Publication, Raw};

use super::{
    Database, Draft, FailedTry, Held, IssuedToken, LastTry, Migration, Peer, Signer, Store, Subscription, Validation,
    migrate,
};

/// A store in a folder that goes when this is dropped.
pub(crate) struct Fixture {
    pub(crate) store: Store,
    pub(crate) path: PathBuf,
    _folder: tempfile::TempDir,
}

impl std::ops::Deref for Fixture {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.store
    }
}

pub(crate) fn store() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data.db");
    migrate(&path, Migration::Latest).unwrap();
    Fixture {
        store: Store::open(Database::open(&path).unwrap(), signer(), &path.with_extension("epoch")).unwrap(),
        path,
        _folder: folder,
    }
}

/// Signs by repeating what it was given.
pub(crate) fn signer() -> Signer {
    let sign = |size: u32, root: &[u8; 32]| [&size.to_be_bytes()[..], root].concat();
    Signer { issuer: issuer("us"), sign: Arc::new(sign) }
}

pub(crate) fn issuer(name: &str) -> IssuerHash {
    IssuerHash::of_public_key(name)
}

pub(crate) fn action(name: &str) -> ActionName {
    ActionName::new(name).unwrap()
}

pub(crate) fn receiver(name: &str) -> ReceiverName {
    ReceiverName::new(name).unwrap()
}

pub(crate) fn raw(json: &str) -> Raw {
    serde_json::from_str(json).unwrap()
}

pub(crate) fn draft(log: &str, json: &str) -> Draft {
    Draft::new(action(log), raw(json), 1000)
}

pub(crate) fn peer(name: &str) -> Peer {
    Peer { id: PeerId::new(), issuer: issuer(name), jwt: "token".to_owned().into(), added: 1 }
}

pub(crate) fn validation(name: &str, peer: Option<PeerId>) -> Validation {
    let (jwt, public_key) = ("jwt".to_owned(), name.to_owned());
    Validation { id: ValidationId::new(), issuer: issuer(name), jwt, public_key, added: 1, peer }
}

pub(crate) fn token(held: Option<Held>) -> IssuedToken {
    IssuedToken { id: TokenId::new(), jwt: "token".to_owned().into(), issued: 1, held }
}

/// A subscription here, made with a token.
pub(crate) fn subscription(of: &str, to: &str, with: TokenId) -> Subscription {
    Subscription {
        id: SubscriptionId::new(),
        issuer: issuer(of),
        jwt: "token".to_owned().into(),
        action: action(to),
        receiver: receiver("r"),
        filter: None,
        authentication_token: with,
        created: 1,
    }
}

/// Subscribes our receiver to a log of a peer, which is added if it is new.
pub(crate) async fn hold(store: &Store, at: &str, to: &str, with: &str) -> SubscriptionId {
    let peer = match store.peer_of_issuer(issuer(at)).await.unwrap() {
        Some(peer) => peer,
        None => {
            store.add_peer(peer(at)).await.unwrap();
            store.peer_of_issuer(issuer(at)).await.unwrap().unwrap()
        }
    };
    let key = validation(at, Some(peer.id));
    let held = Held { peer: peer.id, validation: key.id, action: action(to), receiver: receiver(with), filter: None };
    store.add_validation(key).await.unwrap();
    let token = token(Some(held));
    let id = token.id;
    store.add_token(token).await.unwrap();
    id
}

/// As it would come from a peer.
pub(crate) fn publication(from: &str, log: &str, sequence: u64) -> Publication {
    Publication {
        id: PublicationId::new(),
        issuer: issuer(from),
        action: action(log),
        sequence,
        epoch: 0,
        time: 1000,
        payload: raw(&format!("{{\"n\":{sequence}}}")),
        cause: None,
        hops: 0,
        expires: None,
    }
}

/// A place in a log without epochs.
pub(crate) fn at(sequence: u64) -> Place {
    Place { epoch: 0, sequence }
}

/// For a subscription that has got so far.
pub(crate) fn to(subscription: SubscriptionId, after: u64) -> Addressee {
    Addressee { subscription, after, epoch: 0 }
}

/// How many rows a table has.
pub(crate) async fn rows(store: &Store, table: &str) -> i64 {
    let query = format!("SELECT count(*) FROM {table}");
    store.read(move |db| Ok(db.query_row(&query, [], |row| row.get(0))?)).await.unwrap()
}

/// A try that has failed.
pub(crate) fn failed(attempt: u32, reason: &str) -> FailedTry {
    FailedTry { attempt, began: 3, reason: reason.to_owned() }
}

/// A store with one subscription to log `a` of `them`, and its first publications.
pub(crate) async fn with_waiting(count: u64) -> (Fixture, SubscriptionId) {
    let store = store();
    let id = hold(&store, "them", "a", "r").await;
    let publications = (1..=count).map(|n| publication("them", "a", n)).collect();
    store.store_delivery(publications, vec![], vec![to(id, 0)]).await.unwrap();
    (store, id)
}

/// A call of a receiver, after which its publication waits no more.
pub(super) fn tried() -> LastTry {
    LastTry { attempt: 1, began: 5, ended: 7 }
}
