//! Faults of the original that no other file tries on the real daemon, by their numbers.

use std::thread;

use coattail::wire::ErrorCode;
use coattail_daemon::keys::Identity;
use coattail_daemon::tokens::{Validity, validation};
use coattail_tests::cluster::add_peer;
use coattail_tests::{Cluster, Instance, plugin, until};
use serde_json::{Value, json};

use super::fake_host::{FakeHost, Guest};
use crate::raw_peer::{RawPeer, issue, plain_service, token_id};

const ALL: &[&str] = &["--performable", "*", "--publishable", "*", "--subscribable", "*"];

/// An id that nothing has.
const NOBODY: &str = "00000000-0000-7000-8000-000000000000";

#[test]
fn s2_a_host_gets_no_token_that_nobody_has_asked_it_to_want() {
    let (host, victim) = (FakeHost::new(), plain_service("victim", ""));
    for name in ["keep", "other"] {
        victim.plugin(&format!("receivers/{name}.sh"), plugin::KEEP_SH);
    }
    let (peer, mut guest) = befriend(&host, &victim);
    let wanting = |action: &str, receiver: &str, token: &str| {
        let now = Validity::endless(jiff::Timestamp::now());
        json!({"action": action, "receiver": receiver, "authentication_token": token,
            "validation_token": validation::issue(&host.keys, now).expect("small enough")})
    };
    let token = host.token.to_string();
    // While its user only lists actions.
    let listing = victim.begin(&["action", "list", "--peer", &peer, "--json"]);
    let list = guest.line().expect("a request");
    assert_eq!(list["method"], "actions.list");
    refuses(&mut guest, "subscriptions.issue", &wanting("report", "keep", &token));
    guest.answer(&list, &json!([]));
    let _ = listing.finish().ok();
    // While it subscribes: for this action, this receiver, this token and one time only.
    let arguments = ["action", "subscribe", "-p", &peer, "-a", "report", "-r", "keep", "--json"];
    let subscribing = victim.begin(&arguments);
    let subscribe = guest.line().expect("a request");
    assert_eq!(subscribe["method"], "actions.subscribe");
    for (action, receiver) in [("other", "keep"), ("report", "other"), ("Report", "keep"), ("*", "keep")] {
        refuses(&mut guest, "subscriptions.issue", &wanting(action, receiver, &token));
    }
    let issued = guest.ask("subscriptions.issue", &wanting("report", "keep", &token)).expect("an answer");
    assert!(issued["result"]["token"].is_string(), "what was asked for is issued: {issued}");
    refuses(&mut guest, "subscriptions.issue", &wanting("report", "keep", &token));
    guest.answer(
        &subscribe,
        &json!({"subscription": token_id(issued["result"]["token"].as_str().expect("a token")), "cursor": 0}),
    );
    let _ = subscribing.finish().ok();
    // Another token than the one it was asked with.
    let _ = victim.json(&["action", "unsubscribe", "-p", &peer, "-a", "report", "-r", "keep"]);
    let subscribing = victim.begin(&arguments);
    let subscribe = until_method(&mut guest, "actions.subscribe");
    refuses(&mut guest, "subscriptions.issue", &wanting("report", "keep", NOBODY));
    guest.answer(&subscribe, &json!({"subscription": NOBODY, "cursor": 0}));
    let _ = subscribing.finish();
    assert_eq!(victim.json(&["token", "list"]), json!([]));
}

