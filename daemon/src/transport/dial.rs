use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use coattail::address::PeerAddress;
use coattail::wire::{ErrorCode, Failure};
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use rustls::pki_types::CertificateDer;
use tokio::time::{sleep, timeout};
use tokio_rustls::{TlsConnector, TlsStream};
use tokio_util::either::Either;

use super::tls::{WeakCertificate, client_tls, server_name};
use super::{Channel, Connection, tcp};

/// How long one address may take to accept a connection. A host that is up answers within a round trip; longer only
/// delays the next address.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long an address is alone before the next one is tried beside it. A host that is up has answered by then; one that
/// swallows everything must not hold up those that come after it.
const HEAD_START: Duration = Duration::from_millis(500);

/// How long TLS may take once connected.
const TLS_LIMIT: Duration = Duration::from_secs(5);

/// Why a peer could not be reached at an address.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DialError {
    #[error("{address}: {source}")]
    Connect { address: PeerAddress, source: io::Error },
    #[error("{address}: the name has no address")]
    NoAddress { address: PeerAddress },
    #[error("{address}: another certificate than the one in the token")]
    WrongCertificate { address: PeerAddress },
    #[error("{address}: {source}")]
    WeakCertificate { address: PeerAddress, source: WeakCertificate },
    #[error("{address}: what answers there speaks no TLS 1.3: {source}")]
    NotTls { address: PeerAddress, source: io::Error },
    #[error("{address}: TLS was not finished within {limit:?}")]
    TlsTimedOut { address: PeerAddress, limit: Duration },
    #[error("the token names no address")]
    NoAddresses,
}

impl From<DialError> for Failure {
    fn from(error: DialError) -> Self {
        let (code, hint) = match &error {
            DialError::WrongCertificate { .. } => (
                ErrorCode::WrongPeer,
                "if the peer renewed its certificate longer ago than both were served, ask its owner for a new token; else somebody stands in between",
            ),
            DialError::WeakCertificate { .. } => {
                (ErrorCode::Unreachable, "ask the peer's owner to run `coattail tls generate`, and for a new token")
            }
            DialError::NotTls { .. } | DialError::TlsTimedOut { .. } => {
                (ErrorCode::Unreachable, "check that a Coattail service with TLS listens at this address")
            }
            _ => (
                ErrorCode::Unreachable,
                "check that the peer's service is running and that its address can be reached from here",
            ),
        };
        Failure::new(code, error.to_string()).hint(hint)
    }
}

/// Dials the addresses of one peer.
#[derive(Debug, Clone)]
pub(crate) struct Dialer {
    pub(crate) addresses: Vec<PeerAddress>,
    /// The certificates of which the peer must present one where TLS is spoken, tried in order; any will do if there is
    /// none.
    pub(crate) pins: Vec<CertificateDer<'static>>,
}

/// Follows the addresses in order, each with a head start before the next, and returns the first connection. If there
/// is none, the last error.
pub(crate) async fn dial_first(dialer: &Dialer) -> Result<Connection, DialError> {
    let mut last = DialError::NoAddresses;
    let mut dials = FuturesUnordered::new();
    let mut addresses = dialer.addresses.iter();
    loop {
        match addresses.next() {
            Some(address) => dials.push(dial_pinned(address, &dialer.pins)),
            None if dials.is_empty() => return Err(last),
            None => {}
        }
        let head_start =
            async { if addresses.len() == 0 { std::future::pending().await } else { sleep(HEAD_START).await } };
        tokio::select! {
            biased;
            // There is one at least: it was just added, or the function has returned.
            Some(outcome) = dials.next() => match outcome {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            },
            () = head_start => {}
        }
    }
}

/// A peer that has renewed its certificate presents the one that we ask for, while it still has it.
async fn dial_pinned(address: &PeerAddress, pins: &[CertificateDer<'static>]) -> Result<Connection, DialError> {
    let Some((last, others)) = pins.split_last() else { return dial(address, None).await };
    for pin in others {
        match dial(address, Some(pin)).await {
            Err(DialError::WrongCertificate { .. }) => {}
            dialled => return dialled,
        }
    }
    dial(address, Some(last)).await
}

async fn dial(address: &PeerAddress, pin: Option<&CertificateDer<'static>>) -> Result<Connection, DialError> {
    let connect_error = |source| DialError::Connect { address: address.clone(), source };
    let resolved: Vec<SocketAddr> =
        timeout(CONNECT_LIMIT, tokio::net::lookup_host((address.host.as_str(), address.port)))
            .await
            .map_err(|_| connect_error(io::Error::new(io::ErrorKind::TimedOut, "the name was not resolved in time")))?
            .map_err(connect_error)?
            .collect();
    let mut last = DialError::NoAddress { address: address.clone() };
    for remote in resolved {
        let stream = match tcp::connect(remote, CONNECT_LIMIT).await {
            Ok(stream) => stream,
            Err(error) => {
                last = connect_error(error);
                continue;
            }
        };
        if !address.tls {
            return Ok(Connection { stream: Either::Left(stream), remote, channel: Channel::plain() });
        }
        let not_tls = |source| DialError::NotTls { address: address.clone(), source };
        let config = client_tls(pin.cloned()).map_err(|error| not_tls(io::Error::other(error)))?;
        let name = server_name(pin);
        let stream = match timeout(TLS_LIMIT, TlsConnector::from(config).connect(name, stream)).await {
            Err(_) => return Err(DialError::TlsTimedOut { address: address.clone(), limit: TLS_LIMIT }),
            Ok(Err(error)) if is_wrong_certificate(&error) => {
                return Err(DialError::WrongCertificate { address: address.clone() });
            }
            Ok(Err(error)) => {
                return Err(match weak_certificate(&error) {
                    Some(source) => DialError::WeakCertificate { address: address.clone(), source },
                    None => not_tls(error),
                });
            }
            Ok(Ok(stream)) => stream,
        };
        let channel = Channel::of(stream.get_ref().1).map_err(|error| not_tls(io::Error::other(error)))?;
        return Ok(Connection { stream: Either::Right(Box::new(TlsStream::from(stream))), remote, channel });
    }
    Err(last)
}

fn is_wrong_certificate(error: &io::Error) -> bool {
    matches!(tls_error(error), Some(rustls::Error::InvalidCertificate(_)))
}

fn weak_certificate(error: &io::Error) -> Option<WeakCertificate> {
    match tls_error(error)? {
        rustls::Error::Other(other) => other.0.downcast_ref().cloned(),
        _ => None,
    }
}

fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}
