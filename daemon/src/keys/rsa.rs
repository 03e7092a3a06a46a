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
/// factors an identity *is* that instance from then on; aws-lc signs with nothing shorter, either.
pub(crate) const MIN_BITS: usize = 2048;

/// The longest modulus, in bits: all that aws-lc takes. The time that a signature costs grows with its cube.
pub(crate) const MAX_BITS: usize = 8192;
