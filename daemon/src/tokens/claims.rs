//! What a token says, as the program sees it. How it is written stands in `wire`.

use std::collections::BTreeSet;

use coattail::address::PeerAddress;
use coattail::id::{IssuerHash, PeerId, TokenId};
use coattail::name::{ActionName, InvalidName, ReceiverName};
use jiff::{SignedDuration, Timestamp};

use super::{Bearer, TokenError};

/// What a token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Its id, which is that of its row at the issuer.
    pub id: TokenId,
    /// Who issued it.
    pub issuer: IssuerHash,
    /// When it may be used.
    pub validity: Validity,
    /// Where the issuer can be reached, in the order in which to try.
    pub addresses: Vec<PeerAddress>,
    /// The certificate that the issuer presents there (PEM), if it uses TLS.
    pub certificate: Option<String>,
    /// Who may use it: any one of these. Nobody, if there are none.
    pub bearers: Vec<Bearer>,
    /// What it is for.
    pub usage: Use,
}

/// The two kinds of token that open a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Use {
    /// For a client: to use the actions of the issuer.
    Authentication(Grants),
    /// For a publisher: to deliver to one subscription of the issuer.
    PublisherAuthentication(SubscriptionGrant),
}

impl Use {
    /// What it grants, as it is told to peers: a publisher has none of a client's rights.
    pub fn grants(&self) -> coattail::wire::peer::Grants {
        match self {
            Self::Authentication(grants) => grants.to_wire(),
            Self::PublisherAuthentication(_) => Default::default(),
        }
    }

    /// The name, as in the original.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Authentication(_) => AUTHENTICATION,
            Self::PublisherAuthentication(_) => PUBLISHER_AUTHENTICATION,
        }
    }
}

/// What a client may do, action by action.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// May be performed.
    pub performable: Allowed,
    /// May be published for.
    pub publishable: Allowed,
    /// May be subscribed to.
    pub subscribable: Allowed,
}

impl Grants {
    /// Reads the three lists.
    pub fn parse(performable: &[String], publishable: &[String], subscribable: &[String]) -> Result<Self, InvalidName> {
        Ok(Self {
            performable: Allowed::parse(performable)?,
            publishable: Allowed::parse(publishable)?,
            subscribable: Allowed::parse(subscribable)?,
        })
    }

    /// Whether anything at all may be done with this action: then it may be seen.
    pub fn allows_any(&self, action: &ActionName) -> bool {
        self.performable.allows(action) || self.publishable.allows(action) || self.subscribable.allows(action)
    }

    /// As it is told to peers.
    pub fn to_wire(&self) -> coattail::wire::peer::Grants {
        coattail::wire::peer::Grants {
            performable: self.performable.to_strings(),
            publishable: self.publishable.to_strings(),
            subscribable: self.subscribable.to_strings(),
        }
    }
}

/// A list of actions, or all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Allowed {
    /// Every action, also those to come.
    All,
    /// These alone.
    These(BTreeSet<ActionName>),
}

impl Allowed {
    /// Reads a list of names. `*` among them stands for all.
    pub fn parse(names: &[String]) -> Result<Self, InvalidName> {
        let these = names.iter().map(|name| ActionName::new(name)).collect::<Result<_, _>>()?;
        Ok(if names.iter().any(|name| name == ALL) { Self::All } else { Self::These(these) })
    }

    /// Whether this action is among them.
    pub fn allows(&self, action: &ActionName) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.contains(action),
        }
    }

    /// The list that [`parse`](Self::parse) reads.
    pub fn to_strings(&self) -> Vec<String> {
        match self {
            Self::All => vec![ALL.to_owned()],
            Self::These(names) => names.iter().map(ToString::to_string).collect(),
        }
    }
}

impl Default for Allowed {
    /// Nothing.
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

/// The one subscription that a publisher may deliver to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionGrant {
    /// Whose publications.
    pub action: ActionName,
    /// Who handles them at the subscriber.
    pub receiver: ReceiverName,
    /// The token with which the subscriber was authenticated at the publisher.
    pub authentication_token: TokenId,
    /// The publisher, as the subscriber names it.
    pub peer: Option<PeerId>,
}

/// From when until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// When it was issued.
    pub issued: Timestamp,
    /// From when it may be used.
    pub not_before: Timestamp,
    /// When it ends; never, if absent.
    pub expires: Option<Timestamp>,
}

