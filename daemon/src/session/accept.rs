use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use coattail::id::{SessionId, TokenId};
use coattail::rpc::{Ended, Facts, Limits, LineError, Service, Session, Stray};
use coattail::wire::peer::{Authenticate, Authenticated, Hello, Welcome};
use coattail::wire::{ErrorCode, Failure, Method as _, PROTOCOL, SOFTWARE};
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::caller::{Allowed, Caller};
use super::handshake::{HandshakeError, check_version, decode_identity, decode_nonce, decode_proof, encode, new_nonce};
use super::proof::{NONCE, Transcript};
use super::registry::Sessions;
use crate::admission::Guest;
use crate::audit::Fact;
use crate::keys::PublicIdentity;
use crate::keys::rotation::{self, Link};
use crate::tokens::Claims;
use crate::transport::{Channel, Connection};

/// Requests that are worked on at once before authentication: one, and its cancellation.
const IN_FLIGHT_BEFORE: usize = 2;

/// The side that was dialled. Serves two methods, each once and in this order, until the caller has proven its key and
/// its token; then the full table.
struct Doorkeeper {
    sessions: Sessions,
    guest: Guest,
    remote: std::net::SocketAddr,
    channel: Channel,
    // A std mutex: it is never held over an await.
    state: Mutex<State>,
    session: OnceLock<Session>,
    done: Mutex<Option<oneshot::Sender<Arc<Caller>>>>,
}

enum State {
    Fresh,
    Greeted(Box<Greeted>),
    Over,
}

struct Greeted {
    identity: PublicIdentity,
    /// What the caller may have been known by before. It is believed once the key above is proven.
    former: Vec<Link>,
    client_nonce: [u8; NONCE],
    server_nonce: [u8; NONCE],
}

/// Runs the connection until it ends. Bounded in time and memory until it is authenticated.
pub(super) fn accept(
    sessions: Sessions,
    connection: Connection,
    guest: Guest,
    deadline: Instant,
) -> impl Future<Output = ()> {
    let Connection { stream, remote, channel } = connection;
    let (done, authenticated) = oneshot::channel();
    let doorkeeper = Arc::new(Doorkeeper {
        sessions: sessions.clone(),
        guest,
        remote,
        channel,
        state: Mutex::new(State::Fresh),
        session: OnceLock::new(),
        done: Mutex::new(Some(done)),
    });
    let service = Service::new()
        .on_in_order(&doorkeeper, |doorkeeper: &Doorkeeper, _: Facts, hello: Hello| {
            doorkeeper.hello(&hello).map_err(|error| doorkeeper.refuse(Hello::NAME, None, error))
        })
        .on(&doorkeeper, |doorkeeper: Arc<Doorkeeper>, _, login: Authenticate| async move {
            doorkeeper.authenticate(login).await
        });
    let settings = sessions.settings();
    let handshake = settings.handshake;
    let limits = Limits {
        frame: coattail::rpc::Limit::new(settings.frame_before),
        in_flight: coattail::rpc::Limit::new(IN_FLIGHT_BEFORE),
        ..Limits::default()
    };
    let (reader, writer) = tokio::io::split(stream);
    let (session, run) = Session::new(reader, writer, service, Stray::Close, limits, sessions.cancel().child_token());
    doorkeeper.session.set(session.clone()).expect("set once");
    let run = sessions.spawn(run);
    // What is above is not carried for as long as the session lives.
    async move {
        let evicted = doorkeeper.guest.evicted();
        let logged_in = async {
            tokio::select! {
                biased;
                caller = authenticated => caller.ok(),
                // Whoever is gone gives its place back at once.
                () = session.closed() => None,
            }
        };
        match evicted.run_until_cancelled(timeout_at(deadline, logged_in)).await {
            Some(Ok(Some(caller))) => {
                sessions.enter(&session, &caller);
                sessions.attend(&session, &caller).await;
            }
            Some(Ok(None)) => {}
            Some(Err(_)) => {
                doorkeeper.refuse(Authenticate::NAME, None, HandshakeError::TimedOut(handshake));
                session.close();
            }
            None => {
                sessions.audit().record(Fact::refused(Authenticate::NAME, "evicted").source(remote.ip()));
                session.close();
            }
        }
        match run.await {
            Ok(ended) => {
                tracing::debug!(%remote, %ended, "a connection ended");
                doorkeeper.judge(&ended);
            }
            Err(error) => tracing::error!(%remote, %error, "a session panicked"),
        }
    }
}

