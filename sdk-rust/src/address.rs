//! Where a peer may be reached.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// An address of a peer: a carrier and what is wrapped around it.
///
/// Written `net:host:port` for plain TCP and `net:host:port~tls` for TLS over TCP; an IPv6 address
/// stands in brackets. Addresses are hints: the key is the peer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PeerAddress {
    /// A host name or an IP address, without brackets.
    pub host: String,
    /// The TCP port.
    pub port: u16,
    /// Whether TLS is spoken over the connection.
    pub tls: bool,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no address: expected net:HOST:PORT or net:HOST:PORT~tls")]
pub struct InvalidAddress {
    text: String,
}

impl fmt::Display for PeerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.tls { "~tls" } else { "" };
        if self.host.contains(':') {
            write!(f, "net:[{}]:{}{tls}", self.host, self.port)
        } else {
            write!(f, "net:{}:{}{tls}", self.host, self.port)
        }
    }
}

impl FromStr for PeerAddress {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let parse = || {
            let rest = text.strip_prefix("net:")?;
            let (rest, tls) = match rest.strip_suffix("~tls") {
                Some(rest) => (rest, true),
                None => (rest, false),
            };
            let (host, port) = rest.rsplit_once(':')?;
            let host = match host.strip_prefix('[') {
                Some(host) => host.strip_suffix(']')?,
                None if host.contains(':') => return None,
                None => host,
            };
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':' | '%');
            if host.is_empty() || host.len() > 253 || !host.chars().all(plain) {
                return None;
            }
            let port = port.parse().ok().filter(|&port| port != 0)?;
            Some(Self { host: host.to_owned(), port, tls })
        };
        parse().ok_or_else(|| InvalidAddress { text: text.chars().take(300).collect() })
    }
}

impl Serialize for PeerAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PeerAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_print_as_they_were_written() {
        for text in ["net:127.0.0.1:49365~tls", "net:example.org:1", "net:[::1]:65535~tls"] {
            assert_eq!(text.parse::<PeerAddress>().expect(text).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        for text in [
            "",
            "net:",
            "net:h",
            "net:h:0",
            "net:h:65536",
            "h:1",
            "net:::1:1",
            "net:[::1:1",
            "net:a b:1",
            "net:h:1~shs",
        ] {
            assert!(text.parse::<PeerAddress>().is_err(), "{text}");
        }
    }
}
