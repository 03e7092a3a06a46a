use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rsa::pkcs8::EncodePrivateKey as _;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, Error, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::data;
use crate::keys::{Identity, KeyError, TlsIdentity};
use crate::tokens::{inspect, verify};
use crate::transport::{Channel, client_tls, server_tls};

fn load(dir: &Path, name: &str) -> Result<TlsIdentity, KeyError> {
    let half = |half| data::private(dir, &format!("tls/{name}-{half}.pem"));
    TlsIdentity::load(&half("key"), &half("cert"))
}

/// The certificate in the token of this name.
fn pin(name: &str) -> CertificateDer<'static> {
    let vectors = data::json("tls/tls.json");
    let token = vectors["certificates"][name]["token"]["jwt"].as_str().unwrap();
    let key = crate::keys::PublicIdentity::from_pem(&data::text("keys/demo-auth-key.pub")).unwrap();
    let issuer = vectors["issuer"].as_str().unwrap().parse().unwrap();
    let claims = inspect(token).unwrap().into_claims();
    assert_eq!(verify(token, &[key.into()], &[issuer], claims.validity.issued), Ok(claims.clone()));
    assert!(claims.addresses[0].tls);
    let pem = claims.certificate.unwrap();
    assert_eq!(pem, data::text(&format!("tls/{name}-cert.pem")));
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// A handshake in memory. What the side that dialled says of it.
async fn connect(server: Arc<ServerConfig>, pin: Option<CertificateDer<'static>>) -> Result<(), Error> {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let accept = TlsAcceptor::from(server).accept(far);
    let name = ServerName::try_from("coattail").unwrap();
    let dial = TlsConnector::from(client_tls(pin).unwrap()).connect(name, near);
    let tls_error = |error: io::Error| error.get_ref().unwrap().downcast_ref::<Error>().unwrap().clone();
    let (accepted, dialled) = tokio::join!(accept, dial);
    let dialled = dialled.map_err(tls_error)?;
    // Both ends name the channel alike, which is what proofs are bound to.
    assert_eq!(Channel::of(dialled.get_ref().1).unwrap(), Channel::of(accepted.unwrap().get_ref().1).unwrap());
    Ok(())
}

/// As in the original: version 1, self-signed, no name but the issuer hash. The manual itself made keys of 1,024 bits.
#[tokio::test]
async fn a_certificate_made_by_the_manual_is_served_and_pinned() {
    let dir = tempfile::tempdir().unwrap();
    for (name, other) in [("rsa1024", "rsa2048"), ("rsa2048", "rsa1024")] {
        let tls = load(dir.path(), name).unwrap();
        assert_eq!(tls.certificate_pem, data::text(&format!("tls/{name}-cert.pem")));
        let server = server_tls(tls, Vec::new()).unwrap();
        assert_eq!(connect(server.clone(), Some(pin(name))).await, Ok(()), "{name}");
        // As with a token of an instance that had no TLS when it was issued.
        assert_eq!(connect(server.clone(), None).await, Ok(()), "{name}");
        let refused = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
        assert_eq!(connect(server, Some(pin(other))).await, Err(refused), "{name}");
    }
}

/// Whoever copies the certificate has not got its key, however short that is.
#[tokio::test]
async fn a_short_certificate_without_its_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let mut other = load(dir.path(), "rsa1024").unwrap();
    let private = rsa::RsaPrivateKey::new(&mut rand::rng(), 1024).unwrap().to_pkcs8_der().unwrap();
    other.key = rustls::pki_types::PrivatePkcs8KeyDer::from(private.as_bytes().to_vec()).into();
    let refused = Error::InvalidCertificate(CertificateError::BadSignature);
    assert_eq!(connect(server_tls(other, Vec::new()).unwrap(), Some(pin("rsa1024"))).await, Err(refused));
}

#[tokio::test]
async fn a_key_of_768_bits_is_refused_and_why_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let (key, certificate) = (data::private(dir.path(), "tls/rsa1024-key.pem"), dir.path().join("cert.pem"));
    std::fs::write(&certificate, RSA_768).unwrap();
    let error = TlsIdentity::load(&key, &certificate).unwrap_err();
    assert!(matches!(error, KeyError::TlsRsaSize { bits: 768, .. }), "{error:?}");
    assert!(error.to_string().contains("768 bits") && error.hint().unwrap().contains("coattail tls generate"));
}

/// Not as in the original, which locked both sides out of each other on the day a certificate ended.
#[tokio::test]
async fn the_dates_of_a_pinned_certificate_lock_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let (key, certificate) = (dir.path().join("key"), dir.path().join("cert"));
    for made in ["1990-01-01T00:00:00Z", "2190-01-01T00:00:00Z"] {
        let made: Timestamp = made.parse().unwrap();
        TlsIdentity::generate(Identity::generate().issuer(), made, &key, &certificate).unwrap();
        let tls = TlsIdentity::load(&key, &certificate).unwrap();
        let pin = tls.chain[0].clone();
        let server = server_tls(tls, Vec::new()).unwrap();
        assert_eq!(connect(server.clone(), Some(pin)).await, Ok(()));
        // The pin still decides.
        assert!(connect(server, Some(super::tls::pin("rsa2048"))).await.is_err());
    }
}

/// `openssl x509 -req -signkey`, with a key that nobody should ever have had.
const RSA_768: &str = "\
-----BEGIN CERTIFICATE-----
MIIBXDCB5wIUQnZdd4yZHhy5HKDwbBm+UtHcAt4wDQYJKoZIhvcNAQELBQAwEDEO
MAwGA1UEAwwFc2hvcnQwHhcNMjYxMTIwMTA0MzExWhcNMjYxMjIwMTA0MzExWjAQ
MQ4wDAYDVQQDDAVzaG9ydDB8MA0GCSqGSIb3DQEBAQUAA2sAMGgCYQCpSCJXhjCz
A3ITTx4bTDYqHSIwJXa87aNp4rdFdyua8F8Ak90HBGeRifZpZMN56kjOhLU5kY3L
qnCCaQ0fCPGeVvnJvh7BRAih3IHYFZVKx8PkgCrLcDUnCLqIlBpRNvkCAwEAATAN
BgkqhkiG9w0BAQsFAANhAFrNMmi5PiMTcnR2/j+rghBx656MqQ3Y1QvlglNxD+3G
bSX3TzU91bePw0Vxq7WWeisBrSIYC518JtXB1bk+u2314N/99MndmdCQ/mceKLXD
3Um1pyml70gB6UQ63oJNxA==
-----END CERTIFICATE-----
";
