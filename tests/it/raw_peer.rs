//! A peer by hand: it writes whatever bytes it likes, and can log in with the keys and the token of an instance.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsRawFd as _;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coattail::id::IssuerHash;
use coattail::wire::ErrorCode;
use coattail_daemon::keys::{Domain, Identity};
use coattail_tests::Instance;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, socket};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// How long the other side may take to answer, or to close.
const PATIENCE: Duration = Duration::from_secs(20);

/// A connection without TLS.
#[derive(Debug)]
pub(crate) struct RawPeer {
    stream: TcpStream,
    reader: BufReader<TcpStream>,
    calls: u64,
}

/// What both sides of a handshake know after the hello.
pub(crate) struct Greeting {
    client_nonce: [u8; 32],
    server_nonce: Vec<u8>,
    server: IssuerHash,
}

impl RawPeer {
    pub(crate) fn connect(port: u16) -> Self {
        let stream = connect_from_anywhere(port);
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        stream.set_write_timeout(Some(PATIENCE)).expect("a limit");
        let reader = BufReader::new(stream.try_clone().expect("a second handle"));
        Self { stream, reader, calls: 0 }
    }

    /// Connects and logs in.
    #[track_caller]
    pub(crate) fn log_in(port: u16, keys: &Identity, token: &str) -> Self {
        let mut peer = Self::connect(port);
        let greeting = peer.greet(keys, rand_nonce());
        let proof = greeting.proof(keys, &token_id(token));
        peer.call("session.authenticate", &json!({"token": token, "proof": proof})).expect("the token is good");
        peer
    }

    /// Says hello; the other side has to answer.
    #[track_caller]
    pub(crate) fn greet(&mut self, keys: &Identity, client_nonce: [u8; 32]) -> Greeting {
        let welcome = self.call("session.hello", &hello(keys, &client_nonce)).expect("a welcome");
        let text = |field: &str| welcome[field].as_str().expect("a text").to_owned();
        Greeting {
            client_nonce,
            server_nonce: STANDARD.decode(text("nonce")).expect("base64"),
            server: IssuerHash::of_public_key(&text("identity")),
        }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Says that nothing more will come.
    pub(crate) fn end(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// A second handle, for a thread that writes while this one reads.
    pub(crate) fn writer(&self) -> TcpStream {
        self.stream.try_clone().expect("a second handle")
    }

    /// What comes next; nothing if the other side has closed.
    #[track_caller]
    pub(crate) fn line(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))),
            // It closed while we were still writing.
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("neither an answer nor an end: {error}"),
        }
    }

    /// What comes until the other side closes, which it has to.
    #[track_caller]
    pub(crate) fn rest(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.line()).collect()
    }

    /// Reads what comes and forgets it, until the other side closes.
    pub(crate) fn drain(mut self) {
        let _ = io::copy(&mut self.reader.by_ref().take(u64::MAX), &mut io::sink());
    }

    /// Calls a method, and passes over what the other side asks meanwhile.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Result<Value, ErrorCode> {
        self.calls += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.calls, "method": method, "params": params});
        self.send(format!("{request}\n").as_bytes()).expect("it is open");
        loop {
            let mut answer = self.line().expect("an answer");
            if answer["id"] == self.calls && answer["method"].is_null() {
                return match answer["error"]["code"].as_i64() {
                    None => Ok(answer["result"].take()),
                    Some(code) => Err(ErrorCode::from_number(i32::try_from(code).expect("a code"))),
                };
            }
        }
    }
}

impl Greeting {
    /// What proves to the other side that we hold a key, for one token.
    pub(crate) fn proof(&self, keys: &Identity, token: &str) -> String {
        let (client, server) = ((keys.issuer(), &self.client_nonce[..]), (self.server, &self.server_nonce[..]));
        prove(keys, "client", b"", client, server, token)
    }
}

/// What one side of a handshake signs: its role, the channel, who both are, and a token if it presents one.
pub(crate) fn prove(
    keys: &Identity,
    role: &str,
    channel: &[u8],
    client: (IssuerHash, &[u8]),
    server: (IssuerHash, &[u8]),
    token: &str,
) -> String {
    let parts =
        [role.as_bytes(), channel, client.1, server.1, client.0.as_bytes(), server.0.as_bytes(), token.as_bytes()];
    let mut hash = Sha256::new();
    for part in parts {
        hash.update([u8::try_from(part.len()).expect("short")]);
        hash.update(part);
    }
    STANDARD.encode(keys.sign(Domain::new("coattail session proof v1"), &hash.finalize()))
}

/// Connects from an address of this machine that no other connection has, so that none pays for what another has done.
pub(crate) fn connect_from_anywhere(port: u16) -> TcpStream {
    static NEXT: AtomicU16 = AtomicU16::new(1);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
    bind(socket.as_raw_fd(), &SockaddrIn::new(127, 1, high, low, 0)).expect("all of 127/8 is ours");
    connect(socket.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, port)).expect("somebody listens");
    socket.into()
}

/// The parameters of a hello.
pub(crate) fn hello(keys: &Identity, nonce: &[u8]) -> Value {
    json!({"protocol": 1, "software": "by hand", "identity": keys.public_pem(), "nonce": STANDARD.encode(nonce)})
}

/// The identity of an instance.
pub(crate) fn keys_of(instance: &Instance) -> Identity {
    Identity::load(&instance.path("keys/vt-key.pem"), &instance.path("keys/vt-key.pub")).expect("keys")
}

/// A token that an instance issues.
#[track_caller]
pub(crate) fn issue(instance: &Instance, options: &[&str]) -> String {
    instance.run(&[&["token", "issue", "-q", "-r"], options].concat()).ok().stdout.trim().to_owned()
}

/// The id of a token.
pub(crate) fn token_id(token: &str) -> String {
    let claims = token.split('.').nth(1).expect("three parts");
    let claims = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(claims).expect("base64");
    let claims: Value = serde_json::from_slice(&claims).expect("JSON");
    claims["jti"].as_str().expect("an id").to_owned()
}

/// A nonce that nobody has used before.
pub(crate) fn rand_nonce() -> [u8; 32] {
    Sha256::digest(coattail::id::CallId::new().to_string()).into()
}

/// The begin of `limits:` of a service that bears a grudge against nobody: whoever attacks it here and whoever uses it
/// have one address. And it waits for those who answer by hand.
pub(crate) const PATIENT: &str = "limits:\n  penalty: 1ms\n  connections_per_address: 65536\n  \
    connections_per_second_per_address: 1000000\n  connection_burst_per_address: 1000000\n  ping: 5m\n";

/// A service without TLS, so that every byte can be written by hand. The settings are further `limits`.
pub(crate) fn plain_service(name: &str, settings: &str) -> Instance {
    let mut instance = Instance::new(name);
    instance.reconfigure("enabled: true", "enabled: false");
    instance.configure(&format!("{PATIENT}{settings}"));
    instance.plugin("actions/echo.sh", coattail_tests::plugin::ECHO_SH);
    instance.start();
    instance
}

/// The most memory that a service has had, in KiB, since this was last asked for.
pub(crate) fn peak_memory(instance: &Instance) -> usize {
    let peak = memory(instance, "VmHWM:");
    // 5 forgets the peak.
    let _ = std::fs::write(format!("/proc/{}/clear_refs", instance.pid()), "5");
    peak
}

/// Memory of a service in KiB, by the kernel's name for what is counted.
pub(crate) fn memory(instance: &Instance, what: &str) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", instance.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with(what)).expect("a line");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}
