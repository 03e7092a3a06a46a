//! RSA, as the original's instances have it. New pairs are Ed25519.
//!
//! Proofs and groups of publications are signed with RSA-PSS and SHA-256, JWTs as the original signs them.

use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, PublicKey as RsaPublicKey};
use aws_lc_rs::signature::{KeyPair as _, RSA_PSS_2048_8192_SHA256, RSA_PSS_SHA256, UnparsedPublicKey};
use jsonwebtoken::{DecodingKey, EncodingKey};

/// The private half.
pub(super) struct RsaPrivate {
    pair: RsaKeyPair,
    /// The same key as PKCS#1, which is how the JWT library takes it. Wiped when it is dropped.
    jwt: EncodingKey,
}

impl RsaPrivate {
    /// Takes the PKCS#1 structure, which is also what is inside PKCS#8.
    pub(super) fn from_pkcs1(der: &[u8]) -> Option<Self> {
        let pair = RsaKeyPair::from_der(der).ok()?;
        Some(Self { pair, jwt: EncodingKey::from_rsa_der(der) })
    }

    pub(super) fn is_of(&self, public: &RsaPublic) -> bool {
        *self.pair.public_key().as_ref() == *public.0
    }

    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let mut signature = vec![0; self.pair.public_modulus_len()];
        self.pair
            .sign(&RSA_PSS_SHA256, &SystemRandom::new(), message, &mut signature)
            .expect("a key of at least 2048 bits has room for the padding");
        signature
    }

    pub(super) fn jwt_key(&self) -> EncodingKey {
        self.jwt.clone()
    }

    pub(super) fn to_pkcs8(&self) -> Pkcs8V1Der<'static> {
        self.pair.as_der().expect("an RSA key can be encoded")
    }
}

/// The public half, as PKCS#1, of which there is one form for each key. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct RsaPublic(Arc<[u8]>);

/// Why a public key is not taken.
pub(super) enum Rejected {
    NoKey,
    Size { bits: usize },
}

impl RsaPublic {
    /// Takes SPKI and PKCS#1.
    pub(super) fn from_der(der: &[u8]) -> Result<Self, Rejected> {
        let key = RsaPublicKey::from_der(der).map_err(|_| Rejected::NoKey)?;
        let bits = bits(key.modulus().big_endian_without_leading_zero());
        if (MIN_BITS..=MAX_BITS).contains(&bits) { Ok(Self(key.as_ref().into())) } else { Err(Rejected::Size { bits }) }
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PSS_2048_8192_SHA256, &self.0).verify(message, signature).is_ok()
    }

    pub(super) fn jwt_key(&self) -> DecodingKey {
        DecodingKey::from_rsa_der(&self.0)
    }
}

/// The length of a modulus, in bits, whether or not zeros stand before it.
pub(crate) fn bits(modulus: &[u8]) -> usize {
    let digits = &modulus[modulus.iter().take_while(|&&byte| byte == 0).count()..];
    digits.first().map_or(0, |first| digits.len() * 8 - first.leading_zeros() as usize)
}

/// The shortest modulus, in bits. One of 1,024 bits is within reach of those who factor for a living, and whoever
/// factors an identity *is* that instance from then on.
pub(crate) const MIN_BITS: usize = 2048;

/// The longest modulus, in bits: all that aws-lc takes. The time that a signature costs grows with its cube.
pub(crate) const MAX_BITS: usize = 8192;

#[cfg(test)]
mod tests {
    use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
    use ed25519_dalek::pkcs8::{Document, PrivateKeyInfoRef, SecretDocument};

    use super::*;
    use crate::keys::{BadSignature, Domain, Identity, KeyError, PublicIdentity, file};
    use crate::legacy_vectors::data::{self, KeyFiles};

    const ONE: Domain = Domain::new("coattail test one");
    const TWO: Domain = Domain::new("coattail test two");

    #[test]
    fn s6_an_rsa_signature_is_for_one_key_one_purpose_and_these_bytes() {
        let (identity, other) = (data::identity("demo-vt-key"), data::identity("other-vt-key"));
        let signature = identity.sign(ONE, b"bytes");
        assert_eq!(signature.len(), 512);
        let public = PublicIdentity::from_pem(identity.public_pem()).unwrap();
        assert_eq!(public.verify(ONE, b"bytes", &signature), Ok(()));
        assert_eq!(public.verify(TWO, b"bytes", &signature), Err(BadSignature));
        assert_eq!(public.verify(ONE, b"bytez", &signature), Err(BadSignature));
        assert_eq!(public.verify(ONE, b"bytes", &signature[1..]), Err(BadSignature));
        assert_eq!(public.verify(ONE, b"bytes", &[]), Err(BadSignature));
        assert_eq!(other.public().verify(ONE, b"bytes", &signature), Err(BadSignature));
        // Nor is a signature of one kind one of the other.
        let ed25519 = Identity::generate();
        assert_eq!(public.verify(ONE, b"bytes", &ed25519.sign(ONE, b"bytes")), Err(BadSignature));
        assert_eq!(ed25519.public().verify(ONE, b"bytes", &signature), Err(BadSignature));
    }

