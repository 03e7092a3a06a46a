//! Key pairs that sign: the identity of an instance, and the pair that signs its tokens.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use coattail::id::IssuerHash;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey as _, DecodePublicKey as _, Document, EncodePrivateKey as _, EncodePublicKey as _, KeypairBytes,
    PrivateKeyInfoRef, SecretDocument,
};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use jsonwebtoken::{DecodingKey, EncodingKey};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;
use zeroize::Zeroizing;

use super::jwt::{JwtSigner, JwtVerifier, Kind};
use super::rsa::{Rejected, RsaPrivate, RsaPublic};
use super::{KeyError, file};

/// What a signature is for. It is part of what is signed, so that a signature for one purpose is worth
/// nothing for another.
///
/// Signed is: the length of the name in one byte, the name, then the bytes. The length is at most 64, so
/// nothing signed here can be taken for a JWT, whose first byte is `e` (101), nor the reverse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Domain(&'static str);

impl Domain {
    /// A purpose, such as `coattail handshake v1 client`. At most 64 bytes: a longer one does not compile
    /// where it is a constant.
    pub const fn new(name: &'static str) -> Self {
        assert!(name.len() <= 64, "the name of a domain has at most 64 bytes");
        Self(name)
    }

    fn message(self, bytes: &[u8]) -> Vec<u8> {
        let mut message = Vec::with_capacity(1 + self.0.len() + bytes.len());
        message.push(self.0.len() as u8);
        message.extend_from_slice(self.0.as_bytes());
        message.extend_from_slice(bytes);
        message
    }
}

/// A key pair, Ed25519 or RSA. Its private half is wiped from memory when it is dropped.
pub struct Identity {
    private: Private,
    public: PublicIdentity,
}

enum Private {
    Ed25519(SigningKey),
    Rsa(RsaPrivate),
}

impl Identity {
    /// A new Ed25519 pair.
    ///
    /// # Panics
    /// If the system has no randomness to give.
    pub fn generate() -> Self {
        Self::from_ed25519(SigningKey::generate(&mut UnwrapErr(SysRng)))
    }

    /// Loads a pair, and checks that its halves belong together and that nobody else can read it.
    pub fn load(private: &Path, public: &Path) -> Result<Self, KeyError> {
        let text = file::read_private(private)?;
        // The text counts, not only the key: the issuer hash is that of the file. It is read first, since it says
        // best what is wrong with a pair.
        let public_identity = PublicIdentity::parse(&file::read_public(public)?, &public.display().to_string())?;
        let key = Private::from_pem(&text).ok_or_else(|| KeyError::Malformed {
            what: private.display().to_string(),
            expected: "private Ed25519 or RSA key (PKCS#8)",
        })?;
        if !key.is_of(&public_identity.key) {
            return Err(KeyError::Mismatch { private: private.to_owned(), public: public.to_owned() });
        }
        Ok(Self { private: key, public: public_identity })
    }

    /// Writes both halves, the private one for its owner only.
    pub fn save(&self, private: &Path, public: &Path) -> Result<(), KeyError> {
        file::write_private(private, &self.private_pem())?;
        file::write_public(public, self.public_pem())
    }

    /// Names the instance whose identity this is.
    pub fn issuer(&self) -> IssuerHash {
        self.public.issuer()
    }

    /// The half that may be shown.
    pub fn public(&self) -> &PublicIdentity {
        &self.public
    }

    /// The text of the public key file.
    pub fn public_pem(&self) -> &str {
        self.public.pem()
    }

    /// Signs bytes for one purpose: Ed25519, or RSA-PSS with SHA-256.
    pub fn sign(&self, domain: Domain, bytes: &[u8]) -> Vec<u8> {
        let message = domain.message(bytes);
        match &self.private {
            Private::Ed25519(key) => key.sign(&message).to_vec(),
            Private::Rsa(key) => key.sign(&message),
        }
    }

    pub(crate) fn jwt_signer(&self) -> JwtSigner {
        let key = match &self.private {
            Private::Ed25519(key) => {
                let der = pkcs8(key).to_pkcs8_der().expect("an Ed25519 key can be encoded");
                EncodingKey::from_ed_der(der.as_bytes())
            }
            Private::Rsa(key) => key.jwt_key(),
        };
        JwtSigner { kind: self.public.kind(), key_id: self.public.key_id(), key }
    }

    fn from_ed25519(key: SigningKey) -> Self {
        let pem = key.verifying_key().to_public_key_pem(LineEnding::LF).expect("an Ed25519 key can be encoded");
        let public = PublicIdentity::new(Public::Ed25519(key.verifying_key()), &pem);
        Self { private: Private::Ed25519(key), public }
    }

