//! P7 and P8 for what strangers send: nothing of it gets past the door, holds it shut, or costs more than it may.

use std::io::Write as _;
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use coattail::wire::{ErrorCode, Method, control, host, peer as wire};
use coattail_tests::cluster::add_peer;
use coattail_tests::{Instance, Random, plugin, until};
use serde_json::{Value, json};

use crate::raw_peer::{PATIENT, RawPeer, hello, keys_of, plain_service, rand_nonce};

const ALL: &[&str] = &["--performable", "*"];

/// Somebody who is welcome logs in and performs an action.
#[track_caller]
fn others_go_on(instance: &Instance) {
    let friend = Instance::running("friend");
    let peer = add_peer(instance, &friend, ALL);
    let _ = friend.run(&["action", "perform", "echo", "--data", "1", "--peer", &peer]).ok();
    assert!(!instance.log().contains("panicked"));
}

fn request(method: &str, params: Value) -> Vec<u8> {
    format!("{}\n", json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})).into_bytes()
}

/// The code of an answer that refuses.
#[track_caller]
fn code(answer: &Value) -> ErrorCode {
    let number = answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("no error: {answer}"));
    ErrorCode::from_number(i32::try_from(number).expect("a code"))
}

#[test]
fn what_is_no_frame_is_answered_once_and_ends_the_connection() {
    let instance = plain_service("publisher", "");
    let nested = |levels: usize| [vec![b'['; levels], vec![b']'; levels], vec![b'\n']].concat();
    let long = |length: usize| [vec![b'"'], vec![b'x'; length - 2], b"\"\n".to_vec()].concat();
    let inside =
        |params: &str| format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.hello\",\"params\":{params}}}\n");
    let deep_params = inside(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)));
    let (keys, too_long) = ((0..10_000).map(|n| format!("\"{n}\":0")).collect::<Vec<_>>().join(","), 64 * 1024 + 1);
    let cases: Vec<(&str, Vec<u8>, Option<ErrorCode>)> = vec![
        ("torn", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"meth".to_vec(), None),
        ("nothing", Vec::new(), None),
        ("empty lines", b"\n\r\n\n".to_vec(), None),
        ("no JSON", b"hello\n".to_vec(), Some(ErrorCode::InvalidInput)),
        ("HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(), Some(ErrorCode::InvalidInput)),
        ("TLS", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\n".to_vec(), Some(ErrorCode::InvalidInput)),
        ("NUL", b"\0\0\0\n".to_vec(), Some(ErrorCode::InvalidInput)),
        ("no UTF-8", b"{\"jsonrpc\":\"\xff\"}\n".to_vec(), Some(ErrorCode::InvalidInput)),
        (
            "a lone surrogate",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\\ud800\"}\n".to_vec(),
            Some(ErrorCode::InvalidInput),
        ),
        ("a number", b"7\n".to_vec(), Some(ErrorCode::InvalidInput)),
        ("null", b"null\n".to_vec(), Some(ErrorCode::InvalidInput)),
        ("an array", b"[]\n".to_vec(), Some(ErrorCode::InvalidInput)),
        (
            "a batch",
            b"[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"session.hello\"}]\n".to_vec(),
            Some(ErrorCode::InvalidInput),
        ),
        ("an empty object", b"{}\n".to_vec(), Some(ErrorCode::InvalidInput)),
        (
            "another version",
            b"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"m\"}\n".to_vec(),
            Some(ErrorCode::InvalidInput),
        ),
        (
            "an id too large",
            b"{\"jsonrpc\":\"2.0\",\"id\":1e999,\"method\":\"m\"}\n".to_vec(),
            Some(ErrorCode::InvalidInput),
        ),
        (
            "a key twice",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"m\"}\n".to_vec(),
            Some(ErrorCode::InvalidInput),
        ),
        (
            "the frame that killed the original",
            b"{\"chain\":{},\"opCode\":\"auth\",\"parameters\":{\"chain\":null}}\n".to_vec(),
            Some(ErrorCode::InvalidInput),
        ),
        ("deeply nested", nested(129), Some(ErrorCode::InvalidInput)),
        ("very deeply nested", nested(30_000), Some(ErrorCode::InvalidInput)),
        ("deeply nested parameters", deep_params.into_bytes(), Some(ErrorCode::InvalidInput)),
        ("ten thousand keys", format!("{{{keys}}}\n").into_bytes(), Some(ErrorCode::TooLarge)),
        ("a byte too long", long(too_long), Some(ErrorCode::TooLarge)),
        ("too long, without an end", vec![b'x'; too_long], Some(ErrorCode::TooLarge)),
    ];
    for (name, bytes, expected) in cases {
        let start = Instant::now();
        let mut peer = RawPeer::connect(instance.port());
        // It may have closed before all was written.
        let _ = peer.send(&bytes);
        if expected.is_none() {
            peer.end();
        }
        let answers = peer.rest();
        // Sooner than any stranger is sent away.
        assert!(start.elapsed() < Duration::from_secs(5), "{name}: {:?}", start.elapsed());
        match expected {
            None => assert!(answers.is_empty(), "{name}: {answers:?}"),
            Some(expected) => {
                // What was not read when it closed can cost us the answer: that is how TCP is.
                assert!(answers.len() == 1 || (answers.is_empty() && bytes.len() > 60_000), "{name}: {answers:?}");
                for answer in &answers {
                    assert_eq!(code(answer), expected, "{name}: {answer}");
                    assert!(answer["id"].is_null() && answer.to_string().len() < 500, "{name}: {answer}");
                }
            }
        }
    }
    others_go_on(&instance);
}

#[test]
fn a12_before_authentication_there_are_two_methods_and_nothing_else_is_done() {
    let instance = plain_service("publisher", "");
    let token = json!({"token": "x", "proof": "x"});
    let before = (instance.counts(), instance.json(&["token", "list"]));
    let methods = [
        wire::Ping::NAME,
        wire::ListActions::NAME,
        wire::ListReceivers::NAME,
        wire::Perform::NAME,
        wire::Cancel::NAME,
        wire::Publish::NAME,
        wire::Subscribe::NAME,
        wire::IssueSubscription::NAME,
        wire::Attach::NAME,
        wire::Unsubscribe::NAME,
        wire::Revoke::NAME,
        wire::Deliver::NAME,
        control::Status::NAME,
        control::Stop::NAME,
        control::IssueToken::NAME,
        control::ListTokens::NAME,
        control::ShowToken::NAME,
        control::RevokeToken::NAME,
        control::AddPeer::NAME,
        control::ShowPeerToken::NAME,
        control::RemovePeer::NAME,
        host::ListPeers::NAME,
        host::Unsubscribe::NAME,
        host::ListSubscribers::NAME,
        host::RevokeSubscriber::NAME,
        host::Log::NAME,
        "initialize",
        "rpc.discover",
        "",
        "session.hello\u{0}",
        "../session.hello",
        "Session.Hello",
    ];
    let params = json!({"call": "00000000-0000-7000-8000-000000000000", "action": "echo", "input": 1, "token": "x",
        "publications": [], "to": [], "subscriptions": [], "subscription": "00000000-0000-7000-8000-000000000000"});
    // Fresh, and after a hello.
    for greeted in [false, true] {
        let mut peer = RawPeer::connect(instance.port());
        if greeted {
            peer.greet(&keys_of(&instance), rand_nonce());
        }
        for method in methods {
            assert_eq!(peer.call(method, &params), Err(ErrorCode::UnknownMethod), "{method}");
        }
        // As notifications, too, which are not answered; and answers that nobody waits for.
        for method in methods {
            let notification = json!({"jsonrpc": "2.0", "method": method, "params": params});
            peer.send(format!("{notification}\n").as_bytes()).expect("it is open");
        }
        peer.send(b"{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1}\n").expect("it is open");
        // Still there: nothing was out of order so far.
        assert_eq!(peer.call("session.ping", &json!({})), Err(ErrorCode::UnknownMethod));
        let refused = peer.call("session.authenticate", &token).expect_err("no token");
        assert_eq!(refused, if greeted { ErrorCode::TokenRefused } else { ErrorCode::InvalidInput });
        // One try, and no second one.
        assert_eq!(peer.rest(), Vec::<Value>::new());
    }
    assert_eq!((instance.counts(), instance.json(&["token", "list"])), before);
    others_go_on(&instance);
}

#[test]
fn a_hello_that_makes_no_sense_is_refused() {
    let instance = plain_service("publisher", "");
    let keys = keys_of(&instance);
    let good = hello(&keys, &rand_nonce());
    let with = |field: &str, value: Value| {
        let mut hello = good.clone();
        hello[field] = value;
        hello
    };
    let weak = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n";
    for (name, params, expected) in [
        ("no parameters", json!({}), ErrorCode::InvalidInput),
        ("a list", json!([1, "x", "y", "z"]), ErrorCode::InvalidInput),
        ("a text", json!("x"), ErrorCode::InvalidInput),
        ("another protocol", with("protocol", json!(999)), ErrorCode::UnsupportedVersion),
        ("a negative protocol", with("protocol", json!(-1)), ErrorCode::InvalidInput),
        ("a short nonce", with("nonce", json!("AAAA")), ErrorCode::InvalidInput),
        ("no base64", with("nonce", json!("\u{0}")), ErrorCode::InvalidInput),
        ("no key", with("identity", json!("key")), ErrorCode::InvalidInput),
        ("a weak key", with("identity", json!(weak)), ErrorCode::InvalidInput),
        ("a long key", with("identity", json!("x".repeat(50_000))), ErrorCode::InvalidInput),
    ] {
        let mut peer = RawPeer::connect(instance.port());
        assert_eq!(peer.call("session.hello", &params), Err(expected), "{name}");
    }
    // There is no second hello on a connection, whatever came of the first.
    for first in [&good, &with("protocol", json!(999))] {
        let mut peer = RawPeer::connect(instance.port());
        let _ = peer.call("session.hello", first);
        // After one that was refused it may be closed already.
        let _ = peer.send(&request("session.hello", good.clone()));
        peer.end();
        assert!(peer.rest().iter().all(|answer| code(answer) == ErrorCode::InvalidInput));
    }
    others_go_on(&instance);
}

#[test]
fn a11_whoever_does_not_log_in_is_sent_away_in_time() {
    const SETTINGS: &str = "  handshake: 1s\n";
    let plain = plain_service("plain", SETTINGS);
    let mut with_tls = Instance::new("with tls");
    with_tls.configure(&format!("{PATIENT}{SETTINGS}"));
    with_tls.plugin("actions/echo.sh", plugin::ECHO_SH);
    with_tls.start();
    let (begun, ping) = (Instant::now(), request("session.ping", json!({})));
    thread::scope(|scope| {
        for port in [plain.port(), with_tls.port()] {
            scope.spawn(move || RawPeer::connect(port).drain());
            scope.spawn(move || {
                let mut half = RawPeer::connect(port);
                half.send(b"{\"jsonrpc\":").expect("it is open");
                half.drain();
            });
            // Those who always say a little, and never what they are asked for.
            for little in [b" ", &ping[..]] {
                scope.spawn(move || {
                    let mut writer = RawPeer::connect(port).writer();
                    until("a connection that drips to be closed", || writer.write_all(little).is_err().then_some(()));
                });
            }
        }
    });
    assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
    others_go_on(&plain);
    others_go_on(&with_tls);
}

#[test]
fn a11_whoever_has_gone_gives_its_place_back_at_once() {
    // Longer than this test may take.
    let instance = plain_service("publisher", "  handshake: 60s\n  unauthenticated_connections: 4\n");
    let hello = request("session.hello", hello(&keys_of(&instance), &rand_nonce()));
    for bytes in [&b""[..], b"{\"torn", b"no frame\n", &hello] {
        for _ in 0..8 {
            let mut peer = RawPeer::connect(instance.port());
            peer.send(bytes).expect("it is open");
            peer.end();
            peer.drain();
        }
    }
    others_go_on(&instance);
}

#[test]
fn a11_three_hundred_idle_connections_keep_nobody_out() {
    let instance = plain_service("publisher", "  handshake: 1s\n");
    let friend = Instance::running("friend");
    let token = crate::raw_peer::issue(&instance, ALL);
    let idle: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect(("127.0.0.1", instance.port())).expect("it listens")).collect();
    let start = Instant::now();
    let _ = friend.run_with(&["peer", "add", "-", "--json"], &token).ok();
    assert!(start.elapsed() < Duration::from_secs(8), "the login took {:?}", start.elapsed());
    drop(idle);
}

