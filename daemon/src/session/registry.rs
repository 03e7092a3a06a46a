use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use coattail::id::{IssuerHash, SessionId, TokenId, ValidationId};
use coattail::rpc::{Service, Session};
use coattail::secret::Secret;
use coattail::wire::Failure;
use coattail::wire::peer::{Rotation, Whereabouts};
use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::caller::Caller;
use super::handshake::HandshakeError;
use super::target::Target;
use crate::admission::{CallRates, Guest};
use crate::audit::Audit;
use crate::keys::rotation::Link;
use crate::keys::{Identity, PublicIdentity, TokenVerifier};
use crate::store::Store;
use crate::tokens::validation::ValidationToken;
use crate::tokens::{Claims, Evidence, Source, validation, verify};
use crate::transport::Connection;

/// Bounds of a session, from the configuration.
#[derive(Debug, Clone)]
pub(crate) struct SessionSettings {
    /// Bytes of a frame before authentication.
    pub(crate) frame_before: usize,
    /// Bytes of a frame after it.
    pub(crate) frame: usize,
    /// How long a handshake may take.
    pub(crate) handshake: Duration,
    /// Requests of one session that are worked on at once.
    pub(crate) in_flight: usize,
    /// How long the other side may be silent before it is asked whether it is there.
    pub(crate) ping: Duration,
}

/// The open sessions. Cheap to clone.
///
/// A session belongs to the side that dialled: it calls with the rights of its token. Two instances that are peers of
/// each other have up to two sessions, one for each direction; of one direction and token there is one at the most on
/// the side that dials. The side that is dialled keeps every session that authenticates, since it cannot know which of
/// two the other side has given up.
#[derive(Clone)]
pub(crate) struct Sessions {
    inner: Arc<Inner>,
}

/// The keys of this instance, as its peers meet them.
pub(crate) struct OwnKeys {
    pub(crate) identity: Arc<Identity>,
    /// How it came to replace earlier ones, oldest first.
    pub(crate) rotations: Vec<Rotation>,
    /// The identity and all earlier ones: tokens may name any of them.
    pub(crate) issuers: Vec<IssuerHash>,
    /// The keys whose signatures count on tokens of this instance.
    pub(crate) verifying: Vec<TokenVerifier>,
}

