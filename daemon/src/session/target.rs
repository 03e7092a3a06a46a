use coattail::id::{IssuerHash, TokenId};
use coattail::wire::{ErrorCode, Failure};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use crate::store::Secret;
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
        let pin = claims.certificate.as_deref().map(|pem| CertificateDer::from_pem_slice(pem.as_bytes()));
        let pin = pin.transpose().map_err(|_| {
            Failure::new(ErrorCode::TokenRefused, "the certificate in the token cannot be read")
                .hint("ask its issuer for a new token")
        })?;
        Ok(Self {
            issuer: claims.issuer,
            token_id: claims.id,
            token: token.clone(),
            dialer: Dialer { addresses: claims.addresses, pin },
        })
    }
}
