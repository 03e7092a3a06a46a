//! P2: what a receiver does not take is kept with the reason, and can be looked at, tried again and dropped.

use std::fs;

use coattail_tests::{Cluster, Instance, plugin, until};
use serde_json::{Value, json};

#[test]
fn what_a_receiver_did_not_take_is_shown_with_its_reason_and_replayed_in_order() {
    let cluster = picky_cluster("[20ms]");
    for value in ["{\"n\":1}", "{\"n\":2}", "{\"n\":3}"] {
        cluster.publish("feed", value);
    }
    cluster.subscriber.wait_for("dead", 3);

    let list = list(&cluster.subscriber);
    assert_eq!(fields(&list, "sequence"), [1, 2, 3]);
    assert_eq!(fields(&list, "attempts"), [2, 2, 2]);
    let (first, id) = (&list[0], list[0]["id"].to_string());
    assert_eq!((&first["receiver"], &first["action"]), (&json!("picky"), &json!("feed")));
    assert!(first["reason"].as_str().expect("a reason").contains("exit 1"), "{first}");
    assert!(first["first_attempt"].as_str() < first["last_attempt"].as_str(), "{first}");
    assert_eq!((&first["payload"], &first["output"]), (&Value::Null, &Value::Null), "only when it is shown alone");
    let shown = cluster.subscriber.json(&["dead-letters", "show", &id]);
    assert_eq!((&shown["payload"], &shown["output"]), (&json!({"n": 1}), &json!(["no room on the shelf"])));
    let text = cluster.subscriber.run(&["dead-letters", "show", &id]).ok().stdout;
    assert!(text.contains("no room on the shelf") && text.contains("{\"n\":1}"), "{text}");
    assert_eq!(cluster.subscriber.json(&["dead-letters", "list", "--receiver", "other"]), json!([]));

    // Whoever has the number of one that was dropped names no other.
    let third = list[2]["id"].to_string();
    assert_eq!(cluster.subscriber.json(&["dead-letters", "drop", &third, "--yes"]), json!({"dropped": 1}));
    assert_eq!(cluster.subscriber.run(&["dead-letters", "show", &third]).code, Some(5));

    fs::write(cluster.subscriber.path("repaired"), "").expect("written");
    let replay = ["dead-letters", "replay", "--receiver", "picky"];
    let dry = cluster.subscriber.json(&[&replay[..], &["--dry-run"]].concat());
    assert_eq!((dry, cluster.subscriber.counts()["dead"].clone()), (json!({"replayed": 2}), json!(2)));
    assert_eq!(cluster.subscriber.json(&replay), json!({"replayed": 2}));
    cluster.subscriber.wait_for("handled", 2);
    assert_eq!(fields(&Value::Array(cluster.subscriber.received()), "sequence"), [1, 2]);
    assert_eq!(fields(&Value::Array(cluster.subscriber.received()), "attempt"), [1, 1], "as if never tried");
    assert_eq!(cluster.subscriber.counts()["dead"], 0);
}

#[test]
fn what_is_replayed_comes_before_what_waits_for_another_try() {
    let cluster = picky_cluster("[1h]");
    cluster
        .subscriber
        .plugin("receivers/picky.sh", &plugin_that("read -r value; test \"$value\" != 1 || exit 65; exit 1"));
    cluster.publish("feed", "1");
    cluster.subscriber.wait_for("dead", 1);
    cluster.publish("feed", "2");
    until("the second to wait for an hour", || cluster.subscriber.log().contains("is tried again").then_some(()));
    fs::write(cluster.subscriber.path("repaired"), "").expect("written");
    cluster.subscriber.json(&["dead-letters", "replay", "--all"]);
    cluster.subscriber.wait_for("handled", 1);
    assert_eq!(fields(&Value::Array(cluster.subscriber.received()), "sequence"), [1]);
}

#[test]
fn a_sidecar_says_when_its_receiver_is_called_again() {
    let cluster = picky_cluster("[1h]");
    let subscriber = &cluster.subscriber;
    for (name, sidecar) in [("often", "retry: [10ms, 20ms]"), ("once", "retry: []"), ("wrong", "retry: [soon]")] {
        subscriber.plugin(&format!("receivers/{name}.sh"), "#!/bin/sh\nexit 1\n");
        fs::write(subscriber.path(&format!("receivers/{name}.yml")), sidecar).expect("written");
    }
    for name in ["often", "once"] {
        cluster.subscribe("feed", name);
    }
    cluster.publish("feed", "1");
    subscriber.wait_for("dead", 2);
    let attempts = |name| fields(&subscriber.json(&["dead-letters", "list", "-r", name]), "attempts");
    assert_eq!((attempts("often"), attempts("once"), attempts("picky")), (vec![3], vec![1], vec![]));

    subscriber.plugin("actions/act.sh", plugin::ECHO_SH);
    fs::write(subscriber.path("actions/act.yml"), "retry: [5s]").expect("written");
    for (arguments, problem) in [
        (&["action", "list"][..], "only receivers are called again"),
        (&["action", "list", "-r"], "\"soon\" is no time"),
    ] {
        let list = subscriber.json(arguments);
        let problems = list.as_array().expect("a list").iter().filter_map(|entry| entry["problem"].as_str());
        assert!(problems.clone().any(|found| found.contains(problem)), "{list}");
    }
}

