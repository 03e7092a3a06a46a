//! P5 and P6: nothing is done that a token does not allow, and taking a permission back takes effect at once.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use coattail_tests::{Cluster, Instance, plugin, until, within};
use serde_json::{Value, json};

/// How long it may take until what was revoked has ended, everywhere.
const AT_ONCE: Duration = Duration::from_secs(1);

/// An action that says that it is there, and goes on for ever.
const HANG_SH: &str = "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/hanging\"\nsleep 1000\n";

/// Nothing, whatever the defaults of the command line are.
const NOTHING: &[&str] = &["--performable", "[]", "--publishable", "[]", "--subscribable", "[]"];

const ACTIONS: [&str; 4] = ["perform-me", "publish-me", "subscribe-me", "hidden"];

/// What a token may be asked for, in the order of [`ask`].
const NONE: [bool; 4] = [false; 4];

#[test]
fn s1_a_token_without_permissions_opens_nothing() {
    let cluster = granting(NOTHING);
    for action in ACTIONS {
        assert_eq!(ask(&cluster, action), NONE, "{action}");
    }
    assert_eq!(list(&cluster), json!([]));
    check_that_nothing_was_done(&cluster);
}

#[test]
fn s1_a_permission_is_for_what_it_names() {
    let cluster = granting(&[
        "--performable",
        "[\"perform-me\"]",
        "--publishable",
        "[\"publish-me\"]",
        "--subscribable",
        "[\"subscribe-me\"]",
    ]);
    assert_eq!(ask(&cluster, "perform-me"), [true, false, false, false]);
    assert_eq!(cluster.publisher.received().len(), 1, "performed once");
    assert_eq!(ask(&cluster, "publish-me"), [false, false, true, false]);
    assert_eq!(ask(&cluster, "subscribe-me"), [false, false, false, true]);
    assert_eq!(ask(&cluster, "hidden"), NONE);
    // What does not exist cannot be told from what is hidden.
    assert_eq!(refusal(&cluster, "hidden"), refusal(&cluster, "missing"));
    assert_eq!(
        list(&cluster),
        json!([
            ["perform-me", true, false, false],
            ["publish-me", false, true, false],
            ["subscribe-me", false, false, true]
        ])
    );
    assert_eq!(cluster.publisher.counts()["published"], 1);
    assert_eq!(cluster.publisher.received().len(), 1);
}

#[test]
fn s1_to_perform_and_publish_takes_both_permissions() {
    let cluster = granting(&["--performable", "*", "--publishable", "publish-me", "--subscribable", "[]"]);
    assert_eq!(ask(&cluster, "perform-me"), [true, false, false, false]);
    assert_eq!(ask(&cluster, "publish-me"), [true, true, true, false]);
}

/// Narrowed: to one action by its name, one right on it, and one bearer by his key.
#[test]
fn narrowed_tokens_allow_one_action_to_one_bearer() {
    let (publisher, bearer) = (Instance::running("publisher"), Instance::running("bearer"));
    let lookalikes = ["Echo", "ECHO", "ech\u{43e}", "\u{ff45}cho", "e\u{301}cho", "echo2"];
    for action in ["echo"].iter().chain(&lookalikes) {
        publisher.plugin(&format!("actions/{action}.sh"), plugin::KEEP_SH);
    }
    bearer.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let key = bearer.run(&["validation", "issue", "--quiet", "--print-raw-token"]).ok().stdout;
    let key: Value = serde_json::from_str(&publisher.run_with(&["validation", "add", "-", "--json"], &key).ok().stdout)
        .expect("JSON");
    let to_bearer = format!("vt://{}", key["id"].as_str().expect("an id"));
    let issue = ["token", "issue", "--quiet", "--print-raw-token", "--perform", "echo", "--subscribe", "[]"];
    let token = publisher.run(&[&issue[..], &["--bearers", &to_bearer]].concat()).ok().stdout;
    // Whoever else has it is not let in at all.
    let stranger = Instance::new("stranger");
    stranger.run_with(&["peer", "add", "-", "--json"], &token).failed(4, "token-refused");
    let added = bearer.run_with(&["peer", "add", "-", "--json"], &token).ok().stdout;
    let added: Value = serde_json::from_str(&added).expect("JSON");
    let peer = added["id"].as_str().expect("an id").to_owned();
    let cluster = Cluster { publisher, subscriber: bearer, peer };
    assert_eq!(ask(&cluster, "echo"), [true, false, false, false]);
    for action in lookalikes {
        assert_eq!(ask(&cluster, action), NONE, "{action}");
    }
    assert_eq!(list(&cluster), json!([["echo", true, false, false]]));
    assert_eq!(cluster.publisher.received(), [json!(1)], "performed once");
    // It is the key of the bearer that opens, and not the token alone: without it the session ends, too.
    let _ = cluster.publisher.run(&["validation", "remove", key["id"].as_str().expect("an id"), "--yes"]).ok();
    let perform = ["action", "perform", "--action", "echo", "--peer", &cluster.peer, "--data", "2", "--json"];
    assert_ne!(cluster.subscriber.run(&perform).code, Some(0));
    assert_eq!(cluster.publisher.received(), [json!(1)], "performed once");
}

