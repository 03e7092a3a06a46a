//! Every call, with every kind of token, in every state of a session. What is not listed is refused.

use std::thread;

use coattail::wire::{ErrorCode, Method, peer as wire, places};
use coattail_daemon::keys::Identity;
use coattail_daemon::tokens::{Validity, validation};
use coattail_tests::{Cluster, Instance, plugin, until};
use serde_json::{Value, json};

use super::tokens::resigned;
use crate::raw_peer::{RawPeer, hello, issue, keys_of, plain_service, rand_nonce, token_id};

/// An id that nothing has.
const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

/// Every call that a peer can make, by what it is for. `echo` is an action here, and `keep` a receiver.
fn calls(subscription: &str) -> Vec<(&'static str, &'static str, Value)> {
    let perform =
        |publish: bool| json!({"call": coattail::id::CallId::new(), "action": "echo", "input": 1, "publish": publish});
    let to = json!([{"subscription": subscription, "after": 0}]);
    // Its signature is none, so that nobody can have it stored.
    let planted = json!({"id": NOBODY, "issuer": Identity::generate().issuer(), "action": "echo", "sequence": 1, "time": 0,
        "payload": 1});
    let proofs = json!([{"size": 1, "leaves": [0], "path": [], "signature": "AAAA"}]);
    vec![
        ("ping", wire::Ping::NAME, json!({})),
        ("cancel", wire::Cancel::NAME, json!({"call": NOBODY})),
        ("list actions", wire::ListActions::NAME, json!({})),
        ("list receivers", wire::ListReceivers::NAME, json!({})),
        ("perform", wire::Perform::NAME, perform(false)),
        ("perform and publish", wire::Perform::NAME, perform(true)),
        ("publish", wire::Publish::NAME, json!({"action": "echo", "input": 1})),
        ("subscribe", wire::Subscribe::NAME, json!({"action": "echo", "receiver": "keep"})),
        (
            "issue",
            wire::IssueSubscription::NAME,
            json!({"action": "echo", "receiver": "keep", "validation_token": "x", "authentication_token": NOBODY}),
        ),
        ("attach", wire::Attach::NAME, json!({"subscriptions": [subscription]})),
        ("locate", places::Locate::NAME, json!({"subscription": subscription, "from": "start"})),
        ("reset", places::Reset::NAME, json!({"subscription": subscription, "epoch": 0, "sequence": 0})),
        ("end", wire::Unsubscribe::NAME, json!({"subscription": subscription})),
        ("deliver", wire::Deliver::NAME, json!({"to": to, "publications": [planted], "proofs": proofs})),
        ("move", places::Move::NAME, json!({"subscription": subscription, "epoch": 0, "sequence": 0})),
        ("hello", wire::Hello::NAME, hello(&Identity::generate(), &rand_nonce())),
        ("authenticate", wire::Authenticate::NAME, json!({"token": "x", "proof": "AAAA"})),
        // Last, since it takes a subscription away.
        ("revoke", wire::Revoke::NAME, json!({"subscription": subscription})),
    ]
}

/// What a call came to. An empty list shows nothing, and what refuses each of its parts has done nothing.
fn is_done(outcome: &Result<Value, ErrorCode>) -> bool {
    match outcome {
        Err(_) => false,
        Ok(result) if result.as_array().is_some_and(Vec::is_empty) => false,
        Ok(result) => result["unknown"].is_null() && result["refused"].is_null(),
    }
}

/// Makes a call, and refuses whatever it is asked for meanwhile: that somebody is asked is what a permission changes.
#[track_caller]
fn attempt(peer: &mut RawPeer, method: &str, params: &Value) -> (Result<Value, ErrorCode>, bool) {
    let request = json!({"jsonrpc": "2.0", "id": 9_000, "method": method, "params": params});
    peer.send(format!("{request}\n").as_bytes()).expect("it is open");
    let mut is_asked = false;
    loop {
        let mut line = peer.line().unwrap_or_else(|| panic!("{method} has ended the session"));
        if line["method"].is_string() {
            is_asked = true;
            let answer = json!({"jsonrpc": "2.0", "id": line["id"], "error": {"code": 1, "message": "no"}});
            peer.send(format!("{answer}\n").as_bytes()).expect("it is open");
        } else if line["id"] == 9_000 {
            let outcome = match line["error"]["code"].as_i64() {
                None => Ok(line["result"].take()),
                Some(code) => Err(ErrorCode::from_number(i32::try_from(code).expect("a code"))),
            };
            return (outcome, is_asked);
        }
    }
}

