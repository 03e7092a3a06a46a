//! Peers that are down, or are something else than they should be.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use coattail_tests::cluster::add_peer;
use coattail_tests::{Cluster, Instance, plugin, until};
use serde_json::json;

use crate::raw_peer::PATIENT;

const ALL: &[&str] = &["--performable", "*", "--subscribable", "*"];

/// Whoever listens where a peer should be.
struct Impostor {
    port: u16,
    /// Connections that it had.
    met: Arc<AtomicUsize>,
}

impl Impostor {
    /// Listens on a port until it is dropped; does this with each connection.
    fn new(port: u16, behave: impl Fn(TcpStream) + Send + Sync + 'static) -> Self {
        let listener = until("the port to be free", || TcpListener::bind(("127.0.0.1", port)).ok());
        let (met, behave) = (Arc::new(AtomicUsize::new(0)), Arc::new(behave));
        let count = met.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let mut last = [0];
                if stream.peek(&mut last).is_ok_and(|read| read == 1) && last == GOODBYE {
                    return;
                }
                count.fetch_add(1, Ordering::Relaxed);
                let behave = behave.clone();
                thread::spawn(move || behave(stream));
            }
        });
        Self { port, met }
    }

    fn met(&self) -> usize {
        self.met.load(Ordering::Relaxed)
    }
}

/// What ends an impostor: no peer begins with it.
const GOODBYE: [u8; 1] = [0xfe];

impl Drop for Impostor {
    fn drop(&mut self) {
        let _ = TcpStream::connect(("127.0.0.1", self.port)).and_then(|mut stream| stream.write_all(&GOODBYE));
    }
}

/// Says nothing for as long as the other side stays.
fn silent(mut stream: TcpStream) {
    let _ = stream.read_to_end(&mut Vec::new());
}

/// Goes away at once.
fn curt(stream: TcpStream) {
    drop(stream);
}

/// Answers whatever comes with this, then ends.
fn answers(text: impl Into<Vec<u8>>) -> impl Fn(TcpStream) + Send + Sync + 'static {
    let text = text.into();
    move |mut stream| {
        let _ = stream.read(&mut [0; 4096]);
        let _ = stream.write_all(&text);
        let _ = stream.shutdown(Shutdown::Write);
        silent(stream);
    }
}

/// Answers the first request with this in place of a result or an error.
fn answers_hello(outcome: &str) -> impl Fn(TcpStream) + Send + Sync + 'static {
    answers(format!("{{\"jsonrpc\":\"2.0\",\"id\":0,{outcome}}}\n{{\"jsonrpc\":\"2.0\",\"id\":1,{outcome}}}\n"))
}

/// Begins a line that never ends.
fn endless(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 4096]);
    while stream.write_all(&[b'x'; 16 * 1024]).is_ok() {}
}

/// Says a little from time to time, so that it never looks idle.
fn drips(mut stream: TcpStream) {
    while stream.write_all(b" ").is_ok() {
        thread::sleep(Duration::from_millis(20));
    }
}

/// An instance that is not yet started, with TLS or without.
fn prepared(name: &str, tls: bool) -> Instance {
    let instance = Instance::new(name);
    if !tls {
        instance.reconfigure("enabled: true", "enabled: false");
    }
    instance.configure(&format!("{PATIENT}  handshake: 2s\n"));
    instance.plugin("actions/echo.sh", plugin::ECHO_SH);
    instance
}

fn started(name: &str, tls: bool) -> Instance {
    let mut instance = prepared(name, tls);
    instance.start();
    instance
}