#[test]
fn a_token_is_for_its_bearers_and_from_its_time_on() {
    let (publisher, stranger) = (Instance::running("publisher"), Instance::new("stranger"));
    for options in [["--bearers", "ipv4://192.0.2.0/24"], ["--bearers", "ipv6://::/0"], ["--not-before", "1h"]] {
        let issue = [&["token", "issue", "--quiet", "--print-raw-token"], &options[..]].concat();
        let token = publisher.run(&issue).ok().stdout;
        let added = stranger.run_with(&["peer", "add", "-", "--json"], &token);
        added.failed(4, "token-refused");
    }
    assert_eq!(stranger.json(&["peer", "list"]), json!([]));
    check_that_strangers_were_not_worth_a_word(&publisher, 3);
}

#[test]
fn what_was_made_with_a_token_ends_when_the_token_does() {
    // Clocks may differ by a minute, so this one is good for some seconds yet.
    let cluster = granting(&["--subscribable", "*", "--expires-in", "-55s"]);
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    cluster.subscribe("feed", "keep");
    assert_eq!(cluster.publisher.json(&["subscribers", "list"]).as_array().map(Vec::len), Some(1));
    until("the subscription to end with its token", || {
        (cluster.publisher.json(&["subscribers", "list"]) == json!([])).then_some(())
    });
    // The subscriber learns of it, and gets nothing more.
    let held = || cluster.subscriber.json(&["token", "list"]);
    until("the subscriber to forget it", || (held() == json!([])).then_some(()));
    cluster.publish("feed", "1");
    assert_eq!(cluster.publisher.counts()["undelivered"], 0);
}

