//! Tokens that are none, or not for whoever presents them.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coattail_tests::{Cluster, Instance, plugin, until};
use serde_json::{Value, json};

use crate::raw_peer::PATIENT;

/// Everything may be performed.
const ALL: &[&str] = &["--performable", "*"];

/// Logs everything, so that a token in a log would be found.
const TRACE: (&str, &str) = ("COATTAIL_LOG", "trace");

fn traced(name: &str) -> Instance {
    let mut instance = Instance::new(name).env(TRACE.0, TRACE.1);
    instance.configure(PATIENT);
    instance.start();
    instance
}

#[track_caller]
fn issue(instance: &Instance, options: &[&str]) -> String {
    let output = instance.run(&[&["token", "issue", "-q", "-r"], options].concat()).ok();
    output.stdout.trim().to_owned()
}

/// The id of a token.
fn id(token: &str) -> String {
    claims(token)["jti"].as_str().expect("an id").to_owned()
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

fn claims(token: &str) -> Value {
    decode(token.split('.').nth(1).expect("three parts"))
}

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

/// A token with another header or other claims, and the signature of before.
fn forged(token: &str, header: Value, change: impl FnOnce(&mut Value)) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    let (mut head, mut body) = (decode(parts[0]), claims(token));
    head.as_object_mut().expect("an object").extend(header.as_object().expect("an object").clone());
    change(&mut body);
    format!("{}.{}.{}", encode(&head), encode(&body), parts[2])
}

/// No part of a token stands in what people and log files get to see.
#[track_caller]
fn is_secret(token: &str, seen: &str) {
    for part in token.split('.').filter(|part| part.len() > 40) {
        assert!(!seen.contains(part), "a token was shown:\n{seen}");
    }
}

#[test]
fn what_is_no_token_is_refused_before_anybody_is_dialled() {
    let holder = traced("holder");
    let (large, many) = ("x".repeat(100_000), ".".repeat(5_000));
    let not_json = format!("{0}.{0}.{0}", URL_SAFE_NO_PAD.encode("no JSON"));
    let bare = format!("{}.{}.c2ln", encode(&json!({"alg": "EdDSA"})), encode(&json!({})));
    let deep = format!("{}.{}.c2ln", encode(&json!({"alg": "EdDSA"})), URL_SAFE_NO_PAD.encode("[".repeat(10_000)));
    for (token, code, kind) in [
        ("", 2, "usage"),
        (" \n\t", 2, "usage"),
        ("abc", 4, "token-refused"),
        ("a.b.c", 4, "token-refused"),
        ("....", 4, "token-refused"),
        ("\u{1b}[31m.\u{0}.x", 4, "token-refused"),
        ("eyJ.eyJ.eyJ", 4, "token-refused"),
        (&large, 4, "token-refused"),
        (&many, 4, "token-refused"),
        (&not_json, 4, "token-refused"),
        (&bare, 4, "token-refused"),
        (&deep, 4, "token-refused"),
    ] {
        let output = holder.run_with(&["peer", "add", "-", "--json"], token);
        let seen = format!("{}{}", output.stdout, output.stderr);
        let error = output.failed(code, kind);
        let message = error["message"].as_str().expect("checked");
        assert!(message.len() < 200 && !message.contains(char::is_control), "{message:?}");
        is_secret(token, &seen);
    }
    assert_eq!(holder.json(&["peer", "list"]), json!([]));
}

