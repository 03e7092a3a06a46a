//! P7 and P8 for a peer that has logged in, and wants more than its token allows.

use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coattail::wire::ErrorCode;
use coattail_daemon::keys::Identity;
use coattail_tests::cluster::add_peer;
use coattail_tests::{Cluster, Instance, Random, plugin, until};
use serde_json::{Value, json};

use crate::raw_peer::{RawPeer, hello, issue, keys_of, peak_memory, plain_service, rand_nonce, token_id};

const ALL: &[&str] = &["--performable", "*", "--publishable", "*", "--subscribable", "*"];

/// An id that nothing has.
const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

/// A delivery of a publication, as anybody can write one down.
fn made_up(publisher: &Identity, action: &str, to: &Value) -> Value {
    let publication = json!({"id": NOBODY, "issuer": publisher.issuer(), "action": action, "sequence": 1, "time": 0,
        "payload": "planted"});
    let proof = json!({"size": 1, "leaves": [0], "path": [], "signature": STANDARD.encode([0_u8; 64])});
    json!({"to": to, "publications": [publication], "proofs": [proof]})
}

/// Everything that an instance has stored which a peer could change.
fn stored(instance: &Instance) -> Vec<Value> {
    let lists = [&["token", "list"][..], &["subscribers", "list"], &["peer", "list"]];
    let mut stored: Vec<Value> = lists.iter().map(|list| instance.json(list)).collect();
    // Whether a peer is connected is no property of what is stored.
    for peer in stored[2].as_array_mut().expect("a list") {
        peer.as_object_mut().expect("an object").remove("connected");
    }
    stored.push(instance.counts());
    stored
}

#[test]
fn s6_a_proof_is_good_for_one_connection_one_token_and_one_try() {
    let issuer = plain_service("issuer", "");
    let (keys, thief) = (Identity::generate(), Identity::generate());
    let (token, other) = (issue(&issuer, ALL), issue(&issuer, ALL));
    let nonce = rand_nonce();
    let login = |token: &str, proof: &str| json!({"token": token, "proof": proof});
    let mut first = RawPeer::connect(issuer.port());
    let proof = first.greet(&keys, nonce).proof(&keys, &token_id(&token));
    first.call("session.authenticate", &login(&token, &proof)).expect("it is good");
    // Replayed on another connection, with everything the same that the client can choose.
    let mut second = RawPeer::connect(issuer.port());
    second.greet(&keys, nonce);
    assert_eq!(second.call("session.authenticate", &login(&token, &proof)), Err(ErrorCode::WrongPeer));
    assert_eq!(second.rest(), Vec::<Value>::new(), "there is no second try");
    // On the same connection it is done.
    assert_eq!(first.call("session.authenticate", &login(&token, &proof)), Err(ErrorCode::UnknownMethod));
    first.call("session.ping", &json!({})).expect("it is still open");
    // For another token, by another key, and none at all.
    for case in ["for another token", "by another key", "garbage", "no base64", "none"] {
        let mut peer = RawPeer::connect(issuer.port());
        let greeting = peer.greet(&keys, rand_nonce());
        let proof = match case {
            "for another token" => greeting.proof(&keys, &token_id(&other)),
            "by another key" => greeting.proof(&thief, &token_id(&token)),
            "garbage" => STANDARD.encode([7_u8; 64]),
            "no base64" => "\u{0}".to_owned(),
            _ => String::new(),
        };
        assert_eq!(peer.call("session.authenticate", &login(&token, &proof)), Err(ErrorCode::WrongPeer), "{case}");
        assert_eq!(peer.rest(), Vec::<Value>::new(), "{case}");
    }
}