    #[test]
    fn a_pair_is_read_however_it_is_written_and_the_text_is_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let files = data::pair(dir.path(), "demo-vt-key");
        let identity = files.load().unwrap();
        let load = |files: &KeyFiles| {
            files.load().map(|loaded| (loaded.issuer(), loaded.public().is_same_key(identity.public())))
        };

        let saved = KeyFiles { private: dir.path().join("saved.pem"), public: dir.path().join("saved.pub") };
        identity.save(&saved.private, &saved.public).unwrap();
        assert_eq!(load(&saved).unwrap(), (identity.issuer(), true));

        // PKCS#1, which older tools write: the same key, and another text.
        let (_, pkcs8) = SecretDocument::from_pem(&data::text("keys/demo-vt-key.pem")).unwrap();
        let inner = PrivateKeyInfoRef::try_from(pkcs8.as_bytes()).unwrap().private_key.as_bytes().to_vec();
        let private = SecretDocument::try_from(inner).unwrap().to_pem("RSA PRIVATE KEY", LineEnding::LF).unwrap();
        let (_, spki) = Document::from_pem(identity.public_pem()).unwrap();
        let public = Document::try_from(RsaPublic::from_der(spki.as_bytes()).ok().unwrap().0.as_ref()).unwrap();
        file::write_private(&saved.private, &private).unwrap();
        assert_eq!(load(&saved).unwrap(), (identity.issuer(), true));
        file::write_public(&saved.public, &public.to_pem("RSA PUBLIC KEY", LineEnding::LF).unwrap()).unwrap();
        let (issuer, same) = load(&saved).unwrap();
        assert!(same && issuer != identity.issuer());
    }

    #[test]
    fn halves_of_different_pairs_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (demo, other) = (data::pair(dir.path(), "demo-vt-key"), data::pair(dir.path(), "other-vt-key"));
        let new = KeyFiles { private: dir.path().join("new.pem"), public: dir.path().join("new.pub") };
        Identity::generate().save(&new.private, &new.public).unwrap();
        for (private, public) in [(&demo, &other), (&demo, &new), (&new, &demo)] {
            let mixed = KeyFiles { private: private.private.clone(), public: public.public.clone() };
            assert!(matches!(mixed.load(), Err(KeyError::Mismatch { .. })), "{mixed:?}");
        }
    }

    #[test]
    fn a_short_key_is_refused_and_its_length_named() {
        let dir = tempfile::tempdir().unwrap();
        let certificate = data::text("tls/rsa1024-cert.pem");
        let (_, der) = Document::from_pem(&certificate).unwrap();
        let (_, certificate) = x509_parser::parse_x509_certificate(der.as_bytes()).unwrap();
        let spki = Document::try_from(certificate.public_key().raw).unwrap();
        let public = dir.path().join("short.pub");
        file::write_public(&public, &spki.to_pem("PUBLIC KEY", LineEnding::LF).unwrap()).unwrap();
        let private = data::private(dir.path(), "tls/rsa1024-key.pem");
        let error = KeyFiles { private: private.clone(), public }.load().unwrap_err();
        assert!(matches!(error, KeyError::RsaSize { bits: 1024, .. }), "{error:?}");
        assert!(error.hint().unwrap().contains("openssl genpkey"));
        // The private half is not taken, either.
        let (_, pkcs8) = SecretDocument::from_pem(&data::text("tls/rsa1024-key.pem")).unwrap();
        let inner = PrivateKeyInfoRef::try_from(pkcs8.as_bytes()).unwrap().private_key;
        assert!(RsaPrivate::from_pkcs1(inner.as_bytes()).is_none());
    }

    #[test]
    fn the_length_of_a_modulus_does_not_count_zeros_before_it() {
        for (modulus, expected) in
            [(&[][..], 0), (&[0, 0], 0), (&[1], 1), (&[0, 0x80], 8), (&[0, 0x7f, 0], 15), (&[0xff; 256], 2048)]
        {
            assert_eq!(bits(modulus), expected, "{modulus:?}");
        }
    }

    #[test]
    fn s9_a_private_key_is_never_printed() {
        let shown = format!("{:?}", data::identity("demo-vt-key"));
        assert!(!shown.to_lowercase().contains("private") && !shown.contains("RsaPrivate"), "{shown}");
    }
}
