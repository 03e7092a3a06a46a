use std::io;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, Error, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::data;
use crate::keys::{Identity, KeyError, TlsIdentity};
use crate::tokens::{inspect, verify};
use crate::transport::{Channel, WeakCertificate, client_tls, server_tls};

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

/// As in the original: version 1, self-signed, no name but the issuer hash.
#[tokio::test]
async fn a_certificate_made_by_the_manual_is_served_and_pinned() {
    let dir = tempfile::tempdir().unwrap();
    let tls = load(dir.path(), "rsa2048").unwrap();
    assert_eq!(tls.certificate_pem, data::text("tls/rsa2048-cert.pem"));
    let server = server_tls(tls, Vec::new()).unwrap();
    assert_eq!(connect(server.clone(), Some(pin("rsa2048"))).await, Ok(()));
    assert_eq!(
        connect(server.clone(), None).await,
        Ok(()),
        "a token of an instance that had no TLS when it was issued"
    );
    let refused = Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);
    assert_eq!(connect(server, Some(pin("rsa1024"))).await, Err(refused));
}

/// Not as in the original, which took 1,024 bits: aws-lc signs and verifies with no fewer than 2,048.
#[tokio::test]
async fn a_key_of_1024_bits_is_refused_and_why_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let error = load(dir.path(), "rsa1024").unwrap_err();
    assert!(matches!(error, KeyError::TlsRsaSize { bits: 1024, .. }), "{error:?}");
    assert!(error.to_string().contains("1024 bits") && error.hint().unwrap().contains("coattail tls generate"));

    // Who dials hears the reason, too. The key does not fit, but the certificate is looked at before.
    let tls = TlsIdentity { chain: vec![pin("rsa1024")], ..load(dir.path(), "rsa2048").unwrap() };
    let server = server_tls(tls, Vec::new()).unwrap();
    match connect(server, Some(pin("rsa1024"))).await {
        Err(Error::Other(error)) => assert!(error.0.downcast_ref::<WeakCertificate>().is_some()),
        other => panic!("{other:?}"),
    }
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