#[test]
fn every_call_with_every_kind_of_token_that_opens_a_session() {
    let cluster = Cluster::of(plain_service("publisher", ""), plain_service("instance", ""), &["--subscribable", "*"]);
    let Cluster { publisher, subscriber: instance, .. } = &cluster;
    instance.plugin("receivers/keep.sh", plugin::KEEP_SH);
    instance.plugin("actions/other.sh", plugin::ECHO_SH);
    let subscription = cluster.subscribe("echo", "keep");
    let subscribed = instance.run(&["token", "show", &subscription, "--print-raw-token"]).ok().stdout;
    let nothing = ["--performable", "[]", "--publishable", "[]", "--subscribable", "[]"];
    let granting = |index: usize, name: &str| {
        let mut options = nothing;
        options[index] = name;
        issue(instance, &options)
    };
    let everything = ["--performable", "*", "--publishable", "*", "--subscribable", "*"];
    let both = ["--performable", "echo", "--publishable", "echo", "--subscribable", "[]"];
    let apart = ["--performable", "echo", "--publishable", "other", "--subscribable", "[]"];
    let stranger = Identity::generate();
    let session = ["ping", "cancel"];
    let table: Vec<(&str, String, &[&str])> = vec![
        ("nothing", issue(instance, &nothing), &[]),
        ("performable", granting(1, "echo"), &["list actions", "perform"]),
        ("publishable", granting(3, "echo"), &["list actions", "publish"]),
        ("subscribable", granting(5, "echo"), &["list actions", "subscribe"]),
        ("both", issue(instance, &both), &["list actions", "perform", "publish", "perform and publish"]),
        ("one each", issue(instance, &apart), &["list actions", "perform"]),
        ("another action", granting(1, "other"), &["list actions"]),
        (
            "everything",
            issue(instance, &everything),
            &["list actions", "perform", "publish", "perform and publish", "subscribe"],
        ),
        // Last, since what it may do takes it away.
        ("subscription", subscribed.trim().to_owned(), &["list receivers", "deliver", "move", "revoke"]),
    ];
    for (kind, token, allowed) in &table {
        let keys = if *kind == "subscription" { keys_of(publisher) } else { Identity::generate() };
        let mut peer = RawPeer::log_in(instance.port(), &keys, token);
        for (call, method, params) in calls(&subscription) {
            let (outcome, is_asked) = attempt(&mut peer, method, &params);
            // Nothing that is delivered here is signed. Whoever may deliver hears of it, and everybody else before.
            let is_done = if call == "deliver" { outcome.is_err() } else { is_done(&outcome) };
            let expected = session.contains(&call) || allowed.contains(&call);
            assert_eq!(is_done || is_asked, expected, "{kind}: {call}: {outcome:?}");
        }
        if *kind == "subscription" {
            continue;
        }
        // Taken away under a session that is open: it ends, and nothing more is done on it.
        let _ = instance.run(&["token", "revoke", &token_id(token), "--yes"]).ok();
        for (_, method, params) in calls(&subscription) {
            let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
            let _ = peer.send(format!("{request}\n").as_bytes());
        }
        assert_eq!(peer.rest(), Vec::<Value>::new(), "{kind}: answered after its token was revoked");
        nothing_for_those_outside(instance, kind, token, &stranger, ErrorCode::TokenRevoked);
    }
}

#[test]
fn every_call_with_every_kind_of_token_that_opens_none() {
    let (instance, other) = (plain_service("instance", ""), plain_service("other", ""));
    let keys = Identity::generate();
    let all = ["--performable", "*", "--publishable", "*", "--subscribable", "*"];
    let with = |more: &[&str]| issue(&instance, &[&all[..], more].concat());
    let good = with(&[]);
    let validity = Validity::endless(jiff::Timestamp::now());
    for (kind, token, code) in [
        ("expired", with(&["--expires-in", "-2m"]), ErrorCode::TokenRefused),
        ("not yet valid", with(&["--not-before", "1h"]), ErrorCode::TokenRefused),
        ("foreign", issue(&other, &all), ErrorCode::TokenRefused),
        ("another address", with(&["--bearers", "ipv4://10.0.0.0/8"]), ErrorCode::TokenRefused),
        ("another bearer", with(&["--bearers", &format!("vt://{NOBODY}")]), ErrorCode::TokenRefused),
        (
            "unknown",
            resigned(&instance, &good, |claims| claims.id = NOBODY.parse().expect("an id")),
            ErrorCode::TokenRevoked,
        ),
        (
            "validation",
            validation::issue(&keys_of(&instance), validity).expect("small enough"),
            ErrorCode::TokenRefused,
        ),
        ("garbage", "x".to_owned(), ErrorCode::TokenRefused),
        ("empty", String::new(), ErrorCode::TokenRefused),
    ] {
        nothing_for_those_outside(&instance, kind, &token, &keys, code);
    }
    // The control.
    let mut peer = RawPeer::log_in(instance.port(), &keys, &good);
    let (outcome, _) = attempt(&mut peer, wire::ListActions::NAME, &json!({}));
    assert!(is_done(&outcome), "{outcome:?}");
}