    fn private_pem(&self) -> Zeroizing<String> {
        match &self.private {
            Private::Ed25519(key) => pkcs8(key).to_pkcs8_pem(LineEnding::LF).expect("an Ed25519 key can be encoded"),
            Private::Rsa(key) => SecretDocument::try_from(key.to_pkcs8().as_ref())
                .and_then(|der| der.to_pem(PKCS8, LineEnding::LF))
                .expect("an RSA key can be encoded"),
        }
    }
}

impl Private {
    fn from_pem(text: &str) -> Option<Self> {
        let (label, der) = SecretDocument::from_pem(text).ok()?;
        let rsa = |der| RsaPrivate::from_pkcs1(der).map(Self::Rsa);
        match label {
            PKCS8 => match SigningKey::from_pkcs8_der(der.as_bytes()) {
                Ok(key) => Some(Self::Ed25519(key)),
                Err(_) => rsa(PrivateKeyInfoRef::try_from(der.as_bytes()).ok()?.private_key.as_bytes()),
            },
            "RSA PRIVATE KEY" => rsa(der.as_bytes()),
            _ => None,
        }
    }

    fn is_of(&self, public: &Public) -> bool {
        match (self, public) {
            (Self::Ed25519(key), Public::Ed25519(public)) => key.verifying_key() == *public,
            (Self::Rsa(key), Public::Rsa(public)) => key.is_of(public),
            _ => false,
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("public", &self.public).finish_non_exhaustive()
    }
}

/// The public half of a pair: what others know of an instance. Cheap to clone.
#[derive(Clone)]
pub struct PublicIdentity {
    key: Public,
    pem: Arc<str>,
    issuer: IssuerHash,
}

#[derive(Clone, PartialEq, Eq)]
enum Public {
    Ed25519(VerifyingKey),
    Rsa(RsaPublic),
}

impl PublicIdentity {
    /// Reads the text of a public key file, as a peer may send it.
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        Self::parse(text, "the public key")
    }

    fn parse(text: &str, what: &str) -> Result<Self, KeyError> {
        if text.len() as u64 > file::MAX_PEM {
            return Err(KeyError::TooLarge { what: what.to_owned(), max: file::MAX_PEM });
        }
        let malformed = || KeyError::Malformed { what: what.to_owned(), expected: "public Ed25519 or RSA key (SPKI)" };
        let (label, der) = Document::from_pem(text).map_err(|_| malformed())?;
        if !["PUBLIC KEY", "RSA PUBLIC KEY"].contains(&label) {
            return Err(malformed());
        }
        let key = match VerifyingKey::from_public_key_der(der.as_bytes()) {
            Ok(key) if key.is_weak() => return Err(KeyError::Weak { what: what.to_owned() }),
            Ok(key) => Public::Ed25519(key),
            Err(_) => Public::Rsa(RsaPublic::from_der(der.as_bytes()).map_err(|rejected| match rejected {
                Rejected::NoKey => malformed(),
                Rejected::Size { bits } => KeyError::RsaSize { what: what.to_owned(), bits },
            })?),
        };
        Ok(Self::new(key, text))
    }

    fn new(key: Public, pem: &str) -> Self {
        Self { key, pem: pem.into(), issuer: IssuerHash::of_public_key(pem) }
    }

    /// Names the instance whose identity this is.
    pub fn issuer(&self) -> IssuerHash {
        self.issuer
    }

    /// The text it was read from, to the byte.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Whether both are the same key, however their files are written.
    pub fn is_same_key(&self, other: &Self) -> bool {
        self.key == other.key
    }

    /// Whether the private half of this key signed these bytes for this purpose.
    pub fn verify(&self, domain: Domain, bytes: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let message = domain.message(bytes);
        let holds = match &self.key {
            Public::Ed25519(key) => {
                Signature::from_slice(signature).is_ok_and(|signature| key.verify_strict(&message, &signature).is_ok())
            }
            Public::Rsa(key) => key.verifies(&message, signature),
        };
        if holds { Ok(()) } else { Err(BadSignature) }
    }

    /// Names this key in the header of a JWT: the first 8 bytes of the hash of its file, in hexadecimal.
    pub fn key_id(&self) -> String {
        self.issuer.as_bytes()[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    pub(crate) fn jwt_verifier(&self) -> JwtVerifier {
        let key = match &self.key {
            Public::Ed25519(key) => DecodingKey::from_ed_der(key.as_bytes()),
            Public::Rsa(key) => key.jwt_key(),
        };
        JwtVerifier { kind: self.kind(), key }
    }

    fn kind(&self) -> Kind {
        match &self.key {
            Public::Ed25519(_) => Kind::Ed25519,
            Public::Rsa(_) => Kind::Rsa,
        }
    }
}

impl fmt::Debug for PublicIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicIdentity({})", self.issuer)
    }
}

impl PartialEq for PublicIdentity {
    /// The same text: what is named by the same issuer hash.
    fn eq(&self, other: &Self) -> bool {
        self.issuer == other.issuer
    }
}

impl Eq for PublicIdentity {}