#[test]
fn a_token_that_is_not_good_opens_nothing_and_the_good_one_does() {
    let (issuer, holder) = (traced("issuer"), traced("holder"));
    issuer.plugin("actions/echo.sh", plugin::ECHO_SH);
    let good = issue(&issuer, ALL);
    let revoked = issue(&issuer, ALL);
    let _ = issuer.run(&["token", "revoke", &id(&revoked), "--yes"]).ok();
    let weak = issue(&issuer, &["--performable", "other"]);
    let parts: Vec<&str> = good.split('.').collect();
    let unchanged = |_: &mut Value| {};
    let none = |signature: &str| {
        let token = forged(&good, json!({"alg": "none"}), unchanged);
        format!("{}.{signature}", token.rsplit_once('.').expect("three parts").0)
    };
    let cut = good[..good.len() - 4].to_owned();
    let refused = [
        ("expired", issue(&issuer, &["--performable", "*", "--expires-in", "-2m"])),
        ("not yet valid", issue(&issuer, &["--performable", "*", "--not-before", "1h"])),
        ("for another address", issue(&issuer, &["--bearers", "ipv4://10.1.2.0/24"])),
        ("for another instance", issue(&issuer, &["--bearers", "vt://00000000-0000-7000-8000-000000000000"])),
        ("unsigned", none("")),
        ("unsigned, with a signature", none(parts[2])),
        ("another algorithm", forged(&good, json!({"alg": "HS256"}), unchanged)),
        ("an algorithm in capitals", forged(&good, json!({"alg": "NONE"}), unchanged)),
        ("another key id", forged(&good, json!({"kid": "../../../etc/passwd"}), unchanged)),
        ("more rights", forged(&weak, json!({}), |body| body["performable"] = json!(["*"]))),
        ("a longer life", forged(&good, json!({}), |body| body["exp"] = json!(4_000_000_000_u64))),
        ("another id", forged(&good, json!({}), |body| body["jti"] = json!(id(&weak)))),
        ("the signature of another", format!("{}.{}.{}", parts[0], parts[1], weak.rsplit('.').next().expect("three"))),
        ("cut short", cut),
    ];
    for (name, token) in &refused {
        let output = holder.run_with(&["peer", "add", "-", "--json"], token);
        assert_eq!(
            (output.code, output.error()["code"].as_str()),
            (Some(4), Some("token-refused")),
            "{name}: {output:#?}"
        );
        is_secret(token, &output.stderr);
        let _ = output.failed(4, "token-refused");
    }
    let output = holder.run_with(&["peer", "add", "-", "--json"], &revoked);
    is_secret(&revoked, &output.stderr);
    let _ = output.failed(4, "token-revoked");
    assert_eq!(holder.json(&["peer", "list"]), json!([]));

    // The good one opens the door still, and once.
    let added = holder.run_with(&["peer", "add", "-", "--json"], &good).ok().json();
    let peer = added["id"].as_str().expect("an id");
    let _ = holder.run(&["action", "perform", "echo", "--peer", peer, "--data", "1"]).ok();
    let _ = holder.run_with(&["peer", "add", "-", "--json"], &good).failed(1, "already-exists");
    let _ = issuer.run_with(&["peer", "add", "-", "--json"], &weak).failed(2, "invalid-input");
    assert!(issuer.log().contains("refused a login"), "the log does not hold what it could show a token in");
    for token in refused.iter().map(|(_, token)| token).chain([&good, &revoked, &weak]) {
        is_secret(token, &issuer.log());
        is_secret(token, &holder.log());
    }
}

#[test]
fn a_token_of_another_instance_is_not_believed_wherever_it_points() {
    let (victim, other, holder) = (traced("victim"), traced("other"), traced("holder"));
    // The other's token, changed so that it leads to the victim: who answers there has not issued it.
    let led_astray = forged(&issue(&other, ALL), json!({}), |body| {
        body["port"] = json!(victim.port());
        body["addresses"] = json!([format!("net:127.0.0.1:{}~tls", victim.port())]);
        body.as_object_mut().expect("an object").remove("cert");
    });
    let _ = holder.run_with(&["peer", "add", "-", "--json"], &led_astray).failed(6, "wrong-peer");
    // The other's token, changed so that the victim seems to have issued it: the victim knows better.
    let pretended = forged(&issue(&other, ALL), json!({}), |body| {
        let of_victim = claims(&issue(&victim, ALL));
        for claim in ["iss", "aud", "port", "addresses", "cert"] {
            body[claim] = of_victim[claim].clone();
        }
    });
    let _ = holder.run_with(&["peer", "add", "-", "--json"], &pretended).failed(4, "token-refused");
    assert_eq!(holder.json(&["peer", "list"]), json!([]));
    // Neither was told to whoever should not have it.
    for log in [victim.log(), other.log(), holder.log()] {
        is_secret(&led_astray, &log);
        is_secret(&pretended, &log);
    }
}

#[test]
fn a_token_that_is_revoked_ends_what_lives_on_it_and_nothing_else() {
    let cluster = Cluster::of(traced("publisher"), traced("subscriber"), ALL);
    let Cluster { publisher, subscriber, peer } = &cluster;
    let bystander = Instance::running("bystander");
    let other = coattail_tests::cluster::add_peer(publisher, &bystander, ALL);
    publisher.plugin("actions/echo.sh", plugin::ECHO_SH);
    subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    bystander.plugin("receivers/keep.sh", plugin::KEEP_SH);
    cluster.subscribe("echo", "keep");
    let _ = bystander.run(&["action", "subscribe", "-p", &other, "-a", "echo", "-r", "keep"]).ok();
    cluster.publish("echo", "1");
    subscriber.wait_for("handled", 1);

    let token = subscriber.json(&["peer", "show", peer])["token"].as_str().expect("an id").to_owned();
    let raw = subscriber.run(&["peer", "show", peer, "--print-raw-token"]).ok().stdout.trim().to_owned();
    let _ = publisher.run(&["token", "revoke", &token, "--yes"]).ok();
    let perform = ["action", "perform", "echo", "--data", "1", "--json", "--peer"];
    let output = subscriber.run(&[&perform[..], &[peer]].concat());
    is_secret(&raw, &output.stderr);
    let _ = output.failed(4, "token-revoked");
    until("the bystander to be the only subscriber", || {
        (publisher.json(&["subscribers", "list"]).as_array()?.len() == 1).then_some(())
    });
    cluster.publish("echo", "2");
    bystander.wait_for("handled", 2);
    let _ = bystander.run(&[&perform[..], &[&other]].concat()).ok();
    assert_eq!(subscriber.counts()["handled"], 1);
    is_secret(&raw, &publisher.log());
    is_secret(&raw, &subscriber.log());
}
