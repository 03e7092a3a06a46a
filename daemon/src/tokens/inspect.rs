use super::compact::Compact;
use super::wire::RawClaims;
use super::{Claims, TokenError};

/// What a token says that nobody has vouched for (fault S11 of the original).
///
/// A peer's token is signed by a key that only the peer has the public half of, so its holder cannot
/// verify it. It becomes believable once the peer at its address proves the key of its `iss` and accepts
/// it; until then it is what whoever sent it wants us to believe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified(Claims);

impl Unverified {
    /// What it says.
    pub fn claims(&self) -> &Claims {
        &self.0
    }

    /// Takes the claims, by a caller that knows why it believes them.
    pub fn into_claims(self) -> Claims {
        self.0
    }
}

/// Reads a token without verifying it: that of a peer, or of a subscriber.
pub fn inspect(token: &str) -> Result<Unverified, TokenError> {
    let claims: RawClaims = Compact::parse(token.trim())?.unverified()?;
    claims.try_into().map(Unverified)
}
