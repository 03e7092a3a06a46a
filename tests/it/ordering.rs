//! Order per key: what is for different keys is handled at once, what is for one in order, and a key that fails holds only
//! itself.

use std::fs;

use coattail_tests::{Cluster, Instance, until};
use serde_json::{Value, json};

/// Keeps what it gets; for a customer it waits until there is a file of that name.
const WAITING: &str = "#!/bin/sh\nvalue=$(cat)\nname=$(printf '%s' \"$value\" | sed -n 's/.*\"customer\":\"\\([a-z]*\\)\".*/\\1/p')\n\
    printf 'begun %s\\n' \"$COATTAIL_PUBLICATION_SEQUENCE\" >> \"$COATTAIL_INSTANCE/begun.txt\"\n\
    case \"$name\" in wait*) while [ ! -e \"$COATTAIL_INSTANCE/$name\" ]; do sleep 0.02; done;; esac\n\
    printf '{\"sequence\":%s,\"attempt\":%s,\"value\":%s}\\n' \"$COATTAIL_PUBLICATION_SEQUENCE\" \
    \"$COATTAIL_PUBLICATION_ATTEMPT\" \"$value\" >> \"$COATTAIL_INSTANCE/received.jsonl\"\n";

/// As that, but it fails where that one waits.
const FAILING: &str = "#!/bin/sh\nvalue=$(cat)\nname=$(printf '%s' \"$value\" | sed -n 's/.*\"customer\":\"\\([a-z]*\\)\".*/\\1/p')\n\
    case \"$name\" in fail*) [ -e \"$COATTAIL_INSTANCE/$name\" ] || exit 1;; esac\n\
    case \"$value\" in '\"fail\"') [ -e \"$COATTAIL_INSTANCE/fail\" ] || exit 1;; esac\n\
    printf '{\"sequence\":%s,\"attempt\":%s,\"value\":%s}\\n' \"$COATTAIL_PUBLICATION_SEQUENCE\" \
    \"$COATTAIL_PUBLICATION_ATTEMPT\" \"$value\" >> \"$COATTAIL_INSTANCE/received.jsonl\"\n";

#[test]
fn different_keys_are_handled_at_once_and_one_in_order() {
    let cluster = ordered(WAITING, "order_key: /customer\nconcurrency: 3\n");
    publish(&cluster, &["waita", "b", "waita", "b", "waitc", "b", "d"]);
    // Of `waita` the first only; beside it `waitc`, and all the others in the place that is left.
    cluster.subscriber.wait_for("handled", 4);
    until("those that wait to have begun", || (begun(&cluster.subscriber).len() == 6).then_some(()));
    assert_eq!(sequences(&cluster.subscriber), [2, 4, 6, 7]);
    assert!(!begun(&cluster.subscriber).contains(&3), "{:?}", begun(&cluster.subscriber));
    let held = held(&cluster);
    assert_eq!((&held["order_key"], &held["waiting"]), (&json!("/customer"), &json!(3)), "{held}");

    fs::write(cluster.subscriber.path("waita"), "").expect("written");
    cluster.subscriber.wait_for("handled", 6);
    assert_eq!(sequences(&cluster.subscriber)[4..], [1, 3]);
    fs::write(cluster.subscriber.path("waitc"), "").expect("written");
    cluster.subscriber.wait_for("handled", 7);
    let shown = cluster.subscriber.json(&["action", "show", "-r", "sort"]);
    assert_eq!(shown["limits"]["order_key"], "/customer", "{shown}");
    let default: Vec<u64> = [5, 30, 300, 1_800, 7_200, 18_000, 36_000].map(|seconds| seconds * 1000).to_vec();
    assert_eq!(shown["limits"]["retry_ms"], json!(default), "{shown}");
}

