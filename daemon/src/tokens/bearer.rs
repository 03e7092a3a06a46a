use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use coattail::id::ValidationId;
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::{Evidence, Source};

/// Who may use a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bearer {
    /// Whoever connects from this network: `ipv4://10.0.0.0/8`, `ipv6://fd00::/8`.
    Network(IpNet),
    /// Whoever proves the key of a validation token that is stored here: `vt://ID`.
    Validation(ValidationId),
    /// A form that is not understood, which never matches.
    Unknown(String),
}

impl Bearer {
    /// Reads a bearer of a token that exists already. What is not understood is kept, and matches nobody.
    ///
    /// As in the original, the type is case-sensitive, what follows a second `://` is dropped, and `ipv4`
    /// also takes IPv6. Not so: old spellings of addresses (`127.1`, octal, one number) match nobody.
    pub fn parse(text: &str) -> Self {
        let mut parts = text.split("://");
        let bearer = match (parts.next(), parts.next()) {
            (Some("ipv4"), Some(value)) => network(value).map(Self::Network),
            (Some("ipv6"), Some(value)) if value.contains(':') => network(value).map(Self::Network),
            (Some("vt"), Some(value)) => value.parse().ok().map(Self::Validation),
            _ => None,
        };
        bearer.unwrap_or_else(|| Self::Unknown(text.to_owned()))
    }

    /// Everyone who has the token, from wherever: the default.
    pub fn everyone() -> Vec<Self> {
        let (v4, v6) = (Ipv4Net::default(), Ipv6Net::default());
        vec![Self::Network(v4.into()), Self::Network(v6.into())]
    }

    /// Whether what the connection has proven makes it this bearer.
    pub fn is_satisfied_by(&self, evidence: &Evidence) -> bool {
        match (self, evidence.source) {
            (Self::Network(network), Source::Network(address)) => network.contains(&address.to_canonical()),
            // A connection within this machine has no address, and counts as the loopback one.
            (Self::Network(network), Source::Local) => {
                network.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)) || network.contains(&IpAddr::V6(Ipv6Addr::LOCALHOST))
            }
            (Self::Validation(id), _) => evidence.key.is_some() && evidence.validations.contains(id),
            (Self::Unknown(_), _) => false,
        }
    }
}

impl fmt::Display for Bearer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network(network) => {
                let kind = if network.addr().is_ipv4() { "ipv4" } else { "ipv6" };
                // A mapped address with its prefix matches nobody, and without it its IPv4 address: it stays what it is.
                let is_mapped = network.addr() != network.addr().to_canonical();
                if network.prefix_len() == network.max_prefix_len() && !is_mapped {
                    write!(f, "{kind}://{}", network.addr())
                } else {
                    write!(f, "{kind}://{network}")
                }
            }
            Self::Validation(id) => write!(f, "vt://{id}"),
            Self::Unknown(text) => f.write_str(text),
        }
    }
}

/// A bearer that would match nobody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no bearer")]
pub struct InvalidBearer {
    text: String,
}

impl InvalidBearer {
    /// What to try.
    pub fn hint(&self) -> Option<String> {
        // The help of the original showed such a range as its example.
        Some(match network(&self.text) {
            Some(network) => format!("did you mean `{}`?", Bearer::Network(network)),
            None => "a bearer is vt://ID of a validation token, ipv4://ADDRESS[/PREFIX] or ipv6://ADDRESS[/PREFIX]"
                .to_owned(),
        })
    }
}

impl FromStr for Bearer {
    type Err = InvalidBearer;

    /// Reads a bearer for a new token, and refuses what would match nobody.
    fn from_str(text: &str) -> Result<Self, InvalidBearer> {
        match Self::parse(text) {
            Self::Unknown(text) => Err(InvalidBearer { text: text.chars().take(MAX_SHOWN).collect() }),
            bearer => Ok(bearer),
        }
    }
}

fn network(text: &str) -> Option<IpNet> {
    match text.parse::<IpAddr>() {
        // An address mapped into IPv6 is its IPv4 address, on this side as on that of the connection.
        Ok(address) => Some(IpNet::from(address.to_canonical())),
        Err(_) => text.parse().ok(),
    }
}

