use std::fmt;
use std::str::FromStr;

use coattail::id::{InvalidId, IssuerHash};

/// The subscribers that a publication is for, if it is not for all of them.
///
/// It is no part of what is signed: it says who gets a publication, and not what that is, and whoever gets it is not told
/// who else does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience(Vec<IssuerHash>);

impl Audience {
    /// Of these.
    pub fn new(subscribers: Vec<IssuerHash>) -> Self {
        Self(subscribers)
    }

    /// Who.
    pub fn subscribers(&self) -> &[IssuerHash] {
        &self.0
    }

    /// Whether a subscriber is one of them.
    pub(super) fn includes(&self, subscriber: &IssuerHash) -> bool {
        self.0.contains(subscriber)
    }
}

/// As its column has it: hashes have no spaces.
impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, subscriber) in self.0.iter().enumerate() {
            write!(f, "{}{subscriber}", if place == 0 { "" } else { " " })?;
        }
        Ok(())
    }
}

impl FromStr for Audience {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        text.split(' ').map(str::parse).collect::<Result<_, _>>().map(Self)
    }
}