/// Every call of a session that is fresh, has said hello, or was refused: none is answered with anything.
#[track_caller]
fn nothing_for_those_outside(instance: &Instance, kind: &str, token: &str, keys: &Identity, code: ErrorCode) {
    let before = (instance.counts(), instance.json(&["subscribers", "list"]));
    let id =
        if token.split('.').count() == 3 && !kind.starts_with("validation") { token_id(token) } else { String::new() };
    let before_login = |peer: &mut RawPeer, state: &str| {
        for (call, method, params) in calls(NOBODY) {
            if !method.starts_with("session.") || call == "ping" {
                let (outcome, is_asked) = attempt(peer, method, &params);
                assert_eq!((outcome, is_asked), (Err(ErrorCode::UnknownMethod), false), "{kind}, {state}: {call}");
            }
        }
    };
    let mut peer = RawPeer::connect(instance.port());
    before_login(&mut peer, "fresh");
    let greeting = peer.greet(keys, rand_nonce());
    before_login(&mut peer, "hello done");
    let login = json!({"jsonrpc": "2.0", "id": 1, "method": wire::Authenticate::NAME,
        "params": {"token": token, "proof": greeting.proof(keys, &id)}});
    // At once behind the login, so that they come while the session closes.
    let mut bytes = format!("{login}\n");
    for (_, method, params) in calls(NOBODY).into_iter().filter(|(call, ..)| *call != "authenticate") {
        bytes += &format!("{}\n", json!({"jsonrpc": "2.0", "id": 2, "method": method, "params": params}));
    }
    let _ = peer.send(bytes.as_bytes());
    let answers = peer.rest();
    // Calls may be answered that came before the refusal was decided; they are unknown, as before the login.
    let known = [code, ErrorCode::UnknownMethod, ErrorCode::InvalidInput, ErrorCode::ShuttingDown, ErrorCode::Busy];
    for answer in &answers {
        let said = answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{kind}, closing: {answer}"));
        let said = ErrorCode::from_number(i32::try_from(said).expect("a code"));
        assert!(known.contains(&said), "{kind}, closing: {answer}");
        assert!(answer["id"] != 1 || said == code, "{kind}: {answer}");
    }
    assert!(answers.iter().any(|answer| answer["id"] == 1), "{kind}: the login was not answered: {answers:?}");
    assert_eq!((instance.counts(), instance.json(&["subscribers", "list"])), before, "{kind}");
}

#[test]
fn a_session_of_a_service_that_stops_is_served_to_the_end_or_not_at_all() {
    let mut instance = plain_service("instance", "");
    instance.plugin("actions/slow.sh", "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/begun\"\nwhile [ ! -e \"$COATTAIL_INSTANCE/go\" ]; do sleep 0.05; done\necho 1\n");
    instance.plugin("actions/trace.sh", "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/ran\"\n");
    let token = issue(&instance, &["--performable", "*"]);
    let mut peer = RawPeer::log_in(instance.port(), &Identity::generate(), &token);
    let perform = |id: u64, action: &str| {
        let params = json!({"call": coattail::id::CallId::new(), "action": action, "input": 1});
        format!("{}\n", json!({"jsonrpc": "2.0", "id": id, "method": wire::Perform::NAME, "params": params}))
    };
    peer.send(perform(1, "slow").as_bytes()).expect("it is open");
    until("the action to have begun", || instance.path("begun").exists().then_some(()));
    instance.signal(nix::sys::signal::Signal::SIGTERM);
    until("the service to stop listening", || {
        std::net::TcpStream::connect(("127.0.0.1", instance.port())).is_err().then_some(())
    });
    let _ = peer.send(perform(2, "trace").as_bytes());
    let go = instance.path("go");
    let reading = thread::spawn(move || peer.rest());
    std::fs::write(go, "").expect("written");
    let answers = reading.join().expect("it closes");
    instance.wait_until_stopped();
    // It may have come just before the sessions took no more. Then it is done to its end, else it is not begun.
    let is_done = answers.iter().any(|answer| answer["id"] == 2 && answer["result"].is_object());
    assert_eq!(instance.path("ran").exists(), is_done, "{answers:?}");
    assert!(answers.iter().any(|answer| answer["id"] == 1 && answer["result"]["result"] == 1), "{answers:?}");
}
