//! RSA keys of fewer than 2,048 bits, for TLS alone: the original's manual had its users make certificates of 1,024.
//!
//! Such a key can be factored by those who have the means. Whoever did could answer for the address, and would then fail
//! at the session's handshake, whose proofs name the channel and are made with the identity keys. aws-lc takes part in no
//! RSA-PSS below 2,048 bits, hence the second implementation; nothing else may use it.

use rsa::pkcs1::DecodeRsaPrivateKey as _;
use rsa::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePublicKey as _};
use rsa::pss::{Signature, SigningKey, VerifyingKey};
use rsa::signature::{RandomizedSigner as _, SignatureEncoding as _, Verifier as _};
use rsa::traits::PublicKeyParts as _;
use rsa::{RsaPrivateKey, RsaPublicKey};
use rustls::pki_types::{PrivateKeyDer, SubjectPublicKeyInfoDer};
use rustls::sign::Signer;
use rustls::{Error, SignatureAlgorithm, SignatureScheme};
use sha2::Sha256;

use super::rsa::MIN_BITS;

/// The shortest modulus of a certificate's key, in bits: the original's manual, `openssl genrsa` of its time.
pub(crate) const MIN_TLS_BITS: usize = 1024;

/// Signs the handshakes of TLS 1.3.
#[derive(Clone)]
pub(super) struct ShortRsa(SigningKey<Sha256>);

impl ShortRsa {
    /// Takes PKCS#8 and PKCS#1; nothing longer than what only this can do.
    pub(super) fn from_der(key: &PrivateKeyDer<'_>) -> Option<Self> {
        let private = match key {
            PrivateKeyDer::Pkcs8(der) => RsaPrivateKey::from_pkcs8_der(der.secret_pkcs8_der()).ok()?,
            PrivateKeyDer::Pkcs1(der) => RsaPrivateKey::from_pkcs1_der(der.secret_pkcs1_der()).ok()?,
            _ => return None,
        };
        is_short(private.as_public_key()).then(|| Self(SigningKey::new(private)))
    }
}

impl std::fmt::Debug for ShortRsa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShortRsa").finish_non_exhaustive()
    }
}

impl rustls::sign::SigningKey for ShortRsa {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        offered.contains(&self.scheme()).then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        let der = AsRef::<RsaPrivateKey>::as_ref(&self.0).to_public_key().to_public_key_der().ok()?;
        Some(SubjectPublicKeyInfoDer::from(der.into_vec()))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::RSA
    }
}

impl Signer for ShortRsa {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.0.try_sign_with_rng(&mut rand::rng(), message);
        signature.map(|signature| signature.to_vec()).map_err(|error| Error::General(error.to_string()))
    }

    fn scheme(&self) -> SignatureScheme {
        // With 1,024 bits there is no room for the padding of SHA-512, and every client offers this one.
        SignatureScheme::RSA_PSS_SHA256
    }
}

/// Whether a signature (RSA-PSS with SHA-256) is by the short key of a certificate, given as SPKI.
pub(crate) fn verifies_short_rsa(spki: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (RsaPublicKey::from_public_key_der(spki), Signature::try_from(signature)) else {
        return false;
    };
    is_short(&key) && VerifyingKey::<Sha256>::new(key).verify(message, &signature).is_ok()
}

fn is_short(key: &RsaPublicKey) -> bool {
    (MIN_TLS_BITS..MIN_BITS).contains(&(key.n().bits() as usize))
}