#[test]
fn a_key_that_fails_holds_only_itself_also_after_a_kill() {
    const STUCK: usize = 600;
    let mut cluster = ordered(FAILING, "order_key: /customer\nretry: [1h]\n");
    let mut customers = vec!["fail"; STUCK];
    customers.extend(["a", "b", "a"]);
    publish(&cluster, &customers);
    cluster.subscriber.wait_for("handled", 3);
    let stuck = STUCK as u64;
    assert_eq!(customers_of(&cluster.subscriber), ["a", "b", "a"].map(str::to_owned));
    until("the first to fail", || (held(&cluster)["state"] == "failing").then_some(()));
    assert_eq!(held(&cluster)["waiting"], stuck);
    cluster.subscriber.kill();
    cluster.subscriber.start();
    publish(&cluster, &["fail", "c", "b"]);
    cluster.subscriber.wait_for("handled", 5);
    assert_eq!(held(&cluster)["waiting"], stuck + 1);

    // What is given up makes room for the next of its key: that one is not tried before.
    cluster.subscriber.plugin("receivers/sort.sh", &FAILING.replace("exit 1", "exit 65"));
    cluster.subscriber.json(&["subscriptions", "pause", &id(&cluster)]);
    cluster.subscriber.json(&["subscriptions", "reset", &id(&cluster), "--from", "600", "--yes"]);
    fs::write(cluster.subscriber.path("fail"), "").expect("written");
    cluster.subscriber.json(&["subscriptions", "resume", &id(&cluster)]);
    // 600 to 606: those that were handled come again.
    cluster.subscriber.wait_for("handled", 5 + 7);
    let last = cluster.subscriber.received().split_off(5);
    let of = |customer: &str| {
        let mine = last.iter().filter(|line| line["value"]["customer"] == customer);
        mine.map(|line| line["sequence"].as_u64().expect("a number")).collect::<Vec<_>>()
    };
    assert_eq!((of("fail"), of("a"), of("b"), of("c")), (vec![600, 604], vec![601, 603], vec![602, 606], vec![605]));
    assert_eq!((held(&cluster)["waiting"].clone(), &cluster.subscriber.counts()["missed"]), (json!(0), &json!(0)));
}

#[test]
fn what_has_no_key_is_of_one_and_what_is_tried_again_comes_before_the_rest_of_its_key() {
    let cluster = ordered(FAILING, "order_key: /customer\nretry: [100ms, 100ms, 1h]\n");
    let values =
        ["\"fail\"", "{\"customer\":\"a\"}", "2", "{\"customer\":\"fail\"}", "{\"customer\":\"fail\",\"n\":2}"];
    for value in values {
        cluster.publish("feed", value);
    }
    cluster.subscriber.wait_for("handled", 1);
    until("each to have been tried three times", || {
        (cluster.subscriber.log().matches("is tried again").count() == 6).then_some(())
    });
    assert_eq!(sequences(&cluster.subscriber), [2]);
    fs::write(cluster.subscriber.path("fail"), "").expect("written");
    // Looked at anew, but what waits for another try waits for its time.
    let id = id(&cluster);
    for command in ["pause", "resume"] {
        cluster.subscriber.json(&["subscriptions", command, &id]);
    }
    cluster.publish("feed", "{\"customer\":\"b\"}");
    cluster.subscriber.wait_for("handled", 2);
    assert_eq!(sequences(&cluster.subscriber), [2, 6]);
}

