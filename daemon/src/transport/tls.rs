use std::sync::Arc;

use jiff::Timestamp;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError, ServerConfig, SignatureScheme};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::keys::tls::fingerprint;
use crate::keys::{MAX_BITS, MIN_BITS, MIN_TLS_BITS, TlsIdentity, rsa_bits, tls_signer, verifies_short_rsa};

/// The label of the exported secret (RFC 8446, section 7.5), as RFC 9266 does it for its own label.
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Coattail-Channel-Binding";

/// Names one channel: a secret that both ends of one TLS connection can compute, and nobody else. Empty without TLS.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Channel(Vec<u8>);

impl std::fmt::Debug for Channel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_empty() { "Channel(plain)" } else { "Channel(tls)" })
    }
}

impl Channel {
    /// A connection without TLS.
    pub(crate) fn plain() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn of<D>(connection: &rustls::ConnectionCommon<D>) -> Result<Self, Error> {
        connection.export_keying_material(vec![0_u8; 32], EXPORTER_LABEL, Some(b"")).map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// What ends the name that a client asks for: the rest is the fingerprint of the certificate that it expects. A server
/// that has renewed its certificate knows by it which one to present.
const NAME: &str = "coattail";

/// The name that a client asks for. Whoever watches learns no more from it than from the address.
pub(super) fn server_name(pin: Option<&CertificateDer<'_>>) -> ServerName<'static> {
    let name = pin.map_or_else(|| NAME.to_owned(), |pin| format!("{}.{NAME}", fingerprint(pin)));
    ServerName::try_from(name).expect("a DNS name")
}

/// A certificate that was replaced, and until when it is presented to those who ask for it.
pub(crate) struct Replaced {
    pub(crate) identity: TlsIdentity,
    pub(crate) until: Timestamp,
}

/// Which certificate to present.
#[derive(Debug)]
struct Certificates {
    current: Arc<CertifiedKey>,
    replaced: Vec<(String, Arc<CertifiedKey>, Timestamp)>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let wanted = hello.server_name().and_then(|name| name.split('.').next());
        let now = Timestamp::now();
        let replaced = self.replaced.iter().find(|(id, _, until)| wanted == Some(id) && now < *until);
        Some(replaced.map_or(&self.current, |(_, key, _)| key).clone())
    }
}

/// How this instance serves TLS: TLS 1.3 only, with the hybrid post-quantum key exchange preferred.
///
/// That key and certificate belong together was checked when they were loaded. rustls would check it once more, and
/// refuse a certificate of version 1 by that, as the original's manual has its users make; presenting one is no trouble.
pub(crate) fn server_tls(current: TlsIdentity, replaced: Vec<Replaced>) -> Result<Arc<ServerConfig>, Error> {
    let certified = |identity: TlsIdentity| {
        let signer = tls_signer(&identity.key).expect("the key was tried when it was loaded");
        Arc::new(CertifiedKey::new(identity.chain, signer))
    };
    let replaced = replaced
        .into_iter()
        .map(|Replaced { identity, until }| (identity.fingerprint(), certified(identity), until))
        .collect();
    let certificates = Certificates { current: certified(current), replaced };
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(certificates));
    Ok(Arc::new(config))
}

/// How this instance dials: no authority is trusted. The certificate must be `pin` to the byte, if there is one;
/// who the other side is, the session's handshake proves, bound to this channel.
pub(crate) fn client_tls(pin: Option<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, Error> {
    let pinned = pin.is_some();
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { pin, provider: provider() }))
        .with_no_client_auth();
    // The name says which certificate is expected.
    config.enable_sni = pinned;
    // Resumption would skip the certificate.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    // X25519MLKEM768 stands first in its key exchange groups (feature `prefer-post-quantum`).
    Arc::new(aws_lc_rs::default_provider())
}

/// A certificate with an RSA key that nothing can be verified with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the certificate has an RSA key of {bits} bits, and {MIN_TLS_BITS} to {MAX_BITS} are taken")]
pub(crate) struct WeakCertificate {
    bits: usize,
}