struct Inner {
    keys: OwnKeys,
    whereabouts: OnceLock<Whereabouts>,
    store: Store,
    audit: Audit,
    rates: CallRates,
    settings: SessionSettings,
    // Until the sessions are closed: the table leads back to this registry.
    service: Mutex<Option<Service>>,
    live: Mutex<Live>,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

/// What is open. Held for map operations, never over an await.
#[derive(Default)]
struct Live {
    open: HashMap<SessionId, (Session, Arc<Caller>)>,
    /// By who has to answer, too: the id of a token is whatever its issuer wrote into it, so that another instance's
    /// token with the same id must not lead to this one's session.
    dialled: HashMap<(IssuerHash, TokenId), Dialling>,
    /// The service is stopping: what authenticates from now on is drained at once.
    draining: bool,
}

/// How often a session that ended as soon as it was open is dialled anew for the same caller.
const REDIALS: u32 = 2;

/// A dial that whoever wants the same session waits for, and its outcome ever after.
type Dialling = Shared<BoxFuture<'static, Result<Session, Failure>>>;

impl Sessions {
    pub(crate) fn new(keys: OwnKeys, store: Store, audit: Audit, rates: CallRates, settings: SessionSettings) -> Self {
        let inner = Inner {
            keys,
            whereabouts: OnceLock::new(),
            store,
            audit,
            rates,
            settings,
            service: Mutex::default(),
            live: Mutex::default(),
            tracker: TaskTracker::new(),
            cancel: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Says which methods peers may call. Once, before anything is dialled or accepted.
    pub(crate) fn serve(&self, service: Service) {
        let before = self.inner.service.lock().unwrap_or_else(PoisonError::into_inner).replace(service);
        assert!(before.is_none(), "the table of a peer is set once");
    }

    /// Says where this instance is, which its peers are told. Once, by a service only.
    pub(crate) fn set_whereabouts(&self, whereabouts: Whereabouts) {
        assert!(self.inner.whereabouts.set(whereabouts).is_ok(), "a service listens once");
    }

    /// Whom to dial, with a token that an instance issued: `issuer` is who it is now, as our row says, which may be
    /// another than when it issued the token.
    pub(crate) async fn target(&self, token: &Secret, issuer: IssuerHash) -> Result<Target, Failure> {
        Target::known(token, issuer, self.inner.store.remote(issuer).await?)
    }

    /// Runs a connection that was accepted, until it ends. It has to authenticate until the deadline.
    pub(crate) fn accept(
        &self,
        connection: Connection,
        guest: Guest,
        deadline: Instant,
    ) -> impl Future<Output = ()> + use<> {
        super::accept::accept(self.clone(), connection, guest, deadline)
    }

    /// The session with a peer, dialled if there is none. Whoever asks at the same time shares one dial.
    pub(crate) async fn get_or_dial(&self, target: &Target) -> Result<Session, Failure> {
        let key = (target.issuer, target.token_id);
        let mut tries = 0;
        loop {
            let dialling = {
                let mut live = self.live();
                if live.draining {
                    return Err(HandshakeError::Stopping.into());
                }
                match live.dialled.get(&key) {
                    Some(dialling) if !is_over(dialling) => dialling.clone(),
                    _ => {
                        let dialling = super::open::open(self.clone(), target.clone()).boxed().shared();
                        live.dialled.insert(key, dialling.clone());
                        // It goes on when nobody waits for it any more: one that stood still half-way would fail
                        // whoever comes next.
                        let (cancel, drive) = (self.inner.cancel.clone(), dialling.clone());
                        self.spawn(async move { cancel.run_until_cancelled(drive).await.is_some() });
                        dialling
                    }
                }
            };
            match dialling.await {
                // It ended between the look and now: dial anew, but not for ever at a peer that lets in and hangs up.
                Ok(session) if session.is_closed() && tries < REDIALS && !self.inner.cancel.is_cancelled() => {
                    tries += 1
                }
                outcome => return outcome,
            }
        }
    }

    /// Whether a session that we dialled with this token is open.
    pub(crate) fn is_connected(&self, issuer: IssuerHash, token: TokenId) -> bool {
        self.live()
            .dialled
            .get(&(issuer, token))
            .is_some_and(|dialling| dialling.peek().is_some() && !is_over(dialling))
    }

    /// Who is at the other end of an open session.
    pub(crate) fn other_end(&self, session: &Session) -> Option<IssuerHash> {
        self.live().open.values().find(|(open, _)| open.is_same(session)).map(|(_, caller)| caller.issuer())
    }

    /// How many sessions are open.
    pub(crate) fn count(&self) -> u64 {
        self.live().open.len() as u64
    }

    /// How many sessions others have opened with a token.
    pub(crate) fn count_token(&self, token: TokenId) -> u64 {
        self.live().open.values().filter(|(_, caller)| caller.token() == Some(token)).count() as u64
    }

    /// Ends the sessions whose bearer was this validation token. Returns how many.
    pub(crate) fn close_validation(&self, id: ValidationId) -> u64 {
        let bound = |caller: &Caller| caller.claims.is_some() && caller.evidence.validations.contains(&id);
        let live = self.live();
        let open = live.open.values().filter(|(session, caller)| bound(caller) && !session.is_closed());
        let sessions: Vec<Session> = open.map(|(session, _)| session.clone()).collect();
        drop(live);
        sessions.iter().for_each(Session::close);
        sessions.len() as u64
    }

    /// Ends the session that we dialled with a token of a peer. Whether there was one.
    pub(crate) fn close_dialled(&self, issuer: IssuerHash, token: TokenId) -> bool {
        let dialling = self.live().dialled.remove(&(issuer, token));
        let session = dialling.and_then(|dialling| dialling.peek().cloned()?.ok()).filter(|open| !open.is_closed());
        session.inspect(Session::close).is_some()
    }

    /// Ends every session that others have opened with a token of ours. Returns how many.
    pub(crate) fn close_token(&self, token: TokenId) -> u64 {
        let live = self.live();
        let accepted =
            live.open.values().filter(|(_, caller)| caller.token() == Some(token)).map(|(session, _)| session.clone());
        let sessions: Vec<Session> = accepted.filter(|session| !session.is_closed()).collect();
        drop(live);
        sessions.iter().for_each(Session::close);
        sessions.len() as u64
    }

    /// Stops: takes no more requests, finishes those under way, ends. Bounded by the caller, who calls
    /// [`close`](Self::close) at his deadline.
    pub(crate) async fn drain(&self) {
        let sessions: Vec<Session> = {
            let mut live = self.live();
            live.draining = true;
            live.open.values().map(|(session, _)| session.clone()).collect()
        };
        sessions.iter().for_each(Session::drain);
        for session in sessions {
            session.closed().await;
        }
    }

    /// Ends every session now and waits for them.
    pub(crate) async fn close(&self) {
        self.inner.cancel.cancel();
        self.inner.tracker.close();
        self.inner.tracker.wait().await;
        // The shared dials hold clones of this registry, as the table does.
        self.live().dialled.clear();
        drop(self.inner.service.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// What the other end of a session has proven, with the validation tokens that its key matches now: they may have
    /// come since the session was opened, as when we subscribe.
    pub(crate) async fn evidence(&self, caller: &Caller) -> Result<Evidence, Failure> {
        let validations = self.validations(&caller.identity).await?;
        Ok(Evidence { validations, ..caller.evidence.clone() })
    }

    async fn validations(&self, key: &PublicIdentity) -> Result<Vec<ValidationId>, Failure> {
        let mut stored = Vec::new();
        for row in self.inner.store.validations_with_key(key.pem().to_owned()).await? {
            // One that cannot be read vouches for nothing, and concerns only itself (fault R8 of the original). Whose
            // it is, the row says: the token has the key from before that was replaced.
            if let Ok(token) = validation::read_stored(&row.jwt) {
                stored.push((row.id, ValidationToken { key: key.clone(), ..token }));
            }
        }
        Ok(validation::proven(key, stored.iter().map(|(id, token)| (*id, token)), jiff::Timestamp::now()))
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.inner.keys.identity
    }

    /// How our identity came to replace earlier ones.
    pub(super) fn rotations(&self) -> Vec<Rotation> {
        self.inner.keys.rotations.clone()
    }

    /// Where we are, if we serve.
    pub(super) fn whereabouts(&self) -> Option<&Whereabouts> {
        self.inner.whereabouts.get()
    }

    pub(super) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(super) fn audit(&self) -> &Audit {
        &self.inner.audit
    }

    pub(super) fn rates(&self) -> &CallRates {
        &self.inner.rates
    }

    pub(super) fn settings(&self) -> &SessionSettings {
        &self.inner.settings
    }

    pub(super) fn cancel(&self) -> &CancellationToken {
        &self.inner.cancel
    }

    pub(super) fn service(&self) -> Option<Service> {
        self.inner.service.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.inner.tracker.spawn(future)
    }

    /// Signature, issuer and times of a token that was presented.
    pub(super) fn verify(&self, token: &str) -> Result<Claims, HandshakeError> {
        let OwnKeys { verifying, issuers, .. } = &self.inner.keys;
        Ok(verify(token, verifying, issuers, jiff::Timestamp::now())?)
    }

    /// Row and bearer of a token that was presented: no row, no entry. `former` are the keys that the proven one has
    /// replaced. Once it is let in, whoever is known by one of them is known by the new one, and only by that.
    pub(super) async fn admit(
        &self,
        claims: &Claims,
        key: &PublicIdentity,
        former: Vec<Link>,
        from: IpAddr,
    ) -> Result<Evidence, HandshakeError> {
        let store = &self.inner.store;
        let failed = |error: crate::store::Error| HandshakeError::Refused(error.into());
        if store.token(claims.id).await.map_err(failed)?.is_none() {
            return Err(HandshakeError::Revoked);
        }
        if store.followed(key.issuer()).await.map_err(failed)?.is_some() {
            return Err(HandshakeError::Replaced(key.issuer()));
        }
        let mut evidence = Evidence::new(Source::Network(from.to_canonical()), Some(key.clone()));
        evidence.validations = self.validations(key).await.map_err(HandshakeError::Refused)?;
        for link in &former {
            evidence.validations.extend(self.validations(&link.old).await.map_err(HandshakeError::Refused)?);
        }
        if claims.bearers.iter().any(|bearer| bearer.is_satisfied_by(&evidence)) {
            if !former.is_empty() {
                store.follow(former).await.map_err(failed)?;
            }
            Ok(evidence)
        } else {
            Err(HandshakeError::NotBearer)
        }
    }

    /// Takes an authenticated session among the open ones. Whoever does so has to [`attend`](Self::attend) it.
    pub(super) fn enter(&self, session: &Session, caller: &Arc<Caller>) {
        let mut live = self.live();
        live.open.insert(caller.session, (session.clone(), caller.clone()));
        if live.draining {
            session.drain();
        }
    }

    /// Keeps a session among the open ones until it ends, or its other side has been silent for too long.
    pub(super) async fn attend(&self, session: &Session, caller: &Arc<Caller>) {
        tracing::info!(session = %caller.session, peer = %caller.issuer(), from = ?caller.evidence.source, "session opened");
        // What was revoked while the session was being opened, a token or the key of a bearer, was not found among the
        // open ones.
        let revoked = match caller.token() {
            Some(token) => matches!(self.inner.store.token(token).await, Ok(None)),
            None => false,
        };
        let proven = &caller.evidence.validations;
        let known = if proven.is_empty() { Ok(Vec::new()) } else { self.validations(&caller.identity).await };
        if revoked || known.is_ok_and(|known| proven.iter().any(|id| !known.contains(id))) {
            session.close();
        }
        super::vigil::keep(session, caller.claims.is_none(), self.settings().ping).await;
        session.closed().await;
        self.live().open.remove(&caller.session);
        tracing::info!(session = %caller.session, peer = %caller.issuer(), "session ended");
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.inner.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a dial has failed, or its session has ended.
fn is_over(dialling: &Dialling) -> bool {
    match dialling.peek() {
        None => false,
        Some(Err(_)) => true,
        Some(Ok(session)) => session.is_closed(),
    }
}