#[test]
fn s1_a_token_allows_what_it_lists_and_nothing_else() {
    let issuer = plain_service("issuer", "");
    for action in ["other", "secret"] {
        issuer.plugin(&format!("actions/{action}.sh"), "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/ran\"\n");
    }
    std::fs::write(issuer.path("outside.sh"), "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/ran\"\n").expect("written");
    let keys = Identity::generate();
    let token = issue(&issuer, &["--performable", "echo", "--subscribable", "other"]);
    let before = stored(&issuer);
    let mut peer = RawPeer::log_in(issuer.port(), &keys, &token);
    let call = || coattail::id::CallId::new().to_string();
    let perform =
        |action: &str, publish: bool| json!({"call": call(), "action": action, "input": 1, "publish": publish});
    let issued =
        json!({"action": "echo", "receiver": "r", "validation_token": "x", "authentication_token": token_id(&token)});
    for (method, params, expected) in [
        ("actions.perform", perform("other", false), ErrorCode::NotPermitted),
        ("actions.perform", perform("secret", false), ErrorCode::NotPermitted),
        ("actions.perform", perform("missing", false), ErrorCode::NotPermitted),
        ("actions.perform", perform("*", false), ErrorCode::NotPermitted),
        ("actions.perform", perform("ECHO", false), ErrorCode::NotPermitted),
        ("actions.perform", perform("echo", true), ErrorCode::NotPermitted),
        ("actions.publish", json!({"action": "echo", "input": 1}), ErrorCode::NotPermitted),
        ("actions.publish", json!({"action": "other", "input": 1}), ErrorCode::NotPermitted),
        ("actions.subscribe", json!({"action": "echo", "receiver": "r"}), ErrorCode::NotPermitted),
        ("actions.subscribe", json!({"action": "*", "receiver": "r"}), ErrorCode::NotPermitted),
        // A name is no path, however it is written.
        ("actions.perform", perform("../outside", false), ErrorCode::InvalidInput),
        ("actions.perform", perform("..", false), ErrorCode::InvalidInput),
        ("actions.perform", perform("a/b", false), ErrorCode::InvalidInput),
        ("actions.perform", perform("echo\u{0}", false), ErrorCode::InvalidInput),
        ("actions.perform", perform("ec\u{200b}ho", false), ErrorCode::InvalidInput),
        ("actions.perform", perform("", false), ErrorCode::InvalidInput),
        ("actions.perform", perform(&"x".repeat(1_000_000), false), ErrorCode::InvalidInput),
        ("actions.perform", json!({"call": "x", "action": "echo"}), ErrorCode::InvalidInput),
        ("actions.perform", json!(["x", "echo"]), ErrorCode::InvalidInput),
        ("actions.perform", Value::Null, ErrorCode::InvalidInput),
        // What was not asked for (S2, S3), and what belongs to others.
        ("subscriptions.issue", issued, ErrorCode::NotPermitted),
        ("subscriptions.end", json!({"subscription": NOBODY}), ErrorCode::NotFound),
        ("subscriptions.revoke", json!({"subscription": NOBODY}), ErrorCode::TokenRevoked),
        // What only the owner may do (S4).
        ("service.stop", json!({}), ErrorCode::UnknownMethod),
        ("service.status", json!({}), ErrorCode::UnknownMethod),
        (
            "tokens.issue",
            json!({"performable": ["*"], "publishable": [], "subscribable": []}),
            ErrorCode::UnknownMethod,
        ),
        ("tokens.list", json!({}), ErrorCode::UnknownMethod),
        ("tokens.show", json!({"token": token_id(&token), "raw": true}), ErrorCode::UnknownMethod),
        ("tokens.revoke", json!({"token": token_id(&token)}), ErrorCode::UnknownMethod),
        ("peers.list", json!({}), ErrorCode::UnknownMethod),
        ("peers.add", json!({"token": token}), ErrorCode::UnknownMethod),
        ("subscribers.list", json!({}), ErrorCode::UnknownMethod),
        ("plugins.logs", json!({"kind": "action", "name": "echo"}), ErrorCode::UnknownMethod),
        ("retry_after", json!({"call": NOBODY, "after_ms": 1}), ErrorCode::UnknownMethod),
        // A peer speaks of the calls that were made to it, and of nothing else.
        ("log", json!({"level": "error", "message": "planted"}), ErrorCode::InvalidInput),
        ("session.hello", hello(&keys, &rand_nonce()), ErrorCode::UnknownMethod),
    ] {
        let shown: String = params.to_string().chars().take(100).collect();
        let refused = peer.call(method, &params).expect_err(&format!("{method} {shown}"));
        assert_eq!(refused, expected, "{method} {shown}");
    }
    let attached = peer.call("subscriptions.attach", &json!({"subscriptions": [NOBODY]})).expect("an answer");
    assert_eq!(attached["unknown"], json!([NOBODY]));
    let to = json!([{"subscription": NOBODY, "after": 0}]);
    let delivery = made_up(&keys, "echo", &to);
    let delivered = peer.call("publications.deliver", &delivery).expect("an answer");
    assert_eq!(delivered["refused"].as_array().map(Vec::len), Some(1), "{delivered}");
    // It sees what it may use.
    let listed = peer.call("actions.list", &json!({})).expect("a list");
    let names: Vec<&str> =
        listed.as_array().expect("a list").iter().filter_map(|entry| entry["name"].as_str()).collect();
    assert_eq!(names, ["echo", "other"]);
    assert_eq!(peer.call("receivers.list", &json!({})).unwrap_or(json!([])), json!([]));
    // And it still can do what it may do.
    assert_eq!(peer.call("actions.perform", &perform("echo", false)).expect("allowed")["result"], 1);
    assert_eq!(stored(&issuer), before);
    assert!(!issuer.path("ran").exists(), "an action ran that is not in the list");
    assert!(!issuer.log().contains("planted"));
}