/// Every command that talks to the peer fails in this way, in time, and the service goes on.
#[track_caller]
fn every_command_fails(holder: &Instance, peer: &str, code: i32, kind: &str, name: &str) {
    let start = Instant::now();
    let commands = [
        &["action", "perform", "echo", "--data", "1", "--peer", peer][..],
        &["action", "list", "--peer", peer],
        &["action", "publish", "echo", "--data", "1", "--peer", peer],
        &["action", "subscribe", "--action", "echo", "--receiver", "keep", "--peer", peer],
    ];
    // At once, as they may come.
    let running = commands.map(|arguments| holder.begin(&[arguments, &["--json"]].concat()));
    for command in running {
        let error = command.finish().failed(code, kind);
        let message = error["message"].as_str().expect("checked");
        assert!(message.len() < 400, "{name}: {message:?}");
    }
    let people = holder.run(commands[0]).exited(code).stderr;
    assert!((2..=3).contains(&people.lines().count()) && people.contains("\n  try: "), "{name}: {people}");
    assert!(!people.contains(|c: char| c.is_control() && c != '\n'), "{name}: {people:?}");
    assert!(start.elapsed() < Duration::from_secs(15), "{name}: {:?}", start.elapsed());
    assert!(!holder.json(&["peer", "list"]).as_array().expect("a list").is_empty(), "{name}");
    assert!(!holder.log().contains("panicked"), "{name}");
}

#[test]
fn whatever_answers_in_place_of_a_peer_without_tls_costs_one_command() {
    let mut issuer = started("issuer", false);
    let holder = started("holder", false);
    holder.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let peer = add_peer(&issuer, &holder, ALL);
    issuer.stop();
    every_command_fails(&holder, &peer, 6, "unreachable", "down");
    let key = std::fs::read_to_string(issuer.path("keys/vt-key.pub")).expect("a key");
    let nested = format!("\"result\":{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let welcome = |identity: &str, proof: &str| {
        let result = json!({"protocol": 1, "software": "x", "identity": identity, "nonce": "AAAA", "proof": proof});
        format!("\"result\":{result}")
    };
    type Behaviour = Box<dyn Fn(TcpStream) + Send + Sync>;
    let behaviours: Vec<(&str, Behaviour)> = vec![
        ("silent", Box::new(silent)),
        ("curt", Box::new(curt)),
        ("endless", Box::new(endless)),
        ("drips", Box::new(drips)),
        ("HTTP", Box::new(answers("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"))),
        ("binary", Box::new(answers([0xff, 0x00, b'\n', 0x80]))),
        ("torn", Box::new(answers("{\"jsonrpc\":\"2.0\","))),
        ("an array", Box::new(answers("[]\n"))),
        ("a result that is none", Box::new(answers_hello("\"result\":7"))),
        ("a deep result", Box::new(answers_hello(&nested))),
        ("no key", Box::new(answers_hello(&welcome("garbage", "AAAA")))),
        ("no nonce", Box::new(answers_hello(&welcome(&key, "AAAA")))),
        ("terminal escapes", Box::new(answers_hello("\"error\":{\"code\":1,\"message\":\"\\u001b[31mred\\nline\"}"))),
    ];
    for (name, behave) in behaviours {
        let impostor = Impostor::new(issuer.port(), behave);
        every_command_fails(&holder, &peer, 6, "unreachable", name);
        assert!(impostor.met() >= 2, "{name}: {}", impostor.met());
    }
    // The real one is found again, without a restart.
    until("the port to be free", || TcpListener::bind(("127.0.0.1", issuer.port())).ok());
    issuer.start();
    let _ = holder.run(&["action", "perform", "echo", "--data", "1", "--peer", &peer]).ok();
}

#[test]
fn whatever_answers_in_place_of_a_peer_with_tls_costs_one_command() {
    let mut issuer = started("issuer", true);
    let holder = started("holder", true);
    holder.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let peer = add_peer(&issuer, &holder, ALL);
    issuer.stop();
    type Behaviour = Box<dyn Fn(TcpStream) + Send + Sync>;
    let behaviours: Vec<(&str, Behaviour)> = vec![
        ("curt", Box::new(curt)),
        ("HTTP", Box::new(answers("HTTP/1.1 400 Bad Request\r\n\r\n"))),
        ("a TLS alert", Box::new(answers([0x15, 3, 3, 0, 2, 2, 40]))),
        ("no TLS record", Box::new(answers(vec![0; 70_000]))),
    ];
    for (name, behave) in behaviours {
        let _impostor = Impostor::new(issuer.port(), behave);
        every_command_fails(&holder, &peer, 6, "unreachable", name);
    }
    // One that says nothing at all holds a command up for as long as TLS may take.
    let impostor = Impostor::new(issuer.port(), silent);
    let start = Instant::now();
    let _ = holder.run(&["action", "list", "--peer", &peer, "--json"]).failed(6, "unreachable");
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    drop(impostor);
    // The peer itself, which has begun to speak plain.
    until("the port to be free", || TcpListener::bind(("127.0.0.1", issuer.port())).ok());
    issuer.reconfigure("enabled: true", "enabled: false");
    issuer.start();
    every_command_fails(&holder, &peer, 6, "unreachable", "plain where TLS is expected");
    issuer.stop();
    issuer.reconfigure("enabled: false", "enabled: true");
    issuer.start();
    let _ = holder.run(&["action", "perform", "echo", "--data", "1", "--peer", &peer]).ok();
}