impl From<WeakCertificate> for Error {
    fn from(error: WeakCertificate) -> Self {
        Self::Other(OtherError(Arc::new(error)))
    }
}

#[derive(Debug)]
struct Pinned {
    pin: Option<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.pin.as_ref().is_some_and(|pin| pin.as_ref() != end_entity.as_ref()) {
            return Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure));
        }
        let certificate = parse(end_entity)?;
        if let Some(bits) = rsa_bits(&certificate)
            && !(MIN_TLS_BITS..=MAX_BITS).contains(&bits)
        {
            return Err(WeakCertificate { bits }.into());
        }
        // The original refused a certificate out of its dates, and those that its manual made lasted 30 days: a token
        // without an end was worthless after a month, with no way back but a new token. The dates protect nobody here.
        // Who is there is decided by the pin, to the byte, and by the proof of the identity key on this channel; the
        // owner of a stolen TLS key revokes tokens, and does not wait for a date.
        let (validity, now) = (certificate.validity(), now.as_secs().try_into().unwrap_or(i64::MAX));
        if !(validity.not_before.timestamp()..=validity.not_after.timestamp()).contains(&now) {
            tracing::debug!(from = %validity.not_before, until = %validity.not_after, "the peer's certificate is out of its dates");
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        // The key is taken out by hand: X.509 version 1, which the original's manual made people use, has a key like
        // any other, and nothing else of the certificate matters here.
        let parsed = parse(certificate)?;
        if rsa_bits(&parsed).is_some_and(|bits| bits < MIN_BITS) {
            let is_good = signature.scheme == SignatureScheme::RSA_PSS_SHA256
                && verifies_short_rsa(parsed.public_key().raw, message, signature.signature());
            return if is_good {
                Ok(HandshakeSignatureValid::assertion())
            } else {
                Err(Error::InvalidCertificate(CertificateError::BadSignature))
            };
        }
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn parse<'a>(certificate: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, Error> {
    match X509Certificate::from_der(certificate) {
        Ok((_, parsed)) => Ok(parsed),
        Err(_) => Err(Error::InvalidCertificate(CertificateError::BadEncoding)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;
    use crate::keys::Identity;

    fn make(folder: &std::path::Path, name: &str) -> TlsIdentity {
        let (key, certificate) = (folder.join(format!("{name}.key")), folder.join(format!("{name}.crt")));
        TlsIdentity::generate(Identity::generate().issuer(), Timestamp::now(), &key, &certificate).unwrap();
        TlsIdentity::load(&key, &certificate).unwrap()
    }

    #[tokio::test]
    async fn whoever_expects_a_replaced_certificate_gets_it_until_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let [current, overlapping, ended, foreign] =
            ["current", "overlapping", "ended", "foreign"].map(|name| make(dir.path(), name));
        let pin = |tls: &TlsIdentity| Some(tls.chain[0].clone());
        let cases = [
            ("the present one", pin(&current), true),
            ("any", None, true),
            ("one in its overlap", pin(&overlapping), true),
            ("one that has ended", pin(&ended), false),
            ("somebody else's", pin(&foreign), false),
        ];
        let now = Timestamp::now();
        let replaced = vec![
            Replaced { identity: overlapping, until: now + Duration::from_secs(600) },
            Replaced { identity: ended, until: now },
        ];
        let server = server_tls(current, replaced).unwrap();
        for (case, pin, works) in cases {
            let (near, far) = tokio::io::duplex(64 * 1024);
            let accept = TlsAcceptor::from(server.clone()).accept(far);
            let name = server_name(pin.as_ref());
            let dial = TlsConnector::from(client_tls(pin).unwrap()).connect(name, near);
            let (_, dialled) = tokio::join!(accept, dial);
            assert_eq!(dialled.is_ok(), works, "{case}");
        }
    }
}
