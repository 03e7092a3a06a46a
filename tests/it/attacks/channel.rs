//! A man in the middle: he ends the TLS of the client, opens one of his own to the publisher, and passes every byte on.
//! Both proofs are bound to the channel that each side sees, so neither side believes the other.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coattail::id::IssuerHash;
use coattail_daemon::keys::{Identity, TlsIdentity};
use coattail_tests::{Instance, plugin};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::tokens::resigned;
use crate::raw_peer::{PATIENT, issue, prove, rand_nonce, token_id};

#[test]
fn what_is_passed_on_between_two_tls_sessions_is_refused_by_both_ends() {
    let publisher = service("publisher");
    let subscriber = service("subscriber");
    let runtime = Runtime::new().expect("a runtime");
    let relay = runtime.block_on(relay(&runtime, publisher.port()));
    // Whoever has a token with a certificate notices him at once. One without, as it leads to him:
    let token = issue(&publisher, &["--performable", "*"]);
    let without_pin = |port: u16| {
        resigned(&publisher, &token, |claims| {
            claims.certificate = None;
            claims.addresses = vec![format!("net:127.0.0.1:{port}~tls").parse().expect("an address")];
        })
    };
    let astray = resigned(&publisher, &token, |claims| {
        claims.addresses = vec![format!("net:127.0.0.1:{relay}~tls").parse().expect("an address")];
    });
    for token in [&astray, &without_pin(relay)] {
        let _ = subscriber.run_with(&["peer", "add", "-", "--json"], token).failed(6, "wrong-peer");
    }
    // A client that believes whoever answers: now it is the publisher that does not.
    let keys = Identity::generate();
    let through = runtime.block_on(log_in(relay, &keys, &token));
    assert_eq!(through["error"]["code"], coattail::wire::ErrorCode::WrongPeer.number(), "{through}");
    // Without him both get in: it is his channels that were refused.
    let direct = runtime.block_on(log_in(publisher.port(), &keys, &token));
    assert!(direct["result"]["session"].is_string(), "{direct}");
    let direct = without_pin(publisher.port());
    let _ = subscriber.run_with(&["peer", "add", "-", "--json"], &direct).ok();
}

fn service(name: &str) -> Instance {
    let mut instance = Instance::new(name);
    instance.configure(PATIENT);
    instance.plugin("actions/echo.sh", plugin::ECHO_SH);
    instance.start();
    instance
}

/// The man in the middle: where he listens.
async fn relay(runtime: &Runtime, publisher: u16) -> u16 {
    // Some certificate; nobody knows it.
    let folder = tempfile::tempdir().expect("a folder");
    let (key, certificate) = (folder.path().join("key"), folder.path().join("cert"));
    TlsIdentity::generate(Identity::generate().issuer(), jiff::Timestamp::now(), &key, &certificate).expect("made");
    let own = TlsIdentity::load(&key, &certificate).expect("just made");
    let server = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .with_no_client_auth()
        .with_single_cert(own.chain, own.key)
        .expect("a pair");
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("it listens").port();
    runtime.spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that knows the certificate ends it here.
            let Ok(mut client) = acceptor.accept(stream).await else { continue };
            let (mut server, _) = dial(publisher).await;
            let _ = copy_bidirectional(&mut client, &mut server).await;
        }
    });
    port
}

/// Logs in as a client should, but for a proof that it does not check.
async fn log_in(port: u16, keys: &Identity, token: &str) -> Value {
    let (stream, channel) = dial(port).await;
    let mut stream = BufReader::new(stream);
    let nonce = rand_nonce();
    let welcome = ask(&mut stream, "session.hello", &crate::raw_peer::hello(keys, &nonce)).await["result"].take();
    let server = IssuerHash::of_public_key(welcome["identity"].as_str().expect("a key"));
    let server_nonce = STANDARD.decode(welcome["nonce"].as_str().expect("a nonce")).expect("base64");
    let (client, server) = ((keys.issuer(), &nonce[..]), (server, &server_nonce[..]));
    let proof = prove(keys, "client", &channel, client, server, &token_id(token));
    ask(&mut stream, "session.authenticate", &json!({"token": token, "proof": proof})).await
}

async fn ask(stream: &mut BufReader<TlsStream<TcpStream>>, method: &str, params: &Value) -> Value {
    let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    stream.write_all(format!("{request}\n").as_bytes()).await.expect("it is open");
    stream.flush().await.expect("it is open");
    let mut line = String::new();
    stream.read_line(&mut line).await.expect("an answer");
    serde_json::from_str(&line).expect("JSON")
}

/// A TLS connection, and what names its channel.
async fn dial(port: u16) -> (TlsStream<TcpStream>, Vec<u8>) {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = TlsConnector::from(Arc::new(believes_anybody())).connect(name, stream).await.expect("TLS");
    let exported =
        stream.get_ref().1.export_keying_material(vec![0; 32], b"EXPORTER-Coattail-Channel-Binding", Some(b""));
    (stream, exported.expect("a channel has one"))
}

/// TLS of a client that does not look at certificates.
pub(crate) fn believes_anybody() -> ClientConfig {
    ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("a version")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(BelievesAnybody))
        .with_no_client_auth()
}

#[derive(Debug)]
struct BelievesAnybody;

impl ServerCertVerifier for BelievesAnybody {
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
        Ok(HandshakeSignatureValid::assertion())
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
