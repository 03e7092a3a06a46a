//! What an instance has published can be looked at, followed as it comes, and verified.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use coattail_tests::{Cluster, Control, Instance, plugin, until};
use serde_json::{Value, json};

use super::bad_storage::python;

#[test]
fn what_was_published_is_listed_and_shown() {
    let instance = publishing();
    let control = Control::connect(&instance);
    for n in 1..=3 {
        control.publish("feed", &json!({ "n": n })).expect("accepted");
    }
    control.publish("other", &json!("last")).expect("accepted");

    let all = instance.json(&["publications", "list"]);
    let places = |listed: &Value| -> Vec<(Value, Value)> {
        let rows = listed.as_array().expect("a list").iter();
        rows.map(|row| (row["action"].clone(), row["sequence"].clone())).collect()
    };
    let wanted = [("feed", 1), ("feed", 2), ("feed", 3), ("other", 1)];
    assert_eq!(places(&all), wanted.map(|(action, n)| (json!(action), json!(n))));
    assert_eq!(places(&instance.json(&["publications", "list", "feed", "--limit", "1"])), [(json!("feed"), json!(3))]);
    assert_eq!(places(&instance.json(&["publications", "list", "--since", "1h"])).len(), 4);
    let issuer = instance.run(&["token", "issuer"]).ok().stdout;
    assert_eq!(all[1]["signed_by"], issuer.trim());
    assert_eq!(all[1]["payload"], Value::Null, "a list has no payloads");

    let id = all[1]["id"].as_str().expect("an id");
    for named in [vec!["feed", "2"], vec![id], vec!["feed", id]] {
        let shown = instance.json(&[&["publications", "show"], named.as_slice()].concat());
        assert_eq!((&shown["id"], &shown["payload"], &shown["bytes"]), (&json!(id), &json!({"n": 2}), &json!(7)));
    }
    for named in [vec!["feed", "0"], vec!["feed", "4"], vec!["other", id]] {
        let show = [&["publications", "show", "--json"], named.as_slice()].concat();
        instance.run(&show).failed(5, "not-found");
    }
    instance.run(&["publications", "show", "feed", "--json"]).failed(2, "usage");
}

#[test]
fn a_log_is_followed_as_it_grows() {
    let instance = publishing();
    let control = Control::connect(&instance);
    for n in 1..=4 {
        control.publish("feed", &json!(n)).expect("accepted");
    }
    let tail = instance.run(&["publications", "tail", "feed", "--lines", "2", "--json"]).ok().stdout;
    assert_eq!(tail.lines().map(payload_of).collect::<Vec<_>>(), [3, 4]);

    let folder = instance.folder().display().to_string();
    let mut following = instance
        .command(&["publications", "tail", "feed", "-f", "--lines", "1", "--json", "--instance", &folder])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let mut lines = BufReader::new(following.stdout.take().expect("piped")).lines();
    let mut next = || payload_of(&lines.next().expect("a line").expect("text"));
    assert_eq!(next(), 4);
    for n in 5..=6 {
        control.publish("other", &json!("not for it")).expect("accepted");
        control.publish("feed", &json!(n)).expect("accepted");
        assert_eq!(next(), n);
    }
    following.kill().expect("it runs");
    following.wait().expect("it ends");
}

#[test]
fn whoever_follows_a_log_does_not_hold_up_the_end_of_the_service() {
    let mut instance = publishing();
    let folder = instance.folder().display().to_string();
    Control::connect(&instance).publish("feed", &json!(1)).expect("accepted");
    let mut following = instance
        .command(&["publications", "tail", "feed", "-f", "--instance", &folder])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program can be started");
    let mut lines = BufReader::new(following.stdout.take().expect("piped")).lines();
    lines.next().expect("a line").expect("text");
    instance.stop();
    following.wait().expect("it ends");
}

