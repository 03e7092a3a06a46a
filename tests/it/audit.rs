//! Who was let in or refused is written down, and no secret with it.

use coattail_tests::{Cluster, Instance, plugin};
use serde_json::Value;

#[test]
fn the_audit_tells_who_did_what_and_no_secret() {
    let (publisher, subscriber) = (verbose("publisher"), verbose("subscriber"));
    publisher.plugin("actions/open.sh", plugin::ECHO_SH);
    publisher.plugin("actions/vault.sh", plugin::ECHO_SH);
    subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let mut cluster =
        Cluster::of(publisher, subscriber, &["--performable", "[\"open\"]", "--subscribable", "[\"open\"]"]);
    let perform = |action: &str| {
        let arguments =
            ["action", "perform", "--peer", &cluster.peer, "--action", action, "--data", "\"payload\"", "--json"];
        cluster.subscriber.run(&arguments)
    };
    for _ in 0..3 {
        let _ = perform("open").ok();
    }
    perform("vault").failed(4, "not-permitted");
    perform("made-up-name").failed(4, "not-permitted");
    let subscription = cluster.subscribe("open", "keep");
    let _ = cluster.publisher.run(&["subscribers", "revoke", &subscription, "--yes"]).ok();
    let secrets: Vec<String> = {
        let publisher = cluster.publisher.json(&["token", "list"]);
        let token = publisher[0]["id"].as_str().expect("an id");
        let raw = cluster.publisher.json(&["token", "show", token, "--print-raw-token"])["raw"].clone();
        // The last part is what makes it a token; the others are claims.
        let raw = raw.as_str().expect("a token").to_owned();
        let signature = raw.rsplit('.').next().expect("three parts").to_owned();
        vec![raw, signature, "payload".to_owned()]
    };
    let token = cluster.publisher.json(&["token", "list"])[0]["id"].clone();

    let told = cluster.publisher.json(&["audit", "--since", "1h"]);
    let find = |outcome: &str, what: &str| -> Vec<Value> {
        let entries = told.as_array().expect("a list").iter();
        entries.filter(|entry| entry["outcome"] == outcome && entry["what"] == what).cloned().collect()
    };
    let issued = find("allowed", "tokens.issue");
    assert!(issued.iter().any(|entry| entry["token"] == token && entry["address"] == Value::Null), "{told:#}");
    let holder = cluster.subscriber.json(&["token", "issuer"])["issuer"].clone();
    let logins = find("allowed", "session.authenticate");
    assert!(!logins.is_empty(), "{told:#}");
    for login in &logins {
        assert_eq!((&login["token"], &login["address"]), (&token, &Value::from("127.0.0.1")), "{told:#}");
    }
    let performed = find("allowed", "actions.perform");
    let times: u64 = performed.iter().map(|entry| entry["count"].as_u64().expect("a count")).sum();
    assert_eq!((times, &performed[0]["subject"]), (3, &Value::from("open")), "{told:#}");
    let refused = find("refused", "actions.perform");
    assert!(refused.iter().all(|entry| entry["reason"] == "not-permitted" && entry["token"] == token), "{told:#}");
    assert!(refused.iter().any(|entry| entry["subject"] == "vault"), "{told:#}");
    assert!(!told.to_string().contains("made-up-name"), "what a stranger invents is not written down: {told:#}");
    assert_eq!(find("allowed", "actions.subscribe").len(), 1, "{told:#}");
    assert_eq!(find("allowed", "subscribers.revoke")[0]["subject"], subscription.as_str(), "{told:#}");
    assert_eq!(find("allowed", "tokens.show")[0]["token"], token, "to see a secret is worth an entry: {told:#}");
    if holder != Value::Null {
        assert!(logins.iter().all(|login| login["peer"] == holder), "{told:#}");
    }
    let added = cluster.subscriber.json(&["audit"]);
    assert!(added.to_string().contains("peers.add"), "{added:#}");

    // It is kept through a restart.
    let before = cluster.publisher.json(&["audit"]);
    let log = cluster.publisher.log() + &cluster.subscriber.log();
    cluster.publisher.stop();
    let after = cluster.publisher.json(&["audit"]);
    let after = after.as_array().expect("a list");
    assert!(before.as_array().expect("a list").iter().all(|entry| after.contains(entry)), "{before:#} {after:#?}");
    let people = cluster.publisher.run(&["audit", "--limit", "2"]).ok();
    assert!(people.stdout.starts_with("TIME") && people.stdout.lines().count() == 3, "{people:#?}");
    for secret in &secrets {
        for text in [&told.to_string(), &added.to_string(), &log, &people.stdout] {
            assert!(!text.contains(secret), "a secret is told: {text}");
        }
    }
}

/// An instance whose service logs all that it can.
fn verbose(name: &str) -> Instance {
    let mut instance = Instance::new(name).env("COATTAIL_LOG", "trace");
    instance.start();
    instance
}
