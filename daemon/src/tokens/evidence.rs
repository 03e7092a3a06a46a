use std::net::IpAddr;

use coattail::id::ValidationId;

use crate::keys::PublicIdentity;

/// What a connection has proven. Transport and handshake fill it in, policy reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where it comes from.
    pub source: Source,
    /// The key that the other side proved to have.
    pub key: Option<PublicIdentity>,
    /// The validation tokens stored here that carry that key and are valid now:
    /// [`validation::proven`](super::validation::proven) finds them.
    pub validations: Vec<ValidationId>,
}

/// Where a connection comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Over the network, from this address.
    Network(IpAddr),
    /// From this machine, over a transport without addresses.
    Local,
}

impl Evidence {
    /// Evidence that no validation token vouches for yet.
    pub fn new(source: Source, key: Option<PublicIdentity>) -> Self {
        Self { source, key, validations: Vec::new() }
    }
}
