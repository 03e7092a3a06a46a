use std::sync::Arc;

use coattail::id::{IssuerHash, PeerId};
use coattail::secret::Secret;
use coattail::wire::control::{PeerRemoved, PeerToken, RemovePeer, SetPeerAddress};
use coattail::wire::host::Peer;
use coattail::wire::{ErrorCode, Failure};

use crate::publications::Links;
use crate::session::{Sessions, Target};
use crate::store::{self, Store};
use crate::tokens::{Use, inspect};

/// Addresses of one peer that are set by hand: each is tried, and a dial takes seconds.
const MAX_ADDRESSES: usize = 16;

/// The instances that gave us a token. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Peers {
    /// This very instance, by its present identity and all earlier ones.
    issuers: Arc<[IssuerHash]>,
    store: Store,
    sessions: Sessions,
    links: Links,
}

impl Peers {
    pub(crate) fn new(issuers: Arc<[IssuerHash]>, store: Store, sessions: Sessions, links: Links) -> Self {
        Self { issuers, store, sessions, links }
    }

    /// Adds a peer, after logging in with its token once: whoever answers has to prove the key that the token names,
    /// and to accept it.
    pub(crate) async fn add(&self, token: Secret) -> Result<Peer, Failure> {
        let token = token.trimmed();
        let claims = inspect(token.reveal())?.into_claims();
        let refused = |message: &str| Failure::new(ErrorCode::InvalidInput, message);
        if self.issuers.contains(&claims.issuer) {
            return Err(refused("this token was issued by this very instance")
                .hint("give it to the instance that should use it"));
        }
        if matches!(claims.usage, Use::PublisherAuthentication(_)) {
            return Err(refused("this is a subscription token, which no peer is made of"));
        }
        self.check_unknown(claims.issuer).await?;
        let session = self.sessions.get_or_dial(&Target::of_token(&token)?).await?;
        // The instance may have replaced its identity since it issued the token.
        let issuer = self.sessions.other_end(&session).unwrap_or(claims.issuer);
        self.check_unknown(issuer).await?;
        let row = store::Peer { id: PeerId::new(), issuer, jwt: token, added: jiff::Timestamp::now().as_millisecond() };
        self.store.add_peer(row.clone()).await?;
        tracing::info!(peer = %row.id, issuer = %row.issuer, "added a peer");
        self.describe(&row).await
    }

    async fn check_unknown(&self, issuer: IssuerHash) -> Result<(), Failure> {
        let Some(peer) = self.store.peer_of_issuer(issuer).await? else { return Ok(()) };
        let message = format!("peer {} is this very instance", peer.id);
        Err(Failure::new(ErrorCode::AlreadyExists, message)
            .hint("`coattail peer remove` it first, if the new token should replace its token"))
    }

    pub(crate) async fn list(&self) -> Result<Vec<Peer>, Failure> {
        let mut peers = Vec::new();
        for row in self.store.peers().await? {
            peers.push(self.describe(&row).await?);
        }
        Ok(peers)
    }

    /// Our owner says where a peer is. Tried first from now on, whatever the peer says itself.
    pub(crate) async fn set_address(&self, request: SetPeerAddress) -> Result<Peer, Failure> {
        let SetPeerAddress { peer, addresses } = request;
        if addresses.len() > MAX_ADDRESSES {
            let message = format!("at most {MAX_ADDRESSES} addresses are taken");
            return Err(Failure::new(ErrorCode::InvalidInput, message).hint("leave out those that are tried last"));
        }
        let row = self.row(peer).await?;
        self.store.set_addresses_by_hand(row.issuer, addresses).await?;
        // What waits to try the old addresses again tries these now.
        self.links.refresh(peer);
        self.describe(&row).await
    }

    pub(crate) async fn show(&self, id: PeerId) -> Result<Peer, Failure> {
        self.describe(&self.row(id).await?).await
    }

    pub(crate) async fn token(&self, id: PeerId) -> Result<PeerToken, Failure> {
        Ok(PeerToken { raw: self.row(id).await?.jwt })
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

    async fn describe(&self, row: &store::Peer) -> Result<Peer, Failure> {
        let target = self.sessions.target(&row.jwt, row.issuer).await?;
        let claims = inspect(row.jwt.reveal())?.into_claims();
        let grants = claims.usage.grants();
        Ok(Peer {
            id: row.id,
            issuer: row.issuer,
            addresses: target.dialer.addresses,
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