impl Doorkeeper {
    fn hello(&self, hello: &Hello) -> Result<Welcome, HandshakeError> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, State::Fresh) {
            return Err(HandshakeError::OutOfOrder("session.hello"));
        }
        // Whatever is wrong with it, there is no second try on this connection.
        *state = State::Over;
        check_version(hello.protocol)?;
        let identity = decode_identity(&hello.identity)?;
        let (client_nonce, server_nonce) = (decode_nonce(&hello.nonce)?, new_nonce());
        let ours = self.sessions.identity();
        let transcript = Transcript {
            channel: &self.channel,
            client: (identity.issuer(), client_nonce),
            server: (ours.issuer(), server_nonce),
        };
        let welcome = Welcome {
            protocol: PROTOCOL,
            software: SOFTWARE.to_owned(),
            identity: ours.public_pem().to_owned(),
            nonce: encode(&server_nonce),
            proof: encode(&transcript.prove_server(ours)),
            rotations: self.sessions.rotations(),
        };
        let former = rotation::former(&hello.rotations, &identity, jiff::Timestamp::now());
        *state = State::Greeted(Box::new(Greeted { identity, former, client_nonce, server_nonce }));
        Ok(welcome)
    }

    async fn authenticate(&self, login: Authenticate) -> Result<Authenticated, Failure> {
        let session = self.session.get().expect("set before the session runs");
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
        let caller = match self.check(&login).await {
            Ok(caller) => Arc::new(caller),
            Err((token, error)) => {
                let failure = self.refuse(Authenticate::NAME, token, error);
                // The answer still goes out; nothing more is read.
                session.drain();
                return Err(failure);
            }
        };
        let (Some(done), Some(service)) = (done, self.sessions.service()) else {
            session.drain();
            return Err(HandshakeError::Stopping.into());
        };
        let claims = caller.claims.as_ref().expect("`check` has verified a token");
        let answer = Authenticated {
            session: caller.session,
            grants: claims.usage.grants(),
            server_time: jiff::Timestamp::now().as_millisecond(),
            whereabouts: self.sessions.whereabouts().cloned(),
            frame: Some(self.sessions.settings().frame),
        };
        // If the answer is lost, so is the session, and the next one says it again.
        if answer.whereabouts.is_some() {
            self.sessions.store().told(caller.issuer()).await?;
        }
        // Before the answer goes out, since the other side may call as soon as it has it.
        let settings = self.sessions.settings();
        session.raise_limits(settings.frame, settings.in_flight);
        if let Some(frame) = login.frame {
            session.set_longest(frame);
        }
        session.serve(service.fact(caller.clone()).fact(session.clone()));
        // Before `done`: whoever is in is not evicted any more.
        self.guest.authenticated();
        let fact = Fact::allowed(Authenticate::NAME).subject(caller.session);
        self.sessions.audit().record(caller.sign(fact));
        // The acceptor is gone only when the session has been closed.
        let _ = done.send(caller);
        Ok(answer)
    }

    /// What the caller has proven. A refusal names the token if it is one of ours.
    async fn check(&self, login: &Authenticate) -> Result<Caller, (Option<TokenId>, HandshakeError)> {
        let state = std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Over);
        let State::Greeted(greeted) = state else {
            return Err((None, HandshakeError::OutOfOrder(Authenticate::NAME)));
        };
        let claims = self.sessions.verify(login.token.reveal()).map_err(|error| (None, error))?;
        let id = claims.id;
        self.check_bearer(*greeted, claims, &login.proof).await.map_err(|error| (Some(id), error))
    }

    async fn check_bearer(&self, greeted: Greeted, claims: Claims, proof: &str) -> Result<Caller, HandshakeError> {
        let Greeted { identity, former, client_nonce, server_nonce } = greeted;
        let transcript = Transcript {
            channel: &self.channel,
            client: (identity.issuer(), client_nonce),
            server: (self.sessions.identity().issuer(), server_nonce),
        };
        transcript.check_client(&identity, claims.id, &decode_proof(proof)?).map_err(|_| HandshakeError::Proof)?;
        let evidence = self.sessions.admit(&claims, &identity, former, self.remote.ip()).await?;
        let rate = self.sessions.rates().enter(claims.issuer, claims.id).map_err(HandshakeError::Refused)?;
        let (session, claims) = (SessionId::new(), Some(Arc::new(claims)));
        Ok(Caller { session, identity, evidence, claims, rate, allowed: Allowed::default() })
    }

    /// Holds it against a stranger that it spoke nonsense.
    fn judge(&self, ended: &Ended) {
        let is_nonsense = match ended {
            Ended::NotAFrame(_) => true,
            Ended::Line(error) => !matches!(error, LineError::Io(_) | LineError::Torn { .. }),
            _ => false,
        };
        if is_nonsense && self.guest.is_waiting() {
            self.guest.failed();
            let reason = ErrorCode::InvalidInput.name();
            self.sessions.audit().record(Fact::refused(Hello::NAME, reason).source(self.remote.ip()));
        }
    }

    /// Holds a refusal against the caller, if it is one to hold against anybody, and says how it is told.
    fn refuse(&self, what: &str, token: Option<TokenId>, error: HandshakeError) -> Failure {
        tracing::debug!(remote = %self.remote, %error, "refused a login");
        if error.is_held_against_caller() {
            self.guest.failed();
        }
        let is_late = matches!(error, HandshakeError::TimedOut(_));
        let failure = Failure::from(error);
        let reason = if is_late { "timeout" } else { failure.code.name() };
        self.sessions.audit().record(Fact::refused(what, reason).source(self.remote.ip()).token(token));
        failure
    }
}