#[test]
fn s3_a_subscription_is_what_was_agreed_on_or_nothing() {
    let publisher = plain_service("publisher", "");
    let token = issue(&publisher, &["--subscribable", "echo"]);
    let attacker = FakeHost::new();
    let mut peer = RawPeer::log_in(publisher.port(), &attacker.keys, &token);
    // Its answer alone, without the question.
    let planted = json!({"jsonrpc": "2.0", "id": 1_000, "result": {"token": attacker.token()}});
    peer.send(format!("{planted}\n").as_bytes()).expect("it is open");
    // The question, answered with what is no subscription token, and with one of somebody else.
    let stranger = FakeHost::new();
    for answer in
        [json!({"token": attacker.token()}), json!({"token": stranger.token()}), json!({"token": "x"}), json!(null)]
    {
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": "actions.subscribe",
            "params": {"action": "echo", "receiver": "keep"}});
        peer.send(format!("{request}\n").as_bytes()).expect("it is open");
        let asked = peer.line().expect("a question");
        assert_eq!(asked["method"], "subscriptions.issue", "{asked}");
        let said = json!({"jsonrpc": "2.0", "id": asked["id"], "result": answer});
        peer.send(format!("{said}\n").as_bytes()).expect("it is open");
        let refused = peer.line().expect("an answer");
        assert!(refused["id"] == 7 && refused["error"]["code"].is_i64(), "{answer}: {refused}");
    }
    assert_eq!(publisher.json(&["subscribers", "list"]), json!([]));
}

#[test]
fn s4_whoever_is_dialled_is_served_nothing_before_it_has_proven_its_key() {
    let (host, victim) = (FakeHost::new(), plain_service("victim", ""));
    victim.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let methods = [
        "session.hello",
        "session.ping",
        "actions.perform",
        "actions.publish",
        "actions.subscribe",
        "actions.list",
        "receivers.list",
        "subscriptions.issue",
        "subscriptions.attach",
        "publications.deliver",
        "service.status",
    ];
    let params = json!({"call": NOBODY, "action": "echo", "input": 1, "receiver": "keep", "to": [], "publications": [],
        "subscriptions": [], "validation_token": "x", "authentication_token": host.token});
    let token = host.token();
    let adding = victim.begin(&["peer", "add", &token, "--json"]);
    let mut guest = host.accept();
    let hello = guest.line().expect("a hello");
    for method in methods {
        let answer = guest.ask(method, &params).expect("an answer");
        assert_eq!(answer["error"]["code"], ErrorCode::UnknownMethod.number(), "{method}: {answer}");
    }
    guest.answer(&hello, &host.welcome(&hello));
    let login = guest.line().expect("a login");
    // It holds no token here, so it may still do nothing, and nothing of it has been done.
    for (method, expected) in
        [("actions.perform", ErrorCode::NotPermitted), ("actions.publish", ErrorCode::NotPermitted)]
    {
        let answer = guest.ask(method, &params).expect("an answer");
        assert_eq!(answer["error"]["code"], expected.number(), "{method}: {answer}");
    }
    assert_eq!(login["method"], "session.authenticate");
    drop(guest);
    let _ = adding.finish().failed(1, "lost");
    assert_eq!(victim.json(&["peer", "list"]), json!([]));
}

#[test]
fn s5_the_subscription_that_ends_is_the_one_of_that_peer() {
    let (first, second) = (plain_service("first", ""), plain_service("second", ""));
    let subscriber = plain_service("subscriber", "");
    subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let peers = [&first, &second].map(|publisher| add_peer(publisher, &subscriber, ALL));
    for peer in &peers {
        let _ = subscriber.run(&["action", "subscribe", "-p", peer, "-a", "echo", "-r", "keep"]).ok();
    }
    let _ = subscriber.run(&["action", "unsubscribe", "-p", &peers[1], "-a", "echo", "-r", "keep"]).ok();
    for (publisher, value) in [(&second, "2"), (&first, "1")] {
        let _ = publisher.run(&["action", "publish", "--action", "echo", "--data", value]).ok();
    }
    subscriber.wait_for("handled", 1);
    assert_eq!(subscriber.received(), [json!(1)]);
    assert_eq!(second.json(&["subscribers", "list"]), json!([]));
    assert_eq!(first.json(&["subscribers", "list"]).as_array().map(Vec::len), Some(1));
}