#[test]
fn s3_nobody_but_the_publisher_delivers_to_a_subscription_or_ends_it() {
    let cluster = Cluster::of(Instance::running("publisher"), plain_service("subscriber", ""), ALL);
    let Cluster { publisher, subscriber, .. } = &cluster;
    publisher.plugin("actions/echo.sh", plugin::ECHO_SH);
    subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let subscription = cluster.subscribe("echo", "keep");
    let attacker = Identity::generate();
    let before = stored(subscriber);
    // It has a token of the subscriber that grants everything that a token can grant.
    let mut peer = RawPeer::log_in(subscriber.port(), &attacker, &issue(subscriber, ALL));
    let issued_for_attack = subscriber.json(&["token", "list"]).as_array().expect("a list").len() - 1;
    assert_eq!(before[0].as_array().map(Vec::len), Some(issued_for_attack));
    let to = json!([{"subscription": subscription, "after": 0}]);
    for issuer in [&attacker, &keys_of(publisher)] {
        let delivery = made_up(issuer, "echo", &to);
        let delivered = peer.call("publications.deliver", &delivery).expect("an answer");
        let codes: Vec<i64> =
            delivered["refused"].as_array().expect("refused").iter().filter_map(|one| one["code"].as_i64()).collect();
        let known = [ErrorCode::NotPermitted, ErrorCode::TokenRefused].map(|code| i64::from(code.number()));
        assert!(codes.len() == 1 && known.contains(&codes[0]), "{delivered}");
    }
    for method in ["subscriptions.revoke", "subscriptions.end"] {
        peer.call(method, &json!({"subscription": subscription})).expect_err(method);
    }
    // The subscription token in the hands of somebody else: it is bound to the publisher's key.
    let stolen = subscriber.run(&["token", "show", &subscription, "--print-raw-token"]).ok().stdout;
    let stolen = stolen.trim();
    let mut thief = RawPeer::connect(subscriber.port());
    let proof = thief.greet(&attacker, rand_nonce()).proof(&attacker, &token_id(stolen));
    let refused = thief.call("session.authenticate", &json!({"token": stolen, "proof": proof}));
    assert_eq!(refused, Err(ErrorCode::TokenRefused));
    // It is all there still, and works.
    cluster.publish("echo", "1");
    subscriber.wait_for("handled", 1);
    assert_eq!(subscriber.received(), [json!(1)]);
}