#[test]
fn tls_where_plain_is_expected_is_told() {
    let mut issuer = started("issuer", false);
    let holder = started("holder", true);
    holder.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let peer = add_peer(&issuer, &holder, ALL);
    issuer.stop();
    issuer.reconfigure("enabled: false", "enabled: true");
    issuer.start();
    every_command_fails(&holder, &peer, 6, "unreachable", "TLS where plain is expected");
}

#[test]
fn another_instance_at_the_address_of_a_peer_is_never_shown_the_token() {
    for tls in [true, false] {
        let mut issuer = started("issuer", tls);
        let holder = started("holder", tls);
        holder.plugin("receivers/keep.sh", plugin::KEEP_SH);
        let peer = add_peer(&issuer, &holder, ALL);
        issuer.stop();
        let mut other = prepared("other", tls).env("COATTAIL_LOG", "trace");
        other.reconfigure(&format!("port: {}", other.port()), &format!("port: {}", issuer.port()));
        other.start();
        every_command_fails(&holder, &peer, 6, "wrong-peer", if tls { "with TLS" } else { "without TLS" });
        let token = holder.run(&["peer", "show", &peer, "--print-raw-token"]).ok().stdout;
        let signature = token.trim().rsplit('.').next().expect("three parts");
        assert!(!other.log().contains(signature), "the token was shown to somebody else");
        assert!(!other.log().contains("session opened"), "somebody else was let in");
    }
}

#[test]
fn a_peer_with_another_certificate_is_not_the_one_of_the_token() {
    let mut issuer = started("issuer", true);
    let holder = started("holder", true);
    holder.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let peer = add_peer(&issuer, &holder, ALL);
    issuer.stop();
    let other = Instance::new("other");
    for file in ["keys/tls-key.pem", "keys/tls-cert.pem"] {
        std::fs::copy(other.path(file), issuer.path(file)).expect("copied");
    }
    issuer.start();
    every_command_fails(&holder, &peer, 6, "wrong-peer", "another certificate");
}

#[test]
fn r2_a_subscriber_that_has_become_something_else_loses_nothing_and_holds_up_nobody() {
    let mut cluster = Cluster::of(started("publisher", false), started("subscriber", false), ALL);
    cluster.subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let bystander = started("bystander", false);
    bystander.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let other = add_peer(&cluster.publisher, &bystander, ALL);
    let _ = bystander.run(&["action", "subscribe", "-p", &other, "-a", "echo", "-r", "keep"]).ok();
    cluster.subscribe("echo", "keep");
    let mut published = 0;
    for behave in [curt as fn(TcpStream), silent, endless, drips] {
        cluster.subscriber.stop();
        let impostor = Impostor::new(cluster.subscriber.port(), behave);
        for _ in 0..3 {
            published = cluster.publish("echo", "1");
        }
        bystander.wait_for("handled", published);
        until("the publisher to have dialled", || (impostor.met() > 0).then_some(()));
        drop(impostor);
        until("the port to be free", || TcpListener::bind(("127.0.0.1", cluster.subscriber.port())).ok());
        cluster.subscriber.start();
        cluster.subscriber.wait_for("handled", published);
    }
    assert_eq!(cluster.subscriber.received().len() as u64, published);
    assert!(!cluster.publisher.log().contains("panicked"));
}
