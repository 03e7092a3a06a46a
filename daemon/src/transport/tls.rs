use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, SubjectPublicKeyInfoDer, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use x509_parser::prelude::{FromDer as _, X509Certificate};

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

    pub(super) fn of<D>(connection: &rustls::ConnectionCommon<D>) -> Result<Self, Error> {
        connection.export_keying_material(vec![0_u8; 32], EXPORTER_LABEL, Some(b"")).map(Self)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How this instance serves TLS: TLS 1.3 only, with the hybrid post-quantum key exchange preferred.
pub(crate) fn server_tls(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<Arc<ServerConfig>, Error> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    Ok(Arc::new(config))
}

/// How this instance dials: no authority is trusted. The certificate must be `pin` to the byte, if there is one;
/// who the other side is, the session's handshake proves, bound to this channel.
pub(super) fn client_tls(pin: Option<CertificateDer<'static>>) -> Result<Arc<ClientConfig>, Error> {
    let mut config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Pinned { pin, provider: provider() }))
        .with_no_client_auth();
    config.enable_sni = false;
    // Resumption would skip the certificate.
    config.resumption = rustls::client::Resumption::disabled();
    Ok(Arc::new(config))
}

fn provider() -> Arc<CryptoProvider> {
    // X25519MLKEM768 stands first in its key exchange groups (feature `prefer-post-quantum`).
    Arc::new(aws_lc_rs::default_provider())
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
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.pin {
            Some(pin) if pin.as_ref() != end_entity.as_ref() => {
                Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
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
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
        let key = SubjectPublicKeyInfoDer::from(parsed.public_key().raw);
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature_with_raw_key(message, &key, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