#[test]
fn s10_a_shared_secret_is_nobodys_identity() {
    let instance = plain_service("instance", "");
    let part = |value: Value| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string())
    };
    let claims = json!({"keyType": "string", "publicKey": "hunter2", "iat": 1, "iss": Identity::generate().issuer()});
    let token = format!("{}.{}.", part(json!({"alg": "none"})), part(claims));
    let output = instance.run_with(&["validation", "add", "-", "--json"], &token);
    let error = output.failed(4, "token-refused");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    assert_eq!(instance.json(&["validation", "list"]), json!([]));
}

#[test]
fn s11_a_peer_whose_key_is_not_the_one_of_its_token_never_sees_the_token() {
    let (pretended, impostor, victim) = (FakeHost::new(), FakeHost::new(), plain_service("victim", ""));
    let token = pretended.token();
    let adding = victim.begin(&["peer", "add", &token, "--json"]);
    let mut guest = pretended.accept();
    let hello = guest.line().expect("a hello");
    guest.answer(&hello, &impostor.welcome(&hello));
    assert_eq!(guest.line(), None, "it said something to somebody else than its peer");
    let _ = adding.finish().failed(6, "wrong-peer");
    // With the right key, and a proof by another.
    let adding = victim.begin(&["peer", "add", &token, "--json"]);
    let mut guest = pretended.accept();
    let hello = guest.line().expect("a hello");
    let mut welcome = pretended.welcome(&hello);
    welcome["proof"] = impostor.welcome(&hello)["proof"].clone();
    guest.answer(&hello, &welcome);
    assert_eq!(guest.line(), None);
    let _ = adding.finish().failed(6, "wrong-peer");
    assert_eq!(victim.json(&["peer", "list"]), json!([]));
    let _ = befriend(&pretended, &victim);
}

#[test]
fn s12_a_peer_learns_names_and_messages_and_no_paths() {
    let host = plain_service("host", "");
    host.plugin("actions/fails.sh", "#!/bin/sh\necho went wrong >&2\nexit 3\n");
    host.plugin("actions/broken.sh", "#!/no/such/interpreter\n");
    host.plugin(
        "actions/throws.js",
        "module.exports = (C) => class extends C.Action { perform() { throw new Error('no'); } };\n",
    );
    let token = issue(&host, ALL);
    let mut peer = RawPeer::log_in(host.port(), &Identity::generate(), &token);
    let folder = host.folder().display().to_string();
    let mut seen = Vec::new();
    for (method, params) in [
        ("actions.list", json!({})),
        ("receivers.list", json!({})),
        ("actions.perform", perform("fails")),
        ("actions.perform", perform("broken")),
        ("actions.perform", perform("throws")),
        ("actions.perform", perform("missing")),
    ] {
        let request = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
        peer.send(format!("{request}\n").as_bytes()).expect("it is open");
        let answer = peer.line().expect("an answer");
        assert!(!answer.to_string().contains(&folder), "{method}: {answer}");
        assert!(!answer.to_string().contains("    at "), "a stack: {answer}");
        seen.push(answer);
    }
    let failed = seen.iter().filter(|answer| answer["error"]["message"].is_string()).count();
    assert_eq!(failed, 4, "{seen:#?}");
}

#[test]
fn s13_a_name_of_a_peer_is_no_path() {
    let host = plain_service("host", "");
    host.plugin("secret.sh", "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/ran\"\n");
    let token = issue(&host, ALL);
    let mut peer = RawPeer::log_in(host.port(), &Identity::generate(), &token);
    for name in [
        "../secret",
        "../secret.sh",
        "/bin/sh",
        "actions/../../secret",
        "..",
        ".",
        "",
        "a/b",
        "a\\b",
        "\u{0}",
        "a\u{202e}b",
    ] {
        for (method, params) in [
            ("actions.perform", perform(name)),
            ("actions.publish", json!({"action": name, "input": 1})),
            ("actions.subscribe", json!({"action": name, "receiver": "keep"})),
            ("actions.subscribe", json!({"action": "echo", "receiver": name})),
        ] {
            assert_eq!(peer.call(method, &params), Err(ErrorCode::InvalidInput), "{method}: {name:?}");
        }
    }
    assert!(!host.path("ran").exists());
    assert_eq!(host.counts()["published"], 0);
}

