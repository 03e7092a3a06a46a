use coattail::id::{IssuerHash, TokenId};
use coattail::secret::Secret;
use coattail::wire::{ErrorCode, Failure};

use crate::keys::tls::certificate;
use crate::store::Remote;
use crate::tokens::inspect;
use crate::transport::Dialer;

/// Whom to dial, and with which token.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Who has to answer.
    pub(crate) issuer: IssuerHash,
    pub(crate) token_id: TokenId,
    pub(crate) token: Secret,
    pub(crate) dialer: Dialer,
}

impl Target {
    /// The instance that issued a token, at the addresses that the token names.
    ///
    /// Nothing in the token is believed but where to dial: whoever answers there has to prove the key that `iss`
    /// names, and only then sees the token.
    pub(crate) fn of_token(token: &Secret) -> Result<Self, Failure> {
        let claims = inspect(token.reveal())?.into_claims();
        let pins = claims.certificate.as_deref().map(certificate).transpose().map_err(|_| {
            Failure::new(ErrorCode::TokenRefused, "the certificate in the token cannot be read")
                .hint("ask its issuer for a new token")
        })?;
        Ok(Self {
            issuer: claims.issuer,
            token_id: claims.id,
            token: token.clone(),
            dialer: Dialer { addresses: claims.addresses, pins: pins.into_iter().collect() },
        })
    }

    /// The same, of an instance of which more is known: the identity that it has now, and where it is. What the token
    /// says is tried last.
    pub(super) fn known(token: &Secret, issuer: IssuerHash, remote: Remote) -> Result<Self, Failure> {
        let mut target = Self { issuer, ..Self::of_token(token)? };
        let dialer = &mut target.dialer;
        let stated = remote.by_hand.into_iter().chain(remote.addresses);
        let mut addresses = Vec::new();
        for address in stated.chain(std::mem::take(&mut dialer.addresses)) {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        dialer.addresses = addresses;
        // It was readable when it was stored.
        let stated = remote.certificate.as_deref().and_then(|pem| certificate(pem).ok());
        if let Some(pin) = stated.filter(|pin| !dialer.pins.contains(pin)) {
            dialer.pins.insert(0, pin);
        }
        Ok(target)
    }
}