#[test]
fn plain_bytes_at_a_service_with_tls_end_the_connection() {
    let instance = {
        let mut instance = Instance::new("publisher");
        instance.configure(PATIENT);
        instance.plugin("actions/echo.sh", plugin::ECHO_SH);
        instance.start();
        instance
    };
    for bytes in [
        request("session.hello", hello(&keys_of(&instance), &rand_nonce())),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        b"\x16\x03\x01\xff\xff".repeat(20_000),
        vec![0; 100_000],
    ] {
        let start = Instant::now();
        let peer = RawPeer::connect(instance.port());
        let _ = peer.writer().write_all(&bytes);
        let _ = peer.writer().shutdown(std::net::Shutdown::Write);
        peer.drain();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    }
    others_go_on(&instance);
}

#[test]
fn a7_frames_that_were_changed_at_random_break_nothing() {
    let instance = plain_service("publisher", "");
    let hello = request("session.hello", hello(&keys_of(&instance), &rand_nonce()));
    let login =
        request("session.authenticate", json!({"token": crate::raw_peer::issue(&instance, ALL), "proof": "AAAA"}));
    let mut random = Random::new(7);
    for round in 0..600 {
        let mut peer = RawPeer::connect(instance.port());
        let mut bytes = [&hello[..], &login].concat();
        for _ in 0..=random.below(4) {
            let at = usize::try_from(random.below(bytes.len() as u64)).expect("an index");
            match random.below(4) {
                0 => bytes[at] = u8::try_from(random.below(256)).expect("a byte"),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, b"\"{}[],:\\\n0e\0"[usize::try_from(random.below(12)).expect("an index")]),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let _ = peer.send(&bytes);
        peer.end();
        for answer in peer.rest() {
            assert!(answer["result"]["session"].is_null(), "round {round} has logged in: {answer}");
        }
    }
    others_go_on(&instance);
}
