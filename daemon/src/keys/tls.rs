//! The key and certificate for TLS.
//!
//! The certificate carries the issuer hash as its name, as in the original, but proves nothing alone: the
//! peers prove their identity keys inside the channel. It is ECDSA on P-256, which every TLS library takes.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use coattail::id::IssuerHash;
use jiff::{Timestamp, ToSpan as _, tz::TimeZone};
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::SigningKey;
use sha2::{Digest as _, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::public_key::PublicKey;
use zeroize::Zeroizing;

use super::rsa::{MAX_BITS, MIN_BITS, bits};
use super::short_rsa::{MIN_TLS_BITS, ShortRsa};
use super::{KeyError, file};

/// A key and its certificate.
pub struct TlsIdentity {
    /// The certificate, and any others of its file behind it.
    pub chain: Vec<CertificateDer<'static>>,
    /// The private key of the first certificate.
    pub key: PrivateKeyDer<'static>,
    /// The text of the certificate's file: the `cert` of tokens.
    pub certificate_pem: String,
}

impl TlsIdentity {
    /// Makes a pair for an instance and writes it. It is valid from the day before `now`, since clocks
    /// differ, for [`YEARS`].
    ///
    /// The key is written first. After a crash in between, the halves do not match, which
    /// [`load`](Self::load) reports; making them again repairs it.
    pub fn generate(issuer: IssuerHash, now: Timestamp, key: &Path, certificate: &Path) -> Result<(), KeyError> {
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(KeyError::Generate)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, issuer.to_string());
        let today = now.to_zoned(TimeZone::UTC).date();
        let (from, until) = (today.saturating_sub(1.day()), today.saturating_add(YEARS.years()));
        let date = |date: jiff::civil::Date| {
            rcgen::date_time_ymd(date.year().into(), date.month().unsigned_abs(), date.day().unsigned_abs())
        };
        (params.not_before, params.not_after) = (date(from), date(until));
        let signed = params.self_signed(&pair).map_err(KeyError::Generate)?;
        file::write_private(key, &Zeroizing::new(pair.serialize_pem()))?;
        file::write_public(certificate, &signed.pem())
    }

    /// Loads a pair, and checks that nobody else can read the key and that it belongs to the certificate.
    pub fn load(key: &Path, certificate: &Path) -> Result<Self, KeyError> {
        let malformed = |path: &Path, expected| KeyError::Malformed { what: path.display().to_string(), expected };
        let key_pem = file::read_private(key)?;
        let private = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).map_err(|_| malformed(key, "private key"))?;
        let certificate_pem = file::read_public(certificate)?;
        let chain = CertificateDer::pem_slice_iter(certificate_pem.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .ok()
            .filter(|chain| !chain.is_empty())
            .ok_or_else(|| malformed(certificate, "certificate"))?;

        // Not by rustls itself: it refuses certificates of version 1, which the original's manual made.
        let (_, parsed) =
            x509_parser::parse_x509_certificate(&chain[0]).map_err(|_| malformed(certificate, "certificate"))?;
        // Before the key is tried, since a key that is too short is refused without a reason.
        if let Some(bits) = rsa_bits(&parsed)
            && !(MIN_TLS_BITS..=MAX_BITS).contains(&bits)
        {
            return Err(KeyError::TlsRsaSize { path: certificate.to_owned(), bits });
        }
        let signer = tls_signer(&private).ok_or_else(|| malformed(key, "private key that TLS 1.3 can use"))?;
        if signer.public_key().is_some_and(|public| *public != *parsed.public_key().raw) {
            return Err(KeyError::Mismatch { private: key.to_owned(), public: certificate.to_owned() });
        }
        Ok(Self { chain, key: private, certificate_pem })
    }

    /// The length of the key in bits, if it is an RSA key that is taken for the sake of the original only.
    pub(crate) fn short_rsa_bits(&self) -> Option<usize> {
        let (_, parsed) = x509_parser::parse_x509_certificate(&self.chain[0]).ok()?;
        rsa_bits(&parsed).filter(|bits| *bits < MIN_BITS)
    }

    /// Names the certificate.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.chain[0])
    }
}

impl fmt::Debug for TlsIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsIdentity").finish_non_exhaustive()
    }
}

/// Reads a certificate's text (PEM), the first of them if there are several.
pub fn certificate(pem: &str) -> Result<CertificateDer<'static>, rustls::pki_types::pem::Error> {
    CertificateDer::from_pem_slice(pem.as_bytes())
}

/// Names a certificate: the first half of its SHA-256, which fits into a label of a domain name.
pub fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    hex::encode(&Sha256::digest(certificate)[..16])
}

/// What signs the handshakes of TLS 1.3 with a private key; nothing if it is of no kind that can.
pub(crate) fn tls_signer(key: &PrivateKeyDer<'_>) -> Option<Arc<dyn SigningKey>> {
    let strong = rustls::crypto::aws_lc_rs::sign::any_supported_type(key).ok();
    strong.or_else(|| Some(Arc::new(ShortRsa::from_der(key)?)))
}

/// The length of a certificate's RSA key, in bits; nothing if it has another kind of key.
pub fn rsa_bits(certificate: &X509Certificate<'_>) -> Option<usize> {
    match certificate.public_key().parsed().ok()? {
        PublicKey::RSA(key) => Some(bits(key.modulus)),
        _ => None,
    }
}

/// How long a certificate is valid, in years. Tokens pin it, so renewing it often serves nobody.
pub const YEARS: i32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Identity;

    #[test]
    fn a_certificate_names_the_issuer_and_fits_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let (key, cert) = (dir.path().join("tls-key.pem"), dir.path().join("tls-cert.pem"));
        let issuer = Identity::generate().issuer();
        let now: Timestamp = "2024-02-29T12:00:00Z".parse().unwrap();
        TlsIdentity::generate(issuer, now, &key, &cert).unwrap();

        let loaded = TlsIdentity::load(&key, &cert).unwrap();
        let (_, parsed) = x509_parser::parse_x509_certificate(&loaded.chain[0]).unwrap();
        let name = parsed.subject().iter_common_name().next().unwrap().as_str().unwrap();
        assert_eq!(name, issuer.to_string());
        assert_eq!(parsed.validity().not_before.to_string(), "Feb 28 00:00:00 2024 +00:00");
        assert_eq!(parsed.validity().not_after.to_string(), "Feb 28 00:00:00 2034 +00:00");
        assert_eq!(loaded.certificate_pem.matches("BEGIN CERTIFICATE").count(), 1);
        // What the listener will do with it.
        rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(loaded.chain, loaded.key)
            .unwrap();
    }

    #[test]
    fn a_foreign_certificate_and_an_exposed_key_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let issuer = Identity::generate().issuer();
        for name in ["a", "b"] {
            let (key, cert) = (path(&format!("{name}.pem")), path(&format!("{name}.crt")));
            TlsIdentity::generate(issuer, Timestamp::UNIX_EPOCH, &key, &cert).unwrap();
        }
        assert!(TlsIdentity::load(&path("a.pem"), &path("a.crt")).is_ok());
        assert!(matches!(TlsIdentity::load(&path("a.pem"), &path("b.crt")), Err(KeyError::Mismatch { .. })));
        assert!(matches!(TlsIdentity::load(&path("a.pem"), &path("a.pem")), Err(KeyError::Malformed { .. })));
        std::fs::copy(path("a.crt"), path("c.pem")).unwrap();
        assert!(matches!(TlsIdentity::load(&path("c.pem"), &path("a.crt")), Err(KeyError::Exposed { .. })));
    }
}