#[test]
fn r1_the_packet_that_killed_the_original_ends_one_connection() {
    let host = plain_service("host", "");
    let token = issue(&host, ALL);
    let packet = b"{\"chain\":{},\"opCode\":\"auth\",\"parameters\":{\"chain\":null}}\n";
    for peer in [RawPeer::connect(host.port()), RawPeer::log_in(host.port(), &Identity::generate(), &token)] {
        let mut peer = peer;
        peer.send(packet).expect("it is open");
        assert_eq!(peer.rest().len(), 1, "it is told why, and that is all");
    }
    let mut peer = RawPeer::log_in(host.port(), &Identity::generate(), &token);
    peer.call("actions.perform", &perform("echo")).expect("it goes on");
}

#[test]
fn r4_a_subscription_that_does_not_decode_holds_up_no_other() {
    let mut cluster = Cluster::of(plain_service("publisher", ""), plain_service("subscriber", ""), ALL);
    for receiver in ["keep", "other"] {
        cluster.subscriber.plugin(&format!("receivers/{receiver}.sh"), plugin::KEEP_SH);
    }
    let bystander = plain_service("bystander", "");
    bystander.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let peer = add_peer(&cluster.publisher, &bystander, ALL);
    let _ = bystander.run(&["action", "subscribe", "-p", &peer, "-a", "echo", "-r", "keep"]).ok();
    let broken = cluster.subscribe("echo", "keep");
    cluster.publisher.stop();
    let script = "import sqlite3, sys, glob\n\
        c = sqlite3.connect(sys.argv[1])\n\
        assert c.execute(\"UPDATE subscriptions SET jwt = 'no token' WHERE id = ?\", (sys.argv[2],)).rowcount == 1\n\
        c.commit()\n";
    #[expect(clippy::disallowed_methods, reason = "another program than the one under test")]
    let status = std::process::Command::new("python3")
        .args(["-c", script, &cluster.publisher.path("data.db").display().to_string(), &broken])
        .status();
    assert!(status.expect("python3 is there").success());
    // Nobody who could fetch it from the publisher, so that it has to dial.
    cluster.subscriber.stop();
    cluster.publisher.start();
    cluster.publish("echo", "1");
    bystander.wait_for("handled", 1);
    let listed = cluster.publisher.json(&["subscribers", "list"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    let _ = cluster.publisher.run(&["subscribers", "revoke", &broken, "--yes"]).ok();
    assert!(!cluster.publisher.log().contains("panicked"));
}

#[test]
fn r5_a_subscriber_that_is_down_costs_no_result() {
    let mut cluster = Cluster::of(plain_service("publisher", ""), plain_service("subscriber", ""), ALL);
    cluster.subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    cluster.subscribe("echo", "keep");
    cluster.subscriber.stop();
    let performed = cluster.publisher.json(&["action", "perform", "echo", "--data", "5", "--notify"]);
    assert_eq!(performed["result"], 5, "{performed}");
    cluster.subscriber.start();
    cluster.subscriber.wait_for("handled", 1);
    assert_eq!(cluster.subscriber.received(), [json!(5)]);
}

#[test]
fn r6_every_command_says_that_the_token_was_refused() {
    let cluster = Cluster::of(plain_service("publisher", ""), plain_service("subscriber", ""), ALL);
    let Cluster { publisher, subscriber, peer } = &cluster;
    subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let token = publisher.json(&["token", "list"])[0]["id"].as_str().expect("an id").to_owned();
    let _ = publisher.run(&["token", "revoke", &token, "--yes"]).ok();
    for arguments in [
        &["action", "perform", "echo", "--data", "1"][..],
        &["action", "perform", "echo", "--data", "1", "--notify"],
        &["action", "publish", "echo", "--data", "1"],
        &["action", "list"],
        &["action", "subscribe", "-a", "echo", "-r", "keep"],
    ] {
        subscriber.run(&[arguments, &["--peer", peer, "--json"]].concat()).failed(4, "token-revoked");
    }
}

#[test]
fn r8_a_validation_token_that_has_expired_concerns_only_its_own_bearer() {
    let issuer = plain_service("issuer", "");
    let (expired, valid) = (Identity::generate(), Identity::generate());
    let now = jiff::Timestamp::now().as_second();
    let at = |second: i64| jiff::Timestamp::from_second(second).expect("a time");
    let add = |keys: &Identity, expires: Option<i64>| {
        let validity = Validity { issued: at(now - 7_200), not_before: at(now - 7_200), expires: expires.map(at) };
        let token = validation::issue(keys, validity).expect("small enough");
        instance_id(&issuer.run_with(&["validation", "add", "-", "--json"], &token).ok().json())
    };
    // Clocks may differ by a minute, so this one ends in three seconds.
    let first = add(&expired, Some(now - 57));
    let second = add(&valid, None);
    let bearers = json!([format!("vt://{first}"), format!("vt://{second}")]).to_string();
    let token = issue(&issuer, &["--bearers", &bearers, "--performable", "*"]);
    let login = |keys: &Identity| {
        let mut peer = RawPeer::connect(issuer.port());
        let proof = peer.greet(keys, crate::raw_peer::rand_nonce()).proof(keys, &token_id(&token));
        peer.call("session.authenticate", &json!({"token": token, "proof": proof})).map(drop)
    };
    until("the validation token to expire", || (login(&expired) == Err(ErrorCode::TokenRefused)).then_some(()));
    assert_eq!(login(&valid), Ok(()), "the other bearer is as good as before");
    assert_eq!(issuer.json(&["validation", "list"]).as_array().map(Vec::len), Some(2));
    let _ = issuer.run(&["validation", "show", &first]).ok();
    let _ = issuer.run(&["validation", "remove", &first, "--yes"]).ok();
    assert_eq!(login(&valid), Ok(()));
}

fn instance_id(added: &Value) -> String {
    added["id"].as_str().unwrap_or_else(|| panic!("no id: {added}")).to_owned()
}

fn perform(action: &str) -> Value {
    json!({"call": coattail::id::CallId::new(), "action": action, "input": 1})
}

/// The victim adds the host as a peer, and is connected to it.
fn befriend(host: &FakeHost, victim: &Instance) -> (String, Guest) {
    let token = host.token();
    thread::scope(|scope| {
        let adding = scope.spawn(|| victim.run_with(&["peer", "add", "-", "--json"], &token).ok().json());
        let guest = host.let_in();
        (instance_id(&adding.join().expect("added")), guest)
    })
}

#[track_caller]
fn refuses(guest: &mut Guest, method: &str, params: &Value) {
    let answer = guest.ask(method, params).expect("an answer");
    let code = answer["error"]["code"].as_i64().unwrap_or_else(|| panic!("{method} was done: {answer}"));
    let known = [ErrorCode::NotPermitted, ErrorCode::InvalidInput].map(|code| i64::from(code.number()));
    assert!(known.contains(&code), "{method}: {answer}");
}

/// The next request of this kind; all others are answered as if there was nothing.
fn until_method(guest: &mut Guest, method: &str) -> Value {
    loop {
        let request = guest.line().expect("a request");
        if request["method"] == method {
            return request;
        }
        if request["method"].is_string() {
            guest.answer(&request, &json!({"unknown": []}));
        }
    }
}