#[test]
fn without_a_service_they_are_replayed_for_the_next() {
    let mut cluster = picky_cluster("[]");
    for value in ["1", "2"] {
        cluster.publish("feed", value);
    }
    cluster.subscriber.wait_for("dead", 2);
    cluster.subscriber.stop();
    fs::write(cluster.subscriber.path("repaired"), "").expect("written");
    assert_eq!(cluster.subscriber.json(&["dead-letters", "replay", "--all"]), json!({"replayed": 2}));
    assert_eq!(list(&cluster.subscriber), json!([]));
    assert_eq!(cluster.subscriber.received(), [] as [Value; 0], "a command calls no receiver");
    cluster.subscriber.start();
    cluster.subscriber.wait_for("handled", 2);
}

#[test]
fn nothing_is_dropped_by_a_slip() {
    let cluster = picky_cluster("[]");
    cluster.publish("feed", "1");
    cluster.subscriber.wait_for("dead", 1);
    for (arguments, code) in [
        (&["drop"][..], 2),
        (&["drop", "--all"], 2),
        (&["drop", "1", "--all", "--yes"], 2),
        (&["drop", "77", "--yes"], 5),
        (&["drop", "x", "--yes"], 5),
        (&["replay", "77"], 5),
    ] {
        let output = cluster.subscriber.run(&[&["dead-letters"], arguments].concat());
        assert_eq!(output.code, Some(code), "{arguments:?}: {}", output.stderr);
    }
    assert_eq!(cluster.subscriber.json(&["dead-letters", "drop", "--all", "--dry-run"]), json!({"dropped": 1}));
    assert_eq!(list(&cluster.subscriber).as_array().map(Vec::len), Some(1));
}

#[test]
fn a_receiver_that_fails_for_long_is_shown_and_called_on() {
    let mut cluster = picky_cluster("[1h]");
    cluster.publish("feed", "1");
    until("the first try", || {
        let log = cluster.subscriber.log();
        log.contains("is tried again").then_some(())
    });
    assert_eq!(cluster.subscriber.json(&["service", "status"])[0]["stuck"], Value::Null, "not yet for long");
    cluster.subscriber.stop();
    let database = rusqlite::Connection::open(cluster.subscriber.path("data.db")).expect("a database");
    database.execute("UPDATE inbox SET stored = stored - 7200000", []).expect("it waits");
    drop(database);
    cluster.subscriber.start();

    let stuck = cluster.subscriber.json(&["service", "status"])[0]["stuck"][0].clone();
    assert_eq!((&stuck["receiver"], &stuck["attempts"]), (&json!("picky"), &json!(1)), "{stuck}");
    assert!(stuck["reason"].as_str().expect("a reason").contains("exit 1"), "{stuck}");
    let said = cluster.subscriber.run(&["service", "status"]).ok().stderr;
    assert!(said.contains("`picky` has left something waiting"), "{said}");
    let findings = cluster.subscriber.json(&["doctor"]);
    let found = findings.as_array().expect("a list").iter().find(|finding| finding["area"] == "receivers");
    let found = found.expect("the doctor has looked");
    assert_eq!((&found["level"], &found["subject"]), (&json!("warning"), &json!("receiver picky")), "{found}");
}

/// A publisher with a feed, and a subscriber whose receiver takes nothing until it is repaired.
fn picky_cluster(retry: &str) -> Cluster {
    let mut subscriber = Instance::new("subscriber");
    subscriber.configure(&format!("receivers:\n  retry: {retry}"));
    subscriber.start();
    let grants = ["--performable", "*", "--publishable", "*", "--subscribable", "*"];
    let cluster = Cluster::of(Instance::running("publisher"), subscriber, &grants);
    cluster.subscriber.plugin("receivers/picky.sh", &plugin_that("echo 'no room on the shelf' >&2; exit 1"));
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscribe("feed", "picky");
    cluster
}

/// A receiver that does this until the instance is repaired; then it keeps what it gets.
fn plugin_that(does: &str) -> String {
    let keep = plugin::RECORD_SH.trim_start_matches("#!/bin/sh\n");
    format!("#!/bin/sh\nif [ ! -e \"$COATTAIL_INSTANCE/repaired\" ]; then {does}; fi\n{keep}")
}

fn list(instance: &Instance) -> Value {
    instance.json(&["dead-letters", "list"])
}

fn fields(list: &Value, field: &str) -> Vec<u64> {
    list.as_array().expect("a list").iter().map(|item| item[field].as_u64().expect("a number")).collect()
}
