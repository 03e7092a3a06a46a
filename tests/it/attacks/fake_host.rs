//! A host by hand: it answers a handshake as it should, with its own keys, and may do anything else.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coattail::id::{IssuerHash, TokenId};
use coattail_daemon::keys::{Identity, TokenKey};
use coattail_daemon::tokens::{Bearer, Claims, Grants, Use, Validity, issue};
use serde_json::{Value, json};

use crate::raw_peer::{prove, rand_nonce};

/// How long who dials may be silent.
const PATIENCE: Duration = Duration::from_secs(20);

/// Listens without TLS. The keys are a peer's identity and what it signs its tokens with.
pub(crate) struct FakeHost {
    pub(crate) keys: Identity,
    pub(crate) token: TokenId,
    signer: TokenKey,
    listener: TcpListener,
}

impl FakeHost {
    pub(crate) fn new() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        Self { keys: Identity::generate(), token: TokenId::new(), signer: Identity::generate().into(), listener }
    }

    /// A token that leads here and boasts of all rights.
    pub(crate) fn token(&self) -> String {
        let all = ["*".to_owned()];
        let port = self.listener.local_addr().expect("it listens").port();
        let claims = Claims {
            id: self.token,
            issuer: self.keys.issuer(),
            validity: Validity::endless(jiff::Timestamp::now()),
            addresses: vec![format!("net:127.0.0.1:{port}").parse().expect("an address")],
            certificate: None,
            bearers: Bearer::everyone(),
            usage: Use::Authentication(Grants::parse(&all, &all, &all).expect("names")),
        };
        issue(&claims, &self.signer).expect("small enough")
    }

    /// Who dials next.
    pub(crate) fn accept(&self) -> Guest {
        let (stream, _) = self.listener.accept().expect("somebody dials");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let reader = BufReader::new(stream.try_clone().expect("a second handle"));
        Guest { stream, reader }
    }

    /// Who dials next, let in.
    #[track_caller]
    pub(crate) fn let_in(&self) -> Guest {
        let mut guest = self.accept();
        let hello = guest.line().expect("a hello");
        guest.answer(&hello, &self.welcome(&hello));
        let login = guest.line().expect("a login");
        assert_eq!(login["method"], "session.authenticate", "{login}");
        let all = json!(["*"]);
        let grants = json!({"performable": all, "publishable": all, "subscribable": all});
        guest.answer(&login, &json!({"session": rand_id(), "grants": grants, "server_time": 0}));
        guest
    }

    /// The right answer to a hello.
    pub(crate) fn welcome(&self, hello: &Value) -> Value {
        let theirs = STANDARD.decode(hello["params"]["nonce"].as_str().expect("a nonce")).expect("base64");
        let client = IssuerHash::of_public_key(hello["params"]["identity"].as_str().expect("a key"));
        let nonce = rand_nonce();
        let proof = prove(&self.keys, "server", b"", (client, &theirs), (self.keys.issuer(), &nonce), "");
        json!({"protocol": 1, "software": "by hand", "identity": self.keys.public_pem(),
            "nonce": STANDARD.encode(nonce), "proof": proof})
    }
}

/// Who has dialled a [`FakeHost`].
pub(crate) struct Guest {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
}

impl Guest {
    /// What it says next; nothing once it has gone.
    #[track_caller]
    pub(crate) fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).expect("JSON")),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("neither a line nor an end: {error}"),
        }
    }

    pub(crate) fn answer(&mut self, request: &Value, result: &Value) {
        self.write(&json!({"jsonrpc": "2.0", "id": request["id"], "result": result}));
    }

    /// Asks for something, and returns the whole answer; nothing if it goes away.
    #[track_caller]
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> Option<Value> {
        self.write(&json!({"jsonrpc": "2.0", "id": 4711, "method": method, "params": params}));
        loop {
            let answer = self.line()?;
            if answer["id"] == 4711 && answer["method"].is_null() {
                return Some(answer);
            }
        }
    }

    pub(crate) fn write(&mut self, frame: &Value) {
        // It may have gone already.
        let _ = self.stream.write_all(format!("{frame}\n").as_bytes());
    }
}

fn rand_id() -> String {
    coattail::id::CallId::new().to_string()
}