#[test]
fn p5_strangers_are_not_worth_a_line_in_the_log() {
    let publisher = Instance::running("publisher");
    let tls_hello = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".as_slice(), &[7; 64]].concat();
    for bytes in [b"GET / HTTP/1.1\r\n\r\n".as_slice(), b"{\"jsonrpc\":\"2.0\"}\n", &tls_hello, b""] {
        let mut stream = TcpStream::connect(("127.0.0.1", publisher.port())).expect("it listens");
        stream.write_all(bytes).expect("it reads");
        stream.shutdown(Shutdown::Write).expect("connected");
        // Until it has closed: what it would log is logged before.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    check_that_strangers_were_not_worth_a_word(&publisher, 0);
}

#[test]
fn s7_a_revoked_token_ends_its_session_and_what_runs_there() {
    let cluster = granting(&["--performable", "*"]);
    let Cluster { publisher, subscriber, peer } = &cluster;
    publisher.plugin("actions/hang.sh", HANG_SH);
    let perform = ["action", "perform", "--peer", peer, "--action", "hang", "--json"];
    let hangs = subscriber.begin(&perform);
    until("the action to be under way", || publisher.path("hanging").exists().then_some(()));
    let token = publisher.json(&["token", "list"])[0]["id"].as_str().expect("an id").to_owned();
    let revoked = publisher.json(&["token", "revoke", &token, "--yes"]);
    assert_eq!(revoked["sessions"], 1, "{revoked}");
    within(AT_ONCE, "the session and the action to end", || {
        let status = publisher.json(&["service", "status"]);
        let is_over = publisher.processes().iter().all(|(_, what)| !what.contains("hang.sh"));
        (is_over && status[0]["sessions"] == 0).then_some(())
    });
    hangs.finish().failed(1, "lost");
    subscriber.run(&perform).failed(4, "token-revoked");
    subscriber.run(&["action", "list", "--peer", peer, "--json"]).failed(4, "token-revoked");
}

#[test]
fn s7_a_subscription_ends_with_the_token_it_was_made_with() {
    let cluster = subscribed();
    let token = cluster.publisher.json(&["subscribers", "list"])[0]["token"].as_str().expect("an id").to_owned();
    let revoked = cluster.publisher.json(&["token", "revoke", &token, "--yes"]);
    assert_eq!(revoked["subscriptions"], 1, "{revoked}");
    cluster.publish("perform-me", "2");
    assert_eq!(cluster.publisher.json(&["subscribers", "list"]), json!([]));
    // The subscriber learns of it when it is not let in any more.
    until("the subscriber to forget it", || held(&cluster.subscriber).is_empty().then_some(()));
    check_that_it_has_ended(&cluster);
}

#[test]
fn a_subscription_token_that_its_subscriber_revokes_ends_the_subscription() {
    let cluster = subscribed();
    let id = held(&cluster.subscriber).pop().expect("one");
    cluster.subscriber.json(&["token", "revoke", &id, "--yes"]);
    cluster.publish("perform-me", "2");
    until("the publisher to forget it", || {
        (cluster.publisher.json(&["subscribers", "list"]) == json!([])).then_some(())
    });
    check_that_it_has_ended(&cluster);
}

#[test]
fn who_unsubscribes_tells_the_publisher() {
    let cluster = subscribed();
    let ended = unsubscribe(&cluster);
    assert_eq!(ended["told"], true);
    assert_eq!(cluster.publisher.json(&["subscribers", "list"]), json!([]));
    cluster.publish("perform-me", "2");
    check_that_it_has_ended(&cluster);
    // And can come back.
    cluster.subscribe("perform-me", "keep");
    cluster.publish("perform-me", "3");
    cluster.subscriber.wait_for("handled", 2);
    assert_eq!(cluster.subscriber.received(), [json!(1), json!(3)]);
}

#[test]
fn r7_a_publisher_that_is_down_learns_later_that_a_subscription_has_ended() {
    let mut cluster = subscribed();
    cluster.publisher.stop();
    assert_eq!(unsubscribe(&cluster)["told"], false);
    cluster.publisher.start();
    cluster.publish("perform-me", "2");
    until("the publisher to learn of it", || {
        (cluster.publisher.json(&["subscribers", "list"]) == json!([])).then_some(())
    });
    check_that_it_has_ended(&cluster);
    cluster.subscribe("perform-me", "keep");
    cluster.publish("perform-me", "3");
    cluster.subscriber.wait_for("handled", 2);
}

#[test]
fn a_publisher_ends_a_subscription_and_tells_the_subscriber() {
    let cluster = subscribed();
    assert_eq!(revoke_subscriber(&cluster)["told"], true);
    assert_eq!(held(&cluster.subscriber), [""; 0]);
    cluster.publish("perform-me", "2");
    check_that_it_has_ended(&cluster);
}

#[test]
fn a_subscriber_that_is_down_learns_later_that_its_subscription_has_ended() {
    let mut cluster = subscribed();
    cluster.subscriber.stop();
    assert_eq!(revoke_subscriber(&cluster)["told"], false);
    cluster.publish("perform-me", "2");
    cluster.subscriber.start();
    until("the subscriber to learn of it", || held(&cluster.subscriber).is_empty().then_some(()));
    check_that_it_has_ended(&cluster);
}

#[test]
fn whoever_forgets_a_peer_gets_nothing_more_from_it() {
    let cluster = subscribed();
    let removed = cluster.subscriber.json(&["peer", "remove", &cluster.peer, "--yes"]);
    assert_eq!(removed["subscriptions"], 1, "{removed}");
    assert_eq!(held(&cluster.subscriber), [""; 0]);
    cluster.publish("perform-me", "2");
    until("the publisher to learn of it", || {
        (cluster.publisher.json(&["subscribers", "list"]) == json!([])).then_some(())
    });
    check_that_it_has_ended(&cluster);
    let gone = ["action", "list", "--peer", &cluster.peer, "--json"];
    cluster.subscriber.run(&gone).failed(5, "not-found");
}

/// A pair whose publisher has [`ACTIONS`], each of which keeps what it is given.
fn granting(grants: &[&str]) -> Cluster {
    let cluster = Cluster::with_grants(grants);
    for action in ACTIONS {
        cluster.publisher.plugin(&format!("actions/{action}.sh"), plugin::KEEP_SH);
    }
    cluster.subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    cluster
}

/// A pair with a subscription, over which `1` has come.
fn subscribed() -> Cluster {
    let cluster = granting(&["--subscribable", "*"]);
    cluster.subscribe("perform-me", "keep");
    cluster.publish("perform-me", "1");
    cluster.subscriber.wait_for("handled", 1);
    assert_eq!(held(&cluster.subscriber).len(), 1);
    cluster
}

/// Asks for everything that can be asked of an action: to perform it, to perform and publish it, to publish for it, to
/// subscribe to it. Says what was done; everything else must be refused as not permitted.
fn ask(cluster: &Cluster, action: &str) -> [bool; 4] {
    [
        &["perform", "--data", "1"][..],
        &["perform", "--data", "1", "--notify"],
        &["publish", "--data", "1"],
        &["subscribe", "--receiver", "keep"],
    ]
    .map(|operation| {
        let arguments = [&["action"], operation, &["--action", action, "--peer", &cluster.peer, "--json"]].concat();
        let output = cluster.subscriber.run(&arguments);
        let is_done = output.code == Some(0);
        if !is_done {
            output.failed(4, "not-permitted");
        }
        is_done
    })
}

/// What a peer is told of an action that it may not perform, without its name.
fn refusal(cluster: &Cluster, action: &str) -> String {
    let arguments = ["action", "perform", "--action", action, "--peer", &cluster.peer, "--json"];
    cluster.subscriber.run(&arguments).failed(4, "not-permitted").to_string().replace(action, "…")
}

/// What the publisher shows to the subscriber: name, performable, publishable, subscribable.
fn list(cluster: &Cluster) -> Value {
    let listed = cluster.subscriber.json(&["action", "list", "--peer", &cluster.peer]);
    let rows = listed.as_array().expect("a list").iter();
    rows.map(|row| json!([row["id"], row["performable"], row["publishable"], row["subscribable"]])).collect()
}

fn check_that_nothing_was_done(cluster: &Cluster) {
    assert!(cluster.publisher.received().is_empty());
    assert_eq!(cluster.publisher.counts()["published"], 0);
    assert_eq!(cluster.publisher.json(&["subscribers", "list"]), json!([]));
    assert_eq!(held(&cluster.subscriber), [""; 0]);
}

/// The log of a service has the line that says it is ready, and one for each token that it has issued.
#[track_caller]
fn check_that_strangers_were_not_worth_a_word(publisher: &Instance, issued: usize) {
    let log = publisher.log();
    let lines: Vec<_> = log.lines().filter(|line| !line.contains("issued a token")).collect();
    assert_eq!((lines.len(), log.lines().count()), (1, 1 + issued), "{log}");
}

/// Nothing but the first publication has come, and nothing more can: both sides have forgotten the subscription.
#[track_caller]
fn check_that_it_has_ended(cluster: &Cluster) {
    assert_eq!(cluster.publisher.json(&["subscribers", "list"]), json!([]));
    assert_eq!(held(&cluster.subscriber), [""; 0]);
    assert_eq!(cluster.subscriber.received(), [json!(1)]);
    assert_eq!(cluster.subscriber.counts()["stored"], 1);
    assert_eq!(cluster.publisher.counts()["undelivered"], 0);
}

fn unsubscribe(cluster: &Cluster) -> Value {
    let subscription = ["--peer", &cluster.peer, "--action", "perform-me", "--receiver", "keep"];
    cluster.subscriber.json(&[&["action", "unsubscribe"], &subscription[..]].concat())
}

fn revoke_subscriber(cluster: &Cluster) -> Value {
    let id = cluster.publisher.json(&["subscribers", "list"])[0]["id"].as_str().expect("an id").to_owned();
    cluster.publisher.json(&["subscribers", "revoke", &id, "--yes"])
}

/// The subscription tokens that an instance has issued: what it is subscribed to.
fn held(instance: &Instance) -> Vec<String> {
    let tokens = instance.json(&["token", "list"]);
    let tokens = tokens.as_array().expect("a list").iter();
    tokens
        .filter(|token| token["use"] == "Publisher Authentication")
        .map(|token| token["id"].as_str().expect("an id").to_owned())
        .collect()
}