impl Validity {
    /// From now on, for ever.
    pub fn endless(now: Timestamp) -> Self {
        // Tokens count in whole seconds.
        let issued = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Self { issued, not_before: issued, expires: None }
    }

    /// Both given in seconds from now.
    pub fn starting(now: Timestamp, not_before: i64, expires_in: Option<i64>) -> Result<Self, TokenError> {
        let base = Self::endless(now);
        let at = |seconds, claim| {
            base.issued.checked_add(SignedDuration::from_secs(seconds)).map_err(|_| TokenError::Malformed { claim })
        };
        Ok(Self {
            not_before: at(not_before, "nbf")?,
            expires: expires_in.map(|seconds| at(seconds, "exp")).transpose()?,
            ..base
        })
    }

    /// Whether it may be used now, give or take [`LEEWAY`].
    pub fn check(&self, now: Timestamp) -> Result<(), TokenError> {
        if now.as_second() < self.not_before.as_second().saturating_sub(LEEWAY) {
            return Err(TokenError::NotYetValid { from: self.not_before });
        }
        match self.expires {
            Some(at) if now.as_second() >= at.as_second().saturating_add(LEEWAY) => Err(TokenError::Expired { at }),
            _ => Ok(()),
        }
    }
}

/// Seconds by which the clocks of two machines may differ. The original allowed none; without NTP, a
/// minute is what clocks lose in some weeks.
pub const LEEWAY: i64 = 60;

pub(super) const AUTHENTICATION: &str = "Authentication";
pub(super) const PUBLISHER_AUTHENTICATION: &str = "Publisher Authentication";

/// Stands for every action in a list of names.
const ALL: &str = "*";

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(names: &[&str]) -> Result<Allowed, InvalidName> {
        Allowed::parse(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn lists_allow_what_they_name() {
        let name = |text| ActionName::new(text).unwrap();
        let some = allowed(&["a", "Café"]).unwrap();
        assert!(some.allows(&name("a")) && some.allows(&name("Cafe\u{301}")));
        // Capitals, a Cyrillic а, and a star that is none.
        for other in ["A", "b", "а", "*", "a*"] {
            assert!(!some.allows(&name(other)), "{other}");
        }
        assert!(allowed(&["x", "*"]).unwrap().allows(&name("anything")));
        assert!(
            !allowed(&["＊", "**", "a*", ".*x"].map(|name| name.trim_start_matches('.'))).unwrap().allows(&name("abc"))
        );
        assert!(!allowed(&[]).unwrap().allows(&name("*")));
        assert_eq!(allowed(&["*", "x"]).unwrap().to_strings(), ["*"]);
        assert_eq!(some.to_strings(), ["Café", "a"]);
    }

    #[test]
    fn s13_a_path_is_no_name_in_a_list() {
        for name in ["../x", "a/b", "", " *", "*\n"] {
            assert!(allowed(&["ok", name]).is_err(), "{name:?}");
        }
    }

    #[test]
    fn validity_tolerates_a_minute_and_no_more() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let validity = Validity::starting(at(1_000), 100, Some(200)).unwrap();
        for (now, expected) in [
            (1_039, Err(TokenError::NotYetValid { from: at(1_100) })),
            (1_040, Ok(())),
            (1_100, Ok(())),
            (1_259, Ok(())),
            (1_260, Err(TokenError::Expired { at: at(1_200) })),
            (0, Err(TokenError::NotYetValid { from: at(1_100) })),
            (99_999_999_999, Err(TokenError::Expired { at: at(1_200) })),
        ] {
            assert_eq!(validity.check(at(now)), expected, "{now}");
        }
        assert_eq!(Validity::endless(at(5)).check(at(99_999_999_999)), Ok(()));
        assert!(Validity::starting(at(0), 0, Some(i64::MAX)).is_err());
        assert!(Validity::starting(at(0), i64::MIN, None).is_err());
        // The last and the first moments there are.
        let ends = Validity { issued: Timestamp::MIN, not_before: Timestamp::MIN, expires: Some(Timestamp::MAX) };
        assert_eq!((ends.check(Timestamp::MIN), ends.check(Timestamp::MAX)), (Ok(()), Ok(())));
    }
}
