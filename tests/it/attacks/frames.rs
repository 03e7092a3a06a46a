//! A hundred thousand malformed frames of strangers, and as many of a peer that has logged in: what they cost.

use std::io::Write as _;
use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

use coattail_daemon::keys::Identity;
use coattail_tests::{Instance, Random};
use serde_json::{Value, json};

use crate::raw_peer::{RawPeer, issue, plain_service};

/// How many are sent before authentication, and how many after it.
const FRAMES: usize = 100_000;

/// Frames on one connection; the last one ends it.
const ON_ONE: usize = 100;

/// How much more memory the service may have when all is over, in KiB.
const MORE: u64 = 8 * 1024;

#[test]
fn a_hundred_thousand_malformed_frames_before_and_after_authentication_leave_nothing_behind() {
    let instance = plain_service("publisher", "  calls_per_second: 1000000\n  burst: 1000000\n");
    let (keys, token) = (Identity::generate(), issue(&instance, &["--performable", "none"]));
    for (name, is_authenticated) in [("before", false), ("after", true)] {
        let connect = || match is_authenticated {
            false => RawPeer::connect(instance.port()),
            true => RawPeer::log_in(instance.port(), &keys, &token),
        };
        let mut random = Random::new(41);
        // What is made once and kept is made now.
        let flood = |random: &mut Random, frames: usize| {
            for _ in 0..frames / ON_ONE {
                attack(connect(), random);
            }
        };
        flood(&mut random, FRAMES / 20);
        let before = resident(&instance);
        let start = Instant::now();
        flood(&mut random, FRAMES);
        let after = resident(&instance);
        assert!(after < before + MORE, "{name}: from {before} to {after} KiB");
        assert!(start.elapsed() < Duration::from_secs(60), "{name}: {:?}", start.elapsed());
    }
    assert!(!instance.log().contains("panicked") && !instance.log().contains("ERROR"), "{}", instance.log());
    let mut peer = RawPeer::log_in(instance.port(), &keys, &token);
    assert_eq!(peer.call("actions.list", &json!({})), Ok(json!([])));
}

/// Sends frames that are malformed but let the connection live, and then one that ends it.
#[track_caller]
fn attack(mut peer: RawPeer, random: &mut Random) {
    let mut bytes: Vec<u8> = Vec::new();
    for id in 1..ON_ONE {
        bytes.extend(format!("{}\n", nonsense(random, id)).into_bytes());
    }
    bytes.extend(no_frame(random));
    let mut writer = peer.writer();
    let writing = thread::spawn(move || {
        // It may close before it has read all.
        let _ = writer.write_all(&bytes);
        let _ = writer.shutdown(Shutdown::Write);
    });
    for answer in peer.rest() {
        assert!(answer["result"].is_null() || answer["id"].is_null(), "something was done: {answer}");
    }
    writing.join().expect("written");
}

/// JSON-RPC that nobody can make sense of.
fn nonsense(random: &mut Random, id: usize) -> Value {
    const METHODS: &[&str] = &[
        "session.hello",
        "session.authenticate",
        "actions.perform",
        "actions.subscribe",
        "publications.deliver",
        "",
        "\u{0}",
    ];
    let method = METHODS[usize::try_from(random.below(METHODS.len() as u64)).expect("an index")];
    let params = match random.below(8) {
        0 => json!(null),
        1 => json!([1, {"x": []}]),
        2 => json!("text"),
        3 => json!({"protocol": -1, "software": 7, "identity": null, "nonce": {}}),
        4 => json!({"action": "../x", "call": "x", "input": "y".repeat(200)}),
        5 => json!({"token": {"a": 1}, "proof": []}),
        6 => json!({"to": [{"subscription": "x", "after": -1}], "publications": [{}]}),
        _ => json!({"protocol": 1e300, "deep": [[[[[[[[]]]]]]]]}),
    };
    match random.below(4) {
        // Answered to nobody.
        0 => json!({"jsonrpc": "2.0", "method": method, "params": params}),
        1 => json!({"jsonrpc": "2.0", "id": format!("\u{202e}{id}"), "method": method, "params": params}),
        _ => json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}),
    }
}

/// Bytes that are no frame at all.
fn no_frame(random: &mut Random) -> Vec<u8> {
    let mut bytes = match random.below(10) {
        0 => b"\xff\xfe\x00".to_vec(),
        1 => b"{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"m\"}".to_vec(),
        2 => b"{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"m\"}".to_vec(),
        3 => "[".repeat(200).into_bytes(),
        4 => b"{\"jsonrpc\":\"2.0\",\"id\":1e999,\"method\":\"m\"}".to_vec(),
        5 => b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\\ud800\"}".to_vec(),
        6 => b"GET / HTTP/1.1".to_vec(),
        7 => b"[]".to_vec(),
        8 => b"{\"chain\":{},\"opCode\":\"auth\",\"parameters\":{\"chain\":null}}".to_vec(),
        _ => (0..64).map(|_| u8::try_from(random.below(256)).expect("a byte")).chain(*b"}").collect(),
    };
    bytes.push(b'\n');
    bytes
}

/// The memory that a service has now, in KiB.
fn resident(instance: &Instance) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", instance.pid())).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}
