use coattail::id::{IssuerHash, PeerId};
use coattail::wire::control::{PeerRemoved, PeerToken, RemovePeer};
use coattail::wire::host::Peer;
use coattail::wire::{ErrorCode, Failure};

use crate::publications::Links;
use crate::session::{Sessions, Target};
use crate::store::{self, Secret, Store};
use crate::tokens::{Use, inspect};

/// The instances that gave us a token. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Peers {
    issuer: IssuerHash,
    store: Store,
    sessions: Sessions,
    links: Links,
}

impl Peers {
    pub(crate) fn new(issuer: IssuerHash, store: Store, sessions: Sessions, links: Links) -> Self {
        Self { issuer, store, sessions, links }
    }

    /// Adds a peer, after logging in with its token once: whoever answers has to prove the key that the token names,
    /// and to accept it.
    pub(crate) async fn add(&self, token: String) -> Result<Peer, Failure> {
        let token = Secret::from(token.trim().to_owned());
        let claims = inspect(token.reveal())?.into_claims();
        let refused = |message: &str| Failure::new(ErrorCode::InvalidInput, message);
        if claims.issuer == self.issuer {
            return Err(refused("this token was issued by this very instance")
                .hint("give it to the instance that should use it"));
        }
        if matches!(claims.usage, Use::PublisherAuthentication(_)) {
            return Err(refused("this is a subscription token, which no peer is made of"));
        }
        if let Some(peer) = self.store.peer_of_issuer(claims.issuer).await? {
            let message = format!("peer {} is this very instance", peer.id);
            return Err(Failure::new(ErrorCode::AlreadyExists, message)
                .hint("`coattail peer remove` it first, if the new token should replace its token"));
        }
        self.sessions.get_or_dial(&Target::of_token(&token)?).await?;
        let row = store::Peer {
            id: PeerId::new(),
            issuer: claims.issuer,
            jwt: token,
            added: jiff::Timestamp::now().as_millisecond(),
        };
        self.store.add_peer(row.clone()).await?;
        tracing::info!(peer = %row.id, issuer = %row.issuer, "added a peer");
        self.describe(&row)
    }

    pub(crate) async fn list(&self) -> Result<Vec<Peer>, Failure> {
        self.store.peers().await?.iter().map(|row| self.describe(row)).collect()
    }

    pub(crate) async fn show(&self, id: PeerId) -> Result<Peer, Failure> {
        self.describe(&self.row(id).await?)
    }

    pub(crate) async fn token(&self, id: PeerId) -> Result<PeerToken, Failure> {
        Ok(PeerToken { raw: self.row(id).await?.jwt.reveal().to_owned() })
    }

    /// Forgets a peer with the subscriptions that we hold there, and ends the session with it. It learns of that at
    /// its next delivery, which is refused.
    pub(crate) async fn remove(&self, request: RemovePeer) -> Result<PeerRemoved, Failure> {
        let RemovePeer { peer: id, dry_run } = request;
        // Only its id is needed: a token with a certificate that cannot be read must not keep its peer here.
        let claims = inspect(self.row(id).await?.jwt.reveal())?.into_claims();
        let (issuer, token) = (claims.issuer, claims.id);
        if dry_run {
            let held = self.store.held_at(id).await?;
            let incoming: u64 = held.iter().map(|held| self.sessions.count_token(held.id)).sum();
            let sessions = incoming + u64::from(self.sessions.is_connected(issuer, token));
            return Ok(PeerRemoved { id, subscriptions: held.len() as u64, sessions });
        }
        let removed = self.store.remove_peer(id).await?;
        let incoming: u64 = removed.subscriptions.iter().map(|held| self.sessions.close_token(held.id)).sum();
        let sessions = incoming + u64::from(self.sessions.close_dialled(issuer, token));
        self.links.refresh(id);
        tracing::info!(peer = %id, subscriptions = removed.subscriptions.len(), "removed a peer");
        Ok(PeerRemoved { id, subscriptions: removed.subscriptions.len() as u64, sessions })
    }

    async fn row(&self, id: PeerId) -> Result<store::Peer, Failure> {
        self.store.peer(id).await?.ok_or_else(|| not_found(id))
    }

    fn describe(&self, row: &store::Peer) -> Result<Peer, Failure> {
        let claims = inspect(row.jwt.reveal())?.into_claims();
        let grants = claims.usage.grants();
        Ok(Peer {
            id: row.id,
            issuer: row.issuer,
            addresses: claims.addresses,
            token: claims.id.to_string(),
            performable: grants.performable,
            publishable: grants.publishable,
            subscribable: grants.subscribable,
            expires: claims.validity.expires.map(|at| at.to_string()),
            connected: self.sessions.is_connected(row.issuer, claims.id),
        })
    }
}

fn not_found(id: PeerId) -> Failure {
    Failure::new(ErrorCode::NotFound, format!("there is no peer {id}")).hint("`coattail peer list` shows them")
}