#[test]
fn a_sidecar_that_changes_changes_the_order() {
    let cluster = ordered(FAILING, "retry: [1h]\n");
    publish(&cluster, &["fail", "a", "b"]);
    until("the first to fail", || cluster.subscriber.log().contains("is tried again").then_some(()));
    assert_eq!((sequences(&cluster.subscriber), &held(&cluster)["order_key"]), (vec![], &Value::Null));
    sidecar(&cluster.subscriber, "order_key: /customer\nretry: [1h]\n");
    publish(&cluster, &["fail", "a"]);
    cluster.subscriber.wait_for("handled", 3);
    let mut handled = sequences(&cluster.subscriber);
    handled.sort_unstable();
    assert_eq!(handled, [2, 3, 5]);
    // By another key the second that fails is not held by the first, and by none everything is.
    sidecar(&cluster.subscriber, "order_key: /n\nretry: [1h]\n");
    cluster.publish("feed", "{\"customer\":\"a\",\"n\":1}");
    cluster.subscriber.wait_for("handled", 4);
    sidecar(&cluster.subscriber, "retry: [1h]\n");
    publish(&cluster, &["b"]);
    cluster.subscriber.wait_for("stored", 7);
    let text = cluster.subscriber.run(&["action", "show", "-r", "sort"]).ok().stdout;
    assert!(text.contains("retry") && text.contains("after 3600s") && !text.contains("order key"), "{text}");
    assert_eq!(cluster.subscriber.counts()["handled"], 4);

    let action = cluster.subscriber.path("actions/act.yml");
    cluster.subscriber.plugin("actions/act.sh", coattail_tests::plugin::ECHO_SH);
    fs::write(action, "order_key: /customer\n").expect("written");
    let list = cluster.subscriber.json(&["action", "list"]);
    assert!(list[0]["problem"].as_str().expect("a problem").contains("only receivers handle publications"), "{list}");
}

#[test]
fn a_receiver_that_is_missing_is_told_at_once() {
    let cluster = ordered(FAILING, "");
    let finding = |cluster: &Cluster| {
        let found = cluster.subscriber.run(&["doctor", "--json"]).json();
        let found = found.as_array().expect("findings").iter();
        found.filter(|finding| finding["area"] == "receivers").cloned().collect::<Vec<_>>()
    };
    assert!(finding(&cluster).iter().all(|finding| finding["level"] == "ok"));
    fs::remove_file(cluster.subscriber.path("receivers/sort.sh")).expect("it was there");
    let found = finding(&cluster);
    let (message, level) = (found[0]["message"].as_str().expect("a message"), &found[0]["level"]);
    assert!(level == "warning" && message.contains("; the subscription"), "{found:?}");
    fs::remove_file(cluster.subscriber.path("receivers/sort.yml")).expect("it was there");
    let found = finding(&cluster);
    let message = found[0]["message"].as_str().expect("a message");
    assert!(message.contains("there is no receiver `sort`") && message.contains("0 publications wait"), "{found:?}");
}

/// A feed, and a receiver `sort` with this sidecar that is subscribed to it.
fn ordered(receiver: &str, yaml: &str) -> Cluster {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/feed.sh", coattail_tests::plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/sort.sh", receiver);
    sidecar(&cluster.subscriber, yaml);
    cluster.subscribe("feed", "sort");
    cluster
}

fn sidecar(instance: &Instance, yaml: &str) {
    fs::write(instance.path("receivers/sort.yml"), yaml).expect("written");
}

/// One publication for each of these customers, in one transaction.
#[track_caller]
fn publish(cluster: &Cluster, customers: &[&str]) {
    let lines: String = customers.iter().map(|customer| format!("{}\n", json!({"customer": customer}))).collect();
    let _ = cluster.publisher.run_with(&["action", "publish", "feed", "--batch", "-"], &lines).ok();
}

fn sequences(instance: &Instance) -> Vec<u64> {
    instance.received().iter().map(|line| line["sequence"].as_u64().expect("a number")).collect()
}

fn customers_of(instance: &Instance) -> Vec<String> {
    let of = |line: &Value| line["value"]["customer"].as_str().expect("a text").to_owned();
    let mut lines = instance.received();
    lines.sort_by_key(|line| line["sequence"].as_u64());
    lines.iter().map(of).collect()
}

/// For which the receiver was called.
fn begun(instance: &Instance) -> Vec<u64> {
    let text = fs::read_to_string(instance.path("begun.txt")).unwrap_or_default();
    text.lines().filter_map(|line| line.strip_prefix("begun ")?.parse().ok()).collect()
}

fn held(cluster: &Cluster) -> Value {
    cluster.subscriber.json(&["subscriptions", "list"])[0].clone()
}

fn id(cluster: &Cluster) -> String {
    held(cluster)["id"].as_str().expect("an id").to_owned()
}
