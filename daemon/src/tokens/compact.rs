//! The compact form of a JWT: three parts, of which nothing is trusted but what a key vouches for.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::Validation;
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::TokenError;
use crate::keys::JwtVerifier;

/// A token that was taken apart, and not verified.
pub(super) struct Compact<'a> {
    token: &'a str,
    head: Head,
    payload: Vec<u8>,
    signature: &'a str,
}

#[derive(Deserialize)]
struct Head {
    alg: String,
    kid: Option<String>,
    crit: Option<IgnoredAny>,
}

impl<'a> Compact<'a> {
    pub(super) fn parse(token: &'a str) -> Result<Self, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::TooLarge { bytes: token.len() });
        }
        let mut parts = token.split('.');
        let (Some(head), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError::Garbage);
        };
        let decode = |part| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::Garbage);
        let head: Head = serde_json::from_slice(&decode(head)?).map_err(|_| TokenError::Garbage)?;
        // Extensions that must be understood (RFC 7515): we understand none.
        if head.crit.is_some() {
            return Err(TokenError::Malformed { claim: "crit" });
        }
        Ok(Self { token, head, payload: decode(payload)?, signature })
    }

    /// The key that the token says to be signed by.
    pub(super) fn key_id(&self) -> Option<&str> {
        self.head.kid.as_deref()
    }

    pub(super) fn is_unsigned(&self) -> bool {
        self.head.alg == "none" && self.signature.is_empty()
    }

    /// What it says, whoever says it.
    pub(super) fn unverified<T: DeserializeOwned>(&self) -> Result<T, TokenError> {
        serde_json::from_slice(&self.payload).map_err(|_| TokenError::Garbage)
    }

    /// Whether this key signed it. The algorithm is one of the key's; what the token says of it must agree.
    pub(super) fn verify(&self, verifier: &JwtVerifier) -> Result<(), TokenError> {
        let Some(algorithm) = verifier.kind.verifies(&self.head.alg) else {
            let found = self.head.alg.chars().filter(char::is_ascii_alphanumeric).take(16).collect();
            return Err(TokenError::Algorithm { found, expected: verifier.kind.expected() });
        };
        // The signature alone: times are compared with a clock that is an argument.
        let mut only_signature = Validation::new(algorithm);
        only_signature.required_spec_claims.clear();
        only_signature.validate_exp = false;
        only_signature.validate_aud = false;
        jsonwebtoken::decode::<IgnoredAny>(self.token, &verifier.key, &only_signature)
            .map(drop)
            .map_err(|_| TokenError::BadSignature)
    }
}

/// The largest token, in bytes: some thousand names and a certificate fit. A larger one could not be
/// presented anyway, since a frame before authentication has no more room.
pub const MAX_TOKEN: usize = 64 * 1024;