#[test]
fn what_was_changed_in_a_log_is_named() {
    let mut instance = publishing();
    let control = Control::connect(&instance);
    for n in 1..=9 {
        control.publish("feed", &json!(n)).expect("accepted");
    }
    control.close();
    // What an earlier key of its own has signed holds, too.
    let _ = instance.run(&["keys", "rotate", "identity", "--yes"]).ok();
    Control::connect(&instance).publish("other", &json!(1)).expect("accepted");
    let verified = instance.json(&["publications", "verify"]);
    assert_eq!(verified, json!({ "hold": 10, "faults": [] }));

    instance.stop();
    let script = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\nfor change in [\n\
        \"UPDATE publications SET payload = '22' WHERE payload = '2'\",\n\
        \"UPDATE publications SET payload = 'garbage' WHERE payload = '4'\",\n\
        \"DELETE FROM publications WHERE payload IN ('6', '7')\",\n\
        \"UPDATE publications SET time = time + 1 WHERE payload = '8'\",\n\
        \"DELETE FROM publications WHERE payload = '9'\",\n\
        ]:\n    assert db.execute(change).rowcount > 0, change\ndb.commit()\n";
    assert!(python(script, &[&instance.path("data.db")]).wait().expect("it ends").success());
    // Without the service, too.
    let answer = instance.run(&["publications", "verify", "--json"]).exited(1).json();
    assert_eq!(answer["hold"], 4, "{answer:#}");
    let faults = answer["faults"].as_array().expect("a list");
    let found: Vec<_> =
        faults.iter().map(|fault| (fault["sequence"].as_u64(), fault["message"].as_str().expect("a text"))).collect();
    let wanted =
        [(2, "signature"), (4, "cannot be read"), (6, "the next 1 are missing"), (8, "signature"), (9, "missing")];
    assert_eq!(found.len(), wanted.len(), "{found:?}");
    for ((sequence, message), (at, word)) in found.iter().zip(wanted) {
        assert!(*sequence == Some(at) && message.contains(word), "{found:?}");
    }
    assert_eq!(instance.json(&["publications", "verify", "other"])["hold"], 1);
    instance.run(&["publications", "verify", "none", "--json"]).failed(5, "not-found");
}

#[test]
fn what_is_published_again_with_the_same_id_is_stored_once() {
    let mut cluster = Cluster::pair();
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    let publish = ["action", "publish", "feed", "--id", "monday", "--data"];
    let first = cluster.publisher.json(&[publish.as_slice(), &["{\"n\": 1}"]].concat());
    assert_eq!((&first["sequence"], &first["duplicate"]), (&json!(1), &Value::Null));
    // After a kill, too: it is a row.
    cluster.publisher.kill();
    cluster.publisher.start();
    let again = cluster.publisher.json(&[publish.as_slice(), &["{\"n\": 1}"]].concat());
    assert_eq!((&again["id"], &again["sequence"], &again["duplicate"]), (&first["id"], &json!(1), &json!(true)));
    let other = cluster.publisher.run(&[publish.as_slice(), &["2", "--json"]].concat()).failed(1, "already-exists");
    assert!(other["message"].to_string().contains("`monday`"), "{other}");

    // A peer has ids of its own: it cannot take those of others.
    let there = [publish.as_slice(), &["2", "--peer", &cluster.peer]].concat();
    let (one, two) = (cluster.subscriber.json(&there), cluster.subscriber.json(&there));
    assert_eq!((&one["sequence"], &one["duplicate"]), (&json!(2), &Value::Null));
    assert_eq!((&two["id"], &two["duplicate"]), (&one["id"], &json!(true)));
    let there = [publish.as_slice(), &["3", "--peer", &cluster.peer, "--json"]].concat();
    cluster.subscriber.run(&there).failed(1, "already-exists");
    assert_eq!(cluster.publisher.counts()["published"], 2);
    let empty = ["action", "publish", "feed", "--data", "1", "--id", "", "--json"];
    cluster.publisher.run(&empty).failed(2, "usage");
}

#[test]
fn a_batch_is_published_whole_or_not_at_all() {
    let instance = publishing();
    let batch = ["action", "publish", "feed", "--batch", "-", "--id", "monday", "--json"];
    let published = instance.run_with(&batch, "1\n{\"n\": 2}\n\"three\"\n").ok().json();
    let row = |n: usize| (published[n]["sequence"].clone(), published[n]["duplicate"].clone());
    assert_eq!([row(0), row(2)], [(json!(1), Value::Null), (json!(3), Value::Null)], "{published}");
    let log = instance.json(&["publications", "show", "feed", "2"]);
    assert_eq!(log["payload"], json!({"n": 2}));

    // Again, with a line more: what was stored is recognised.
    let _ = instance.run_with(&batch, "1\n{\"n\": 2}\n\"three\"\n4").ok();
    for (lines, code, kind, says) in [
        ("5\n6\nno JSON\n", 2, "usage", "line 3 of stdin"),
        ("5\n\n6\n", 2, "usage", "line 2 of stdin"),
        ("1\n{\"n\": 2}\n\"other\"\n", 1, "already-exists", "`monday/3`"),
        (&format!("5\n{}\n", "[".repeat(125)), 2, "usage", "line 2 of stdin"),
        (&"1\n".repeat(10_001), 1, "too-large", "10001"),
        (&format!("\"{}\"\n", "x".repeat(5 << 20)), 1, "too-large", "stdin"),
    ] {
        let error = instance.run_with(&batch, lines).failed(code, kind);
        assert!(error["message"].to_string().contains(says), "{error}");
    }
    assert_eq!(instance.counts()["published"], 4, "nothing of what was refused is there");
    let none = instance.run_with(&["action", "publish", "feed", "--batch", "-", "--json"], "").ok().json();
    assert_eq!(none, json!([]));
}

#[test]
fn what_is_to_be_published_later_survives_a_kill_and_is_published_once() {
    let mut instance = publishing();
    let publish = |instance: &Instance, data: &str, when: [&str; 2]| {
        instance.json(&[["action", "publish", "feed", "--data", data].as_slice(), &when].concat())
    };
    let soon = publish(&instance, "\"soon\"", ["--in", "1s"]);
    let late = publish(&instance, "\"late\"", ["--in", "1h"]);
    let never = publish(&instance, "\"never\"", ["--at", "2100-01-01T00:00:00Z"]);
    assert_eq!(never["due"], "2100-01-01T00:00:00Z");
    instance.kill();
    instance.start();
    until("the one that is due", || {
        let listed = instance.json(&["publications", "list", "feed"]);
        listed.as_array().is_some_and(|listed| listed.len() == 1).then_some(())
    });
    let shown = instance.json(&["publications", "show", soon["id"].as_str().expect("an id")]);
    assert_eq!((&shown["sequence"], &shown["payload"]), (&json!(1), &json!("soon")));
    let text = |time: &Value| time.as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time");
    assert!(text(&shown["time"]) >= text(&soon["due"]), "{shown}");
    let ids = |listed: &Value| -> Vec<Value> {
        listed.as_array().expect("a list").iter().map(|row| row["id"].clone()).collect()
    };
    assert_eq!(ids(&instance.json(&["publications", "scheduled"])), [late["id"].clone(), never["id"].clone()]);

    let unschedule = ["publications", "unschedule", never["id"].as_str().expect("an id"), "--json"];
    assert_eq!(instance.run(&unschedule).ok().json()["id"], never["id"]);
    instance.run(&unschedule).failed(5, "not-found");
    assert_eq!(ids(&instance.json(&["publications", "scheduled"])), [late["id"].clone()]);
    let unknown = ["action", "publish", "none", "--data", "1", "--in", "1s", "--json"];
    instance.run(&unknown).failed(5, "not-found");
    assert_eq!(instance.json(&["publications", "verify"])["hold"], 1);
}

fn publishing() -> Instance {
    let instance = Instance::running("publisher");
    instance.plugin("actions/feed.sh", plugin::ECHO_SH);
    instance.plugin("actions/other.sh", plugin::ECHO_SH);
    instance
}

fn payload_of(line: &str) -> u64 {
    let publication: Value = serde_json::from_str(line).expect("one object in a line");
    publication["payload"].as_u64().expect("a number")
}