/// A signature that this key did not make, or not for this purpose, or not over these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// Version 1 of PKCS#8, without the public half: OpenSSL does not read the other form.
fn pkcs8(key: &SigningKey) -> KeypairBytes {
    KeypairBytes { secret_key: key.to_bytes(), public_key: None }
}

/// The label of a private key in PKCS#8, whatever its kind.
const PKCS8: &str = "PRIVATE KEY";

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: Domain = Domain::new("coattail test one");
    const TWO: Domain = Domain::new("coattail test two");

    #[test]
    fn a_pair_is_the_same_after_saving_and_loading() {
        let dir = tempfile::tempdir().unwrap();
        let (private, public) = (dir.path().join("k.pem"), dir.path().join("k.pub"));
        let identity = Identity::generate();
        identity.save(&private, &public).unwrap();
        let loaded = Identity::load(&private, &public).unwrap();
        assert_eq!(loaded.issuer(), identity.issuer());
        assert_eq!(loaded.issuer(), IssuerHash::of_public_key(&fs::read_to_string(&public).unwrap()));
        assert_eq!(loaded.sign(ONE, b"x"), identity.sign(ONE, b"x"));
        assert!(fs::read_to_string(&private).unwrap().starts_with("-----BEGIN PRIVATE KEY-----\n"));
    }

    #[test]
    fn s6_a_signature_is_for_one_key_one_purpose_and_these_bytes() {
        let (identity, other) = (Identity::generate(), Identity::generate());
        let signature = identity.sign(ONE, b"bytes");
        let public = PublicIdentity::from_pem(identity.public_pem()).unwrap();
        assert_eq!(public.verify(ONE, b"bytes", &signature), Ok(()));
        assert_eq!(public.verify(TWO, b"bytes", &signature), Err(BadSignature));
        assert_eq!(public.verify(ONE, b"bytez", &signature), Err(BadSignature));
        assert_eq!(public.verify(ONE, b"bytes", &signature[1..]), Err(BadSignature));
        assert_eq!(public.verify(ONE, b"bytes", &[]), Err(BadSignature));
        assert_eq!(other.public().verify(ONE, b"bytes", &signature), Err(BadSignature));
        // Where the name ends is signed, too.
        let (short, long) = (Domain::new("a"), Domain::new("ab"));
        assert_ne!(identity.sign(short, b"bc"), identity.sign(long, b"c"));
    }

    #[test]
    fn halves_of_different_pairs_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        Identity::generate().save(&path("a.pem"), &path("a.pub")).unwrap();
        Identity::generate().save(&path("b.pem"), &path("b.pub")).unwrap();
        assert!(matches!(Identity::load(&path("a.pem"), &path("b.pub")), Err(KeyError::Mismatch { .. })));
        assert!(matches!(Identity::load(&path("none"), &path("b.pub")), Err(KeyError::Read { .. })));
        file::write_private(&path("x.pem"), "no key").unwrap();
        assert!(matches!(Identity::load(&path("x.pem"), &path("b.pub")), Err(KeyError::Malformed { .. })));
    }

    #[test]
    fn what_is_no_good_public_key_is_refused() {
        let pem = |bytes: &[u8]| {
            use base64::Engine as _;
            let der = [&[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00], bytes].concat();
            let text = base64::engine::general_purpose::STANDARD.encode(der);
            format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
        };
        let good =
            *Identity::generate().public.jwt_verifier().key.try_get_as_bytes().unwrap().first_chunk::<32>().unwrap();
        assert!(PublicIdentity::from_pem(&pem(&good)).is_ok());
        // The neutral element, and a point of order two: anyone can sign for these.
        let mut order_two = [0xff; 32];
        (order_two[0], order_two[31]) = (0xec, 0x7f);
        let mut neutral = [0; 32];
        neutral[0] = 1;
        for weak in [neutral, order_two, [0; 32]] {
            assert!(matches!(PublicIdentity::from_pem(&pem(&weak)), Err(KeyError::Weak { .. })), "{weak:?}");
        }
        for bad in ["", "-----BEGIN PUBLIC KEY-----", "x", &pem(&good[1..]), &pem(&good).replace("PUBLIC", "PRIVATE")] {
            assert!(matches!(PublicIdentity::from_pem(bad), Err(KeyError::Malformed { .. })), "{bad}");
        }
    }

    #[test]
    fn s8_a_large_public_key_is_not_parsed() {
        let text = format!("{}{}", Identity::generate().public_pem(), "\n".repeat(1 << 14));
        assert!(matches!(PublicIdentity::from_pem(&text), Err(KeyError::TooLarge { .. })));
    }

    #[test]
    fn s9_a_private_key_is_never_printed() {
        let identity = Identity::generate();
        let shown = format!("{identity:?} {:?}", identity.public());
        assert_eq!(shown.matches(&identity.issuer().to_string()).count(), 2);
        assert!(!shown.to_lowercase().contains("private") && !shown.contains("SigningKey"));
    }
}
