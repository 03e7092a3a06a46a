use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use coattail::wire::ErrorCode;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsStream};
use tokio_util::either::Either;

use super::{Channel, Connection, tcp};

/// Why the service cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("{0} is in use by another program")]
    InUse(SocketAddr),
    /// The address is not one of this machine.
    #[error("{0} is not an address of this machine")]
    NotOurs(SocketAddr),
    /// The system refuses.
    #[error("cannot listen on {address}: {source}")]
    Refused {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

impl BindError {
    /// What to try.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::InUse(_) => "stop what listens there, or change `service.network.port` in config.yml",
            Self::NotOurs(_) => {
                "set `service.network.address.bind` in config.yml to an address of this machine, or to 0.0.0.0"
            }
            Self::Refused { .. } => "ports below 1024 need privileges; change `service.network.port` in config.yml",
        })
    }

    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::InUse(_) => ErrorCode::AlreadyExists,
            Self::NotOurs(_) | Self::Refused { .. } => ErrorCode::Failed,
        }
    }
}

/// A connection as it comes from the kernel: nothing is known of it yet.
pub(crate) type Accepted = TcpStream;

/// Accepts connections of peers.
pub(crate) struct Listener {
    tcp: Arc<TcpListener>,
    tls: Option<TlsAcceptor>,
    address: SocketAddr,
}

impl Listener {
    pub(crate) fn bind(address: SocketAddr, tls: Option<Arc<ServerConfig>>) -> Result<Self, BindError> {
        let refused = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => BindError::InUse(address),
            io::ErrorKind::AddrNotAvailable => BindError::NotOurs(address),
            _ => BindError::Refused { address, source },
        };
        let tcp = tcp::listen(address).map_err(refused)?;
        let address = tcp.local_addr().map_err(refused)?;
        Ok(Self { tcp: Arc::new(tcp), tls: tls.map(TlsAcceptor::from), address })
    }

    /// The same socket, with other TLS: whoever connects in between waits in the kernel.
    pub(crate) fn with_tls(&self, tls: Option<Arc<ServerConfig>>) -> Self {
        Self { tcp: self.tcp.clone(), tls: tls.map(TlsAcceptor::from), address: self.address }
    }

    /// Where it listens; the real port, if any was asked for.
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next connection, as it comes from the kernel. Cancel-safe.
    pub(crate) async fn accept(&self) -> io::Result<(Accepted, SocketAddr)> {
        self.tcp.accept().await
    }

    /// Wraps what was accepted. The caller bounds how long it may take.
    pub(crate) fn wrap(
        &self,
        stream: Accepted,
        remote: SocketAddr,
    ) -> impl Future<Output = io::Result<Connection>> + use<> {
        let tls = self.tls.clone();
        async move {
            tcp::tune(&stream)?;
            let Some(tls) = tls else {
                return Ok(Connection { stream: Either::Left(stream), remote, channel: Channel::plain() });
            };
            let stream = tls.accept(stream).await?;
            let channel = Channel::of(stream.get_ref().1).map_err(io::Error::other)?;
            Ok(Connection { stream: Either::Right(Box::new(TlsStream::from(stream))), remote, channel })
        }
    }
}
