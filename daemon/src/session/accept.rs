use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use coattail::id::SessionId;
use coattail::rpc::{Facts, Limits, Service, Session, Stray};
use coattail::wire::peer::{Authenticate, Authenticated, Hello, Welcome};
use coattail::wire::{Failure, PROTOCOL, SOFTWARE};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::caller::Caller;
use super::handshake::{HandshakeError, check_version, decode_identity, decode_nonce, decode_proof, encode, new_nonce};
use super::proof::{NONCE, Transcript};
use super::registry::Sessions;
use crate::keys::PublicIdentity;
use crate::keys::rotation::{self, Link};
use crate::transport::{Channel, Connection};

/// Requests that are worked on at once before authentication: one, and its cancellation.
const IN_FLIGHT_BEFORE: usize = 2;

/// The side that was dialled. Serves two methods, each once and in this order, until the caller has proven its key and
/// its token; then the full table.
struct Doorkeeper {
    sessions: Sessions,
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
pub(super) async fn accept(sessions: Sessions, connection: Connection, place: OwnedSemaphorePermit) {
    let Connection { stream, remote, channel } = connection;
    let (done, authenticated) = oneshot::channel();
    let doorkeeper = Arc::new(Doorkeeper {
        sessions: sessions.clone(),
        remote,
        channel,
        state: Mutex::new(State::Fresh),
        session: OnceLock::new(),
        done: Mutex::new(Some(done)),
    });
    let service = Service::new()
        .on_in_order(&doorkeeper, |doorkeeper: &Doorkeeper, _: Facts, hello: Hello| Ok(doorkeeper.hello(&hello)?))
        .on(&doorkeeper, |doorkeeper: Arc<Doorkeeper>, _, login: Authenticate| async move {
            doorkeeper.authenticate(login).await
        });
    let settings = sessions.settings();
    let limits = Limits {
        frame: coattail::rpc::Limit::new(settings.frame_before),
        in_flight: coattail::rpc::Limit::new(IN_FLIGHT_BEFORE),
        ..Limits::default()
    };
    let (reader, writer) = tokio::io::split(stream);
    let (session, run) = Session::new(reader, writer, service, Stray::Close, limits, sessions.cancel().child_token());
    doorkeeper.session.set(session.clone()).expect("set once");
    let run = sessions.spawn(run);
    match tokio::time::timeout(settings.handshake, authenticated).await {
        Ok(Ok(caller)) => {
            drop(place);
            sessions.enter(&session, &caller);
            sessions.attend(&session, &caller).await;
        }
        Ok(Err(_)) => {}
        Err(_) => {
            tracing::debug!(%remote, "closed a connection that did not authenticate in time");
            session.close();
        }
    }
    match run.await {
        Ok(ended) => tracing::debug!(%remote, %ended, "a connection ended"),
        Err(error) => tracing::error!(%remote, %error, "a session panicked"),
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
            Err(error) => {
                tracing::debug!(remote = %self.remote, %error, "refused a login");
                // The answer still goes out; nothing more is read.
                session.drain();
                return Err(error.into());
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
        };
        // If the answer is lost, so is the session, and the next one says it again.
        if answer.whereabouts.is_some() {
            self.sessions.store().told(caller.issuer()).await?;
        }
        // Before the answer goes out, since the other side may call as soon as it has it.
        let settings = self.sessions.settings();
        session.raise_limits(settings.frame, settings.in_flight);
        session.serve(service.fact(caller.clone()).fact(session.clone()));
        // The acceptor is gone only when the session has been closed.
        let _ = done.send(caller);
        Ok(answer)
    }

    async fn check(&self, login: &Authenticate) -> Result<Caller, HandshakeError> {
        let state = std::mem::replace(&mut *self.state.lock().unwrap_or_else(PoisonError::into_inner), State::Over);
        let State::Greeted(greeted) = state else {
            return Err(HandshakeError::OutOfOrder("session.authenticate"));
        };
        let Greeted { identity, former, client_nonce, server_nonce } = *greeted;
        let claims = self.sessions.verify(&login.token)?;
        let transcript = Transcript {
            channel: &self.channel,
            client: (identity.issuer(), client_nonce),
            server: (self.sessions.identity().issuer(), server_nonce),
        };
        transcript
            .check_client(&identity, claims.id, &decode_proof(&login.proof)?)
            .map_err(|_| HandshakeError::Proof)?;
        let evidence = self.sessions.admit(&claims, &identity, former, self.remote.ip()).await?;
        Ok(Caller { session: SessionId::new(), identity, evidence, claims: Some(Arc::new(claims)) })
    }
}
