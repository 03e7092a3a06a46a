use jsonwebtoken::Header;

use super::wire::RawClaims;
use super::{Claims, TokenError};
use crate::keys::{JwtSigner, TokenKey};

/// Writes and signs a token. Its header names the key, so that keys can be replaced with an overlap.
///
/// Fails if it would be larger than what [`verify`](super::verify) takes.
pub fn issue(claims: &Claims, key: &TokenKey) -> Result<String, TokenError> {
    sign(&RawClaims::from(claims), key.jwt_signer())
}

pub(super) fn sign(claims: &impl serde::Serialize, signer: JwtSigner) -> Result<String, TokenError> {
    let mut header = Header::new(signer.kind.signs_with());
    header.kid = Some(signer.key_id);
    let token =
        jsonwebtoken::encode(&header, claims, &signer.key).expect("claims are JSON, and the key is of its algorithm");
    if token.len() > super::MAX_TOKEN {
        return Err(TokenError::TooLarge { bytes: token.len() });
    }
    Ok(token)
}
