use std::sync::Arc;

use coattail::id::{IssuerHash, SessionId};
use coattail::rpc::{Limit, Limits, Service, Session, Stray};
use coattail::wire::peer::{Authenticate, Hello, Rotation, Whereabouts};
use coattail::wire::{ErrorCode, Failure, PROTOCOL, SOFTWARE};

use super::caller::{Allowed, Caller};
use super::handshake::{HandshakeError, check_version, decode_identity, decode_nonce, decode_proof, encode, new_nonce};
use super::proof::Transcript;
use super::registry::Sessions;
use super::target::Target;
use crate::keys::PublicIdentity;
use crate::keys::rotation::{self, Link, NotFollowed};
use crate::tokens::{Evidence, Source};
use crate::transport::{Connection, dial_first};

/// Dials a peer, has it prove its key, and logs in with the token it gave us.
pub(super) async fn open(sessions: Sessions, target: Target) -> Result<Session, Failure> {
    let connection = dial_first(&target.dialer).await?;
    let settings = sessions.settings();
    let limit = settings.handshake;
    let (session, issuer, stated) = match tokio::time::timeout(limit, log_in(&sessions, &target, connection)).await {
        Ok(opened) => opened?,
        Err(_) => return Err(HandshakeError::TimedOut(limit).into()),
    };
    // Neither is needed for the session itself.
    if let Some(stated) = stated
        && let Err(failure) = sessions.learn(issuer, stated).await
    {
        tracing::warn!(peer = %issuer, %failure, "what the peer says of where it is was not taken");
    }
    if let Err(failure) = sessions.tell(&session, issuer).await {
        tracing::debug!(peer = %issuer, %failure, "could not tell the peer where this instance is");
    }
    Ok(session)
}

/// The session, who is at its other end, and where that says it is.
type Opened = (Session, IssuerHash, Option<Whereabouts>);

async fn log_in(sessions: &Sessions, target: &Target, connection: Connection) -> Result<Opened, HandshakeError> {
    let Connection { stream, remote, channel } = connection;
    let settings = sessions.settings();
    let limits = Limits {
        frame: Limit::new(settings.frame_before),
        in_flight: Limit::new(settings.in_flight),
        ..Limits::default()
    };
    let (reader, writer) = tokio::io::split(stream);
    // Nothing is served before the other side has proven its key.
    let (session, run) =
        Session::new(reader, writer, Service::new(), Stray::Close, limits, sessions.cancel().child_token());
    let guard = CloseOnDrop(Some(session.clone()));
    let run = sessions.spawn(run);

    let ours = sessions.identity();
    let nonce = new_nonce();
    let hello = Hello {
        protocol: PROTOCOL,
        software: SOFTWARE.to_owned(),
        identity: ours.public_pem().to_owned(),
        nonce: encode(&nonce),
        rotations: sessions.rotations(),
    };
    let address = remote.to_string();
    let not_coattail = |why: String| HandshakeError::NotCoattail { address: address.clone(), why };
    let welcome = session.call(&hello).await.map_err(|error| match Failure::from(error) {
        refused if refused.code == ErrorCode::UnsupportedVersion => HandshakeError::Refused(refused),
        other => not_coattail(other.message),
    })?;
    check_version(welcome.protocol)?;
    let identity = decode_identity(&welcome.identity).map_err(|error| not_coattail(error.to_string()))?;
    let server_nonce = decode_nonce(&welcome.nonce).map_err(|error| not_coattail(error.to_string()))?;
    let links = links(target.issuer, &identity, &welcome.rotations, address)?;
    let transcript =
        Transcript { channel: &channel, client: (ours.issuer(), nonce), server: (identity.issuer(), server_nonce) };
    transcript.check_server(&identity, &decode_proof(&welcome.proof)?).map_err(|_| HandshakeError::Proof)?;

    // From here on it is the peer. If it has replaced its key, everything of it is under the new one before anything
    // comes over the session.
    if !links.is_empty() {
        tracing::warn!(from = %target.issuer, to = %identity.issuer(), "the peer has replaced its identity key");
        sessions.store().follow(links).await.map_err(|error| HandshakeError::Refused(error.into()))?;
    }
    // It may call back as soon as it has let us in, which is before we know it.
    let source = Source::Network(remote.ip().to_canonical());
    let evidence = Evidence::new(source, Some(identity.clone()));
    let rate = sessions.rates().enter(identity.issuer(), target.token_id).map_err(HandshakeError::Refused)?;
    let (id, allowed) = (SessionId::new(), Allowed::default());
    let caller = Arc::new(Caller { session: id, identity, evidence, claims: None, rate, allowed });
    let service = sessions.service().ok_or(HandshakeError::Stopping)?;
    session.serve(service.fact(caller.clone()).fact(session.clone()));
    session.raise_limits(settings.frame, settings.in_flight);
    let proof = encode(&transcript.prove_client(ours, target.token_id));
    let login = Authenticate { token: target.token.clone(), proof, frame: Some(settings.frame) };
    let answer = session.call(&login).await.map_err(|error| HandshakeError::Refused(error.into()))?;
    if let Some(frame) = answer.frame {
        session.set_longest(frame);
    }
    let issuer = caller.issuer();

    sessions.enter(&session, &caller);
    sessions.spawn({
        let (sessions, session) = (sessions.clone(), session.clone());
        async move {
            sessions.attend(&session, &caller).await;
            if let Err(error) = run.await {
                tracing::error!(%error, "a session panicked");
            }
        }
    });
    guard.keep();
    Ok((session, issuer, answer.whereabouts))
}

/// How the expected peer came to have this identity: nothing if it has always had it.
fn links(
    expected: IssuerHash,
    found: &PublicIdentity,
    rotations: &[Rotation],
    address: String,
) -> Result<Vec<Link>, HandshakeError> {
    if found.issuer() == expected {
        return Ok(Vec::new());
    }
    rotation::follow(rotations, expected, found, jiff::Timestamp::now()).map_err(|source| match source {
        NotFollowed::NoChain => HandshakeError::WrongPeer { address, expected, found: found.issuer() },
        source => HandshakeError::NotFollowed { address, expected, source },
    })
}

/// Closes a session that did not come to be: the handshake failed, or nobody waits for it any more.
struct CloseOnDrop(Option<Session>);

impl CloseOnDrop {
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(session) = &self.0 {
            session.close();
        }
    }
}