#[test]
fn s1_a_publisher_can_deliver_to_its_subscribers_and_nothing_else() {
    let cluster = Cluster::of(Instance::running("publisher"), plain_service("subscriber", ""), ALL);
    let Cluster { publisher, subscriber, .. } = &cluster;
    publisher.plugin("actions/echo.sh", plugin::ECHO_SH);
    for name in ["keep", "other"] {
        subscriber.plugin(&format!("receivers/{name}.sh"), plugin::KEEP_SH);
    }
    let subscription = cluster.subscribe("echo", "keep");
    let token = subscriber.run(&["token", "show", &subscription, "--print-raw-token"]).ok().stdout;
    let keys = keys_of(publisher);
    let mut peer = RawPeer::log_in(subscriber.port(), &keys, token.trim());
    let before = stored(subscriber);
    let call = coattail::id::CallId::new().to_string();
    for (method, params) in [
        ("actions.perform", json!({"call": call, "action": "echo", "input": 1})),
        ("actions.publish", json!({"action": "echo", "input": 1})),
        ("actions.subscribe", json!({"action": "echo", "receiver": "keep"})),
        ("subscriptions.end", json!({"subscription": subscription})),
        ("tokens.list", json!({})),
    ] {
        let refused = peer.call(method, &params).expect_err(method);
        assert!(
            matches!(refused, ErrorCode::NotPermitted | ErrorCode::UnknownMethod | ErrorCode::NotFound),
            "{method}: {refused:?}"
        );
    }
    assert_eq!(peer.call("actions.list", &json!({})), Ok(json!([])));
    assert_eq!(peer.call("receivers.list", &json!({})), Ok(json!(["keep"])), "it sees no receiver but its own");
    // Another action, a signature that is none, and one of another instance.
    let to = json!([{"subscription": subscription, "after": 0}]);
    let stranger = Identity::generate();
    let mut unproven = made_up(&keys, "echo", &to);
    unproven["proofs"] = json!([]);
    let made_up = [(&keys, "other"), (&keys, "echo"), (&stranger, "echo")].map(|(who, what)| made_up(who, what, &to));
    for delivery in made_up.into_iter().chain([unproven]) {
        match peer.call("publications.deliver", &delivery) {
            Err(_) => {}
            Ok(delivered) => assert_eq!(delivered["refused"].as_array().map(Vec::len), Some(1), "{delivered}"),
        }
    }
    assert_eq!(stored(subscriber), before);
    cluster.publish("echo", "1");
    subscriber.wait_for("handled", 1);
    assert_eq!(subscriber.received(), [json!(1)]);
}

#[test]
fn a8_what_is_too_large_or_too_deep_ends_that_session_and_no_other() {
    let issuer = plain_service("issuer", "");
    let token = issue(&issuer, ALL);
    let keys = Identity::generate();
    let mut bystander = RawPeer::log_in(issuer.port(), &keys, &token);
    let perform = |input: &str| {
        let call = coattail::id::CallId::new();
        format!(
            "{{\"jsonrpc\":\"2.0\",\"id\":9,\"method\":\"actions.perform\",\"params\":{{\"call\":\"{call}\",\"action\":\"echo\",\"input\":{input}}}}}\n"
        )
    };
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let before = peak_memory(&issuer);
    for (name, frame) in [
        ("a byte too long", format!("\"{}\"\n", "x".repeat(8 * 1024 * 1024 - 1))),
        ("too deep", perform(&nested(127))),
        ("far too deep", perform(&nested(1_000_000))),
        ("no JSON", "}\n".to_owned()),
        ("an array", format!("[{}]\n", perform("1").trim())),
    ] {
        let mut peer = RawPeer::log_in(issuer.port(), &keys, &token);
        let start = Instant::now();
        let _ = peer.send(frame.as_bytes());
        let answers = peer.rest();
        assert!(start.elapsed() < Duration::from_secs(10), "{name}");
        assert!(
            answers.iter().all(|answer| answer["error"]["code"].is_i64() && answer["id"].is_null()),
            "{name}: {answers:?}"
        );
    }
    // What is just small and flat enough passes.
    let input = Value::from("x".repeat(1_000_000));
    let call = coattail::id::CallId::new().to_string();
    let performed = bystander.call("actions.perform", &json!({"call": call, "action": "echo", "input": input}));
    assert_eq!(performed.expect("allowed")["result"], input);
    let after = peak_memory(&issuer);
    assert!(after < before + 96 * 1024, "from {before} to {after} KiB");
    assert!(!issuer.log().contains("panicked"));
}

#[test]
fn a_peer_that_asks_and_never_reads_costs_only_itself() {
    let issuer = plain_service("issuer", "");
    let token = issue(&issuer, ALL);
    let keys = Identity::generate();
    let mut deaf = RawPeer::log_in(issuer.port(), &keys, &token);
    let list = format!("{}\n", json!({"jsonrpc": "2.0", "id": 1, "method": "actions.list"}));
    let flood = list.repeat(1_000);
    deaf.writer().set_write_timeout(Some(Duration::from_millis(500))).expect("a limit");
    let before = peak_memory(&issuer);
    let sent = (0..400).take_while(|_| deaf.send(flood.as_bytes()).is_ok()).count();
    let after = peak_memory(&issuer);
    assert!(sent < 400, "everything was taken from a peer that reads nothing");
    assert!(after < before + 64 * 1024, "from {before} to {after} KiB");
    let friend = Instance::running("friend");
    let peer = add_peer(&issuer, &friend, ALL);
    let _ = friend.run(&["action", "perform", "echo", "--data", "1", "--peer", &peer]).ok();
}

