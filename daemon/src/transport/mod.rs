//! How bytes move: carriers (TCP, a Unix socket), what is wrapped around them (TLS), and what each has proven.
//!
//! The only home of sockets. Knows nothing of JSON-RPC.

mod dial;
mod listen;
mod tcp;
mod tls;
mod unix;

pub(crate) use dial::{Dialer, dial_first};
pub(crate) use listen::{Accepted, BindError, Listener};
#[cfg(test)]
pub(crate) use tls::client_tls;
pub(crate) use tls::{Channel, Replaced, server_tls};
pub(crate) use unix::ControlListener;

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio_rustls::TlsStream;
use tokio_util::either::Either;

/// A stream of bytes, with TLS or without.
pub(crate) type Stream = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A stream, and what is known of its other end.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) remote: SocketAddr,
    /// Names this very channel; proofs are bound to it.
    pub(crate) channel: Channel,
}