/// Characters of a wrong bearer that are shown.
const MAX_SHOWN: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(bearer: &str, source: &str) -> bool {
        let evidence = Evidence::new(Source::Network(source.parse().unwrap()), None);
        Bearer::parse(bearer).is_satisfied_by(&evidence)
    }

    #[test]
    fn bearers_match_as_in_the_original() {
        for (bearer, source, expected) in [
            ("ipv4://0.0.0.0/0", "127.0.0.1", true),
            ("ipv4://0.0.0.0/0", "8.8.8.8", true),
            ("ipv4://0.0.0.0/0", "::ffff:127.0.0.1", true),
            ("ipv4://0.0.0.0/0", "::1", false),
            ("ipv4://0.0.0.0/0", "2001:db8::1", false),
            ("ipv4://127.0.0.1", "127.0.0.1", true),
            ("ipv4://127.0.0.1", "127.0.0.2", false),
            ("ipv4://127.0.0.1", "::ffff:127.0.0.1", true),
            ("ipv4://127.0.0.1", "::ffff:7f00:1", true),
            ("ipv4://127.0.0.1", "::1", false),
            ("ipv4://192.168.0.0/24", "192.168.0.0", true),
            ("ipv4://192.168.0.0/24", "192.168.0.255", true),
            ("ipv4://192.168.0.0/24", "192.168.1.0", false),
            ("ipv4://192.168.0.0/24", "::ffff:192.168.0.7", true),
            ("ipv4://192.168.0.77/24", "192.168.0.1", true),
            ("ipv4://192.168.0.77/24", "192.168.1.77", false),
            ("ipv4://10.0.0.0/8", "10.255.255.255", true),
            ("ipv4://10.0.0.0/8", "11.0.0.0", false),
            ("ipv4://10.1.2.3/32", "10.1.2.3", true),
            ("ipv4://10.1.2.3/32", "10.1.2.4", false),
            ("ipv4://10.0.0.0/33", "10.0.0.0", false),
            ("ipv4://10.0.0.0/-1", "10.0.0.0", false),
            ("ipv4://10.0.0.0/", "10.0.0.0", false),
            ("ipv4://", "127.0.0.1", false),
            ("ipv4://localhost", "127.0.0.1", false),
            ("ipv4:// 127.0.0.1", "127.0.0.1", false),
            ("ipv4://0177.0.0.1", "177.0.0.1", false),
            ("ipv4://::1", "::1", true),
            ("ipv4://::1", "127.0.0.1", false),
            ("ipv4://::1/128", "::1", true),
            ("ipv4://::1/128", "127.0.0.1", false),
            ("ipv4://::/0", "::1", true),
            ("ipv4://::/0", "127.0.0.1", false),
            ("ipv4://::/0", "::ffff:127.0.0.1", false),
            ("ipv4://::ffff:127.0.0.1", "127.0.0.1", true),
            ("ipv4://::ffff:127.0.0.1", "::ffff:127.0.0.1", true),
            ("ipv4://::ffff:127.0.0.0/104", "127.0.0.1", false),
            ("ipv4://::ffff:127.0.0.0/104", "::ffff:127.0.0.1", false),
            ("ipv4://127.0.0.1://10.0.0.1", "127.0.0.1", true),
            ("ipv4://127.0.0.1://10.0.0.1", "10.0.0.1", false),
            ("IPV4://127.0.0.1", "127.0.0.1", false),
            ("127.0.0.0/8", "127.0.0.1", false),
            ("0.0.0.0/0", "127.0.0.1", false),
            ("vt://no-such-id", "127.0.0.1", false),
            ("", "127.0.0.1", false),
        ] {
            assert_eq!(matches(bearer, source), expected, "{bearer} from {source}");
        }
    }

    #[test]
    fn beyond_the_original_ipv6_has_its_own_type_and_old_spellings_match_nobody() {
        for (bearer, source, expected) in [
            ("ipv6://::1", "::1", true),
            ("ipv6://::/0", "2001:db8::1", true),
            ("ipv6://::/0", "::ffff:10.0.0.1", false),
            ("ipv6://fd00::1/8", "fdff::2", true),
            ("ipv6://fd00::/8", "fe00::1", false),
            ("ipv6://127.0.0.1", "127.0.0.1", false),
            ("ipv4://127.1", "127.0.0.1", false),
            ("ipv4://0x7f.0.0.1", "127.0.0.1", false),
            ("ipv4://0177.0.0.1", "127.0.0.1", false),
            ("ipv4://2130706433", "127.0.0.1", false),
        ] {
            assert_eq!(matches(bearer, source), expected, "{bearer} from {source}");
        }
    }

    #[test]
    fn what_is_written_matches_as_what_was_read() {
        for text in ["ipv6://::ffff:10.0.0.1/128", "ipv6://::ffff:10.0.0.1", "ipv4://10.0.0.1/32", "ipv6://::1/128"] {
            let read = Bearer::parse(text);
            assert_eq!(Bearer::parse(&read.to_string()), read, "{text}");
        }
        assert!(!matches(&Bearer::parse("ipv6://::ffff:10.0.0.1/128").to_string(), "10.0.0.1"));
    }

    #[test]
    fn everyone_is_everyone_and_nothing_is_nobody() {
        for source in ["127.0.0.1", "8.8.8.8", "::1", "2001:db8::1", "::ffff:10.0.0.1"] {
            let evidence = Evidence::new(Source::Network(source.parse().unwrap()), None);
            assert!(Bearer::everyone().iter().any(|bearer| bearer.is_satisfied_by(&evidence)), "{source}");
        }
        let written: Vec<_> = Bearer::everyone().iter().map(ToString::to_string).collect();
        assert_eq!(written, ["ipv4://0.0.0.0/0", "ipv6://::/0"]);
        let local = Evidence::new(Source::Local, None);
        assert!(Bearer::parse("ipv4://127.0.0.0/8").is_satisfied_by(&local));
        assert!(!Bearer::parse("ipv4://10.0.0.0/8").is_satisfied_by(&local));
    }

    #[test]
    fn bearers_print_in_their_canonical_form() {
        let id = ValidationId::new();
        for (text, canonical) in [
            ("ipv4://10.1.2.3/32", "ipv4://10.1.2.3"),
            ("ipv4://10.0.0.0/8", "ipv4://10.0.0.0/8"),
            ("ipv4://::1", "ipv6://::1"),
            ("ipv6://FD00::/8", "ipv6://fd00::/8"),
            (&format!("vt://{id}"), &format!("vt://{id}")),
            ("what://ever", "what://ever"),
        ] {
            assert_eq!(Bearer::parse(text).to_string(), canonical);
            assert_eq!(Bearer::parse(canonical), Bearer::parse(&Bearer::parse(text).to_string()));
        }
    }

    #[test]
    fn c13_a_bare_range_is_refused_for_a_new_token_with_what_was_meant() {
        let error = "10.0.0.0/8".parse::<Bearer>().unwrap_err();
        assert_eq!(error.hint().unwrap(), "did you mean `ipv4://10.0.0.0/8`?");
        assert!("vt://x".parse::<Bearer>().unwrap_err().hint().unwrap().contains("vt://ID"));
        assert!("ipv4://0.0.0.0/0".parse::<Bearer>().is_ok());
    }
}