#[test]
fn a7_random_requests_of_a_peer_break_nothing() {
    let issuer = plain_service("issuer", "");
    let before = stored(&issuer).split_off(1);
    let token = issue(&issuer, &["--performable", "none", "--subscribable", "none"]);
    let keys = Identity::generate();
    let mut random = Random::new(11);
    for _ in 0..4 {
        let frames: Vec<u8> = (0..5_000).flat_map(|id| format!("{}\n", mutant(&mut random, id)).into_bytes()).collect();
        let mut peer = RawPeer::log_in(issuer.port(), &keys, &token);
        let mut writer = peer.writer();
        let writing = thread::spawn(move || {
            std::io::Write::write_all(&mut writer, &frames).expect("it stays open");
            let _ = writer.shutdown(std::net::Shutdown::Write);
        });
        let answers = peer.rest();
        writing.join().expect("all was written");
        assert!(answers.len() > 3_000, "only {} answers", answers.len());
    }
    assert!(!issuer.log().contains("panicked"));
    assert!(!issuer.log().contains("ERROR"), "{}", issuer.log());
    until("the sessions to be gone", || (issuer.json(&["service", "status"])[0]["sessions"] == 0).then_some(()));
    assert_eq!(stored(&issuer).split_off(1), before);
    let friend = Instance::running("friend");
    let peer = add_peer(&issuer, &friend, ALL);
    let _ = friend.run(&["action", "perform", "echo", "--data", "1", "--peer", &peer]).ok();
}

/// A frame with something in it that should not be there, but JSON still.
fn mutant(random: &mut Random, id: u64) -> Value {
    const METHODS: &[&str] = &[
        "session.ping",
        "actions.list",
        "receivers.list",
        "actions.perform",
        "actions.cancel",
        "actions.publish",
        "actions.subscribe",
        "subscriptions.issue",
        "subscriptions.attach",
        "subscriptions.end",
        "subscriptions.revoke",
        "publications.deliver",
        "session.hello",
        "session.authenticate",
        "tokens.issue",
        "x",
    ];
    const FIELDS: &[&str] = &[
        "call",
        "action",
        "input",
        "publish",
        "timeout_ms",
        "receiver",
        "validation_token",
        "authentication_token",
        "subscriptions",
        "subscription",
        "to",
        "publications",
        "after",
        "proof",
        "issuer",
        "sequence",
        "token",
    ];
    let pick = |random: &mut Random, from: &[&str]| {
        from[usize::try_from(random.below(from.len() as u64)).expect("an index")].to_owned()
    };
    let mut params = serde_json::Map::new();
    for _ in 0..random.below(6) {
        let field = pick(random, FIELDS);
        let value = match random.below(14) {
            0 => Value::Null,
            1 => json!(true),
            2 => json!(-1),
            3 => json!(u64::MAX),
            4 => json!(1.5e300),
            5 => json!("\u{0}\u{1b}\u{202e}"),
            6 => json!("x".repeat(usize::try_from(random.below(2_000)).expect("a length"))),
            7 => json!([[[[[[]]]]]]),
            8 => json!([NOBODY]),
            9 => json!(NOBODY),
            10 => json!("echo"),
            11 => json!([{"subscription": NOBODY, "after": random.below(3)}]),
            12 => json!([{"id": NOBODY, "sequence": u64::MAX, "action": "echo", "payload": {}}]),
            _ => json!({"a": {"b": [1, null]}}),
        };
        params.insert(field, value);
    }
    let mut frame = json!({"jsonrpc": "2.0", "id": id, "method": pick(random, METHODS), "params": params});
    match random.below(12) {
        0 => frame["params"] = json!([params]),
        1 => drop(frame.as_object_mut().expect("an object").remove("params")),
        2 => drop(frame.as_object_mut().expect("an object").remove("id")),
        3 => frame["id"] = json!("\u{1b}"),
        4 => frame["params"] = json!(7),
        5 => frame = json!({"jsonrpc": "2.0", "id": id, "result": params}),
        _ => {}
    }
    frame
}
