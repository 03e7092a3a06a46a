use aws_lc_rs::{constant_time, hmac};
use coattail::secret::Secret;
use jsonwebtoken::{DecodingKey, EncodingKey};

use super::KeyError;
use super::jwt::{JwtSigner, JwtVerifier, Kind};

/// A secret that signs tokens and verifies them, the original's `type: string`: HS256 over its UTF-8 bytes.
///
/// It is never shown, and wiped from memory when it is dropped. There is no identity made of one, since an identity
/// is published (fault S10 of the original).
#[derive(Debug, Clone)]
pub struct SharedSecret(Secret);

impl SharedSecret {
    /// Refuses the empty text, with which anybody could sign.
    pub fn new(text: &str) -> Result<Self, KeyError> {
        if text.is_empty() { Err(KeyError::EmptySecret) } else { Ok(Self(text.into())) }
    }

    /// Whether it is so short that whoever has one token may find it by trying (RFC 7518, section 3.2).
    pub fn is_short(&self) -> bool {
        self.bytes().len() < SAFE_BYTES
    }

    fn bytes(&self) -> &[u8] {
        self.0.reveal().as_bytes()
    }

    /// Names it in the header of a JWT. Made with the secret and not of it, so it says no more than a signature does.
    pub(super) fn key_id(&self) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.bytes());
        let tag = hmac::sign(&key, b"coattail key id v1");
        tag.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(super) fn jwt_signer(&self) -> JwtSigner {
        JwtSigner { kind: Kind::Secret, key_id: self.key_id(), key: EncodingKey::from_secret(self.bytes()) }
    }

    pub(super) fn jwt_verifier(&self) -> JwtVerifier {
        JwtVerifier { kind: Kind::Secret, key: DecodingKey::from_secret(self.bytes()) }
    }
}

impl PartialEq for SharedSecret {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(self.bytes(), other.bytes()).is_ok()
    }
}

impl Eq for SharedSecret {}

/// What HS256 asks of its secret, in bytes.
const SAFE_BYTES: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s9_a_secret_is_never_shown_nor_its_hash() {
        let secret = SharedSecret::new("hunter2").unwrap();
        assert_eq!(format!("{secret:?}"), "SharedSecret(Secret(..))");
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"hunter2");
        let hash: String = hash.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_ne!(secret.key_id(), hash);
        assert_eq!(secret.key_id().len(), 16);
        assert_ne!(secret.key_id(), SharedSecret::new("hunter3").unwrap().key_id());
    }

    #[test]
    fn anybody_could_sign_with_nothing() {
        assert!(matches!(SharedSecret::new(""), Err(KeyError::EmptySecret)));
        assert!(SharedSecret::new(&"x".repeat(31)).unwrap().is_short());
        assert!(!SharedSecret::new(&"x".repeat(32)).unwrap().is_short());
    }
}
