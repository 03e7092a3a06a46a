//! The calling side of a session with a peer, by hand: dial, TLS, handshake. It checks nothing of the other side, since
//! a benchmark has nothing to protect.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coattail::id::{IssuerHash, TokenId};
use coattail::rpc::{Facts, Limits, Service, Session, Stray};
use coattail::wire::peer::{Authenticate, Hello, Ping};
use coattail::wire::{Done, PROTOCOL, SOFTWARE};
use coattail_daemon::keys::{Domain, Identity};
use coattail_daemon::tokens::inspect;
use coattail_tests::Instance;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const EXPORTER_LABEL: &[u8] = b"EXPORTER-Coattail-Channel-Binding";
const DOMAIN: Domain = Domain::new("coattail session proof v1");
const NONCE: [u8; 32] = [0; 32];

/// Dials an instance, with a new key each time.
#[derive(Clone)]
pub(crate) struct Dialer {
    port: u16,
    token: Arc<str>,
    id: TokenId,
    issuer: IssuerHash,
    tls: TlsConnector,
}

impl Dialer {
    pub(crate) fn new(instance: &Instance) -> Self {
        let grants = ["--performable", "[\"*\"]", "--publishable", "[\"*\"]"];
        let issue = [&["token", "issue", "--quiet", "--print-raw-token"][..], &grants].concat();
        let token = instance.run(&issue).ok().stdout.trim().to_owned();
        let claims = inspect(&token).expect("a token").into_claims();
        Self { port: instance.port(), token: token.into(), id: claims.id, issuer: claims.issuer, tls: anyone() }
    }

    /// An authenticated session. It ends with the client.
    pub(crate) async fn dial(&self) -> Session {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).await.expect("it listens");
        stream.set_nodelay(true).expect("TCP");
        let name = ServerName::try_from("localhost").expect("a name");
        let stream = self.tls.connect(name, stream).await.expect("it speaks TLS");
        let (_, connection) = stream.get_ref();
        let channel = connection.export_keying_material([0; 32], EXPORTER_LABEL, Some(b"")).expect("it is connected");

        let (reader, writer) = tokio::io::split(stream);
        let service = Service::new().on_in_order(&Arc::new(()), |_: &(), _: Facts, _: Ping| Ok(Done {}));
        let (session, run) =
            Session::new(reader, writer, service, Stray::Close, Limits::default(), CancellationToken::new());
        TaskTracker::new().spawn(run);

        let identity = Identity::generate();
        let hello = Hello {
            protocol: PROTOCOL,
            software: SOFTWARE.to_owned(),
            identity: identity.public_pem().to_owned(),
            nonce: STANDARD.encode(NONCE),
            rotations: Vec::new(),
        };
        let welcome = session.call(&hello).await.expect("it is a peer");
        let server_nonce = STANDARD.decode(welcome.nonce).expect("base64");
        let transcript = digest(&[
            b"client",
            &channel,
            &NONCE,
            &server_nonce,
            identity.issuer().as_bytes(),
            self.issuer.as_bytes(),
            self.id.to_string().as_bytes(),
        ]);
        let proof = STANDARD.encode(identity.sign(DOMAIN, &transcript));
        session
            .call(&Authenticate { token: self.token.to_string().into(), proof, frame: None })
            .await
            .expect("it lets us in");
        session
    }
}

/// TLS 1.3 with whoever answers.
pub(crate) fn anyone() -> TlsConnector {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3 is there")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anyone))
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

/// Each part behind its length, in one byte.
fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update([u8::try_from(part.len()).expect("no part is longer than 36 bytes")]);
        hash.update(part);
    }
    hash.finalize().into()
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
