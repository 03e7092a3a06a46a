//! Subscriptions begin where they are asked to, and go on from elsewhere when either owner wants it: nothing is lost on the
//! way, nothing is stored twice, and what comes again comes in order.

use std::fs;
use std::thread;

use coattail::id::SubscriptionId;
use coattail::wire::places::Beginning;
use coattail::wire::subscriptions::{ListSubscriptions, ResetSubscriber, ResetSubscription};
use coattail_daemon::tokens::{Validity, validation};
use coattail_tests::{Background, Cluster, Control, Instance, Random, plugin, until};
use serde_json::{Value, json};

use crate::attacks::fake_host::{FakeHost, Guest};
use crate::raw_peer::{plain_service, token_id};

#[test]
fn a_subscription_begins_where_it_is_asked_to() {
    let cluster = feed();
    let times: Vec<String> = (1..=4)
        .map(|n| {
            let sequence = cluster.publish("feed", &n.to_string()).to_string();
            // Each in a millisecond of its own, so that its time names it.
            let time = || cluster.publisher.json(&["publications", "show", "feed", &sequence])["time"].clone();
            let time = time().as_str().expect("a time").to_owned();
            until("a millisecond to pass", || (jiff::Timestamp::now().to_string() > time).then_some(()));
            time
        })
        .collect();
    for (receiver, from, after, waiting) in [
        ("all", "start", 0, 4),
        ("third", "3", 2, 2),
        ("since", &times[2], 2, 2),
        ("ago", "1h", 0, 4),
        ("next", "5", 4, 0),
        ("later", "now", 4, 0),
    ] {
        cluster.subscriber.plugin(&format!("receivers/{receiver}.sh"), &recorder(receiver));
        let answer = subscribe(&cluster, receiver, &["--from", from, "--json"]).json();
        assert_eq!((&answer["cursor"], &answer["waiting"]), (&json!(after), &json!(waiting)), "{receiver}");
        assert!(answer["oldest"].is_null(), "{answer}");
    }
    cluster.publish("feed", "5");
    cluster.subscriber.wait_for("handled", 5 + 3 + 3 + 5 + 1 + 1);
    for (receiver, sequences) in [
        ("all", &[1, 2, 3, 4, 5][..]),
        ("third", &[3, 4, 5]),
        ("since", &[3, 4, 5]),
        ("ago", &[1, 2, 3, 4, 5]),
        ("next", &[5]),
        ("later", &[5]),
    ] {
        assert_eq!(recorded(&cluster.subscriber, receiver), sequences, "{receiver}");
    }
    assert_eq!(cluster.subscriber.counts()["missed"], 0);

    cluster.subscriber.plugin("receivers/never.sh", &recorder("never"));
    let refused = subscribe_with(&cluster, "never", &["--from", "7"]).exited(2);
    assert!(refused.stderr.contains("nothing has the number 7 yet: the last that was published has 5"), "{refused:?}");
    let refused = subscribe_with(&cluster, "never", &["--from", "soon"]).exited(2);
    assert!(refused.stderr.contains("no length of time ago"), "{refused:?}");
}

#[test]
fn what_is_not_kept_any_more_is_told_and_not_missed() {
    let mut cluster = feed();
    for n in 1..=5 {
        cluster.publish("feed", &n.to_string());
    }
    cluster.publisher.stop();
    cluster.publisher.configure("limits:\n  retention_bytes: 2 B");
    cluster.publisher.start();
    until("retention", || {
        let kept = cluster.publisher.json(&["publications", "list", "feed"]);
        (kept.as_array().expect("a list").len() == 2).then_some(())
    });
    cluster.subscriber.plugin("receivers/all.sh", &recorder("all"));
    let answer = subscribe(&cluster, "all", &["--from", "start", "--json"]).json();
    assert_eq!(
        (&answer["cursor"], &answer["waiting"], &answer["oldest"]["sequence"]),
        (&json!(3), &json!(2), &json!(4))
    );
    assert!(answer["oldest"]["time"].is_string(), "{answer}");
    cluster.subscriber.wait_for("handled", 2);
    assert_eq!(recorded(&cluster.subscriber, "all"), [4, 5]);
    cluster.subscriber.plugin("receivers/text.sh", &recorder("text"));
    let text = subscribe(&cluster, "text", &["--from", "2"]).stderr;
    assert!(text.contains("what was published before number 4 (of 20") && text.contains("is not kept"), "{text}");
    let id = answer["id"].as_str().expect("an id");
    let dry = cluster.subscriber.json(&["subscriptions", "reset", id, "--from", "start", "--dry-run"]);
    let expected = json!({"id": id, "after": 3, "again": 2, "skipped": 0, "oldest": answer["oldest"], "told": false});
    assert_eq!(dry, expected);
    cluster.subscriber.wait_for("handled", 4);
    assert_eq!(cluster.subscriber.counts()["missed"], 0);
}

#[test]
fn a_publisher_of_an_older_version_begins_now_and_that_is_said() {
    let (host, subscriber) = (FakeHost::new(), plain_service("subscriber", ""));
    subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let file = subscriber.path("peer.token");
    fs::write(&file, host.token()).expect("written");
    let adding = subscriber.begin(&["peer", "add", "--token-file", &file.display().to_string(), "--json"]);
    let mut guest = host.let_in();
    let peer = adding.finish().ok().json()["id"].as_str().expect("an id").to_owned();

    let arguments = ["action", "subscribe", "-p", &peer, "-a", "report", "-r", "keep", "--from", "start"];
    let subscribing = subscriber.begin(&arguments);
    let subscribe = guest.line().expect("a request");
    assert_eq!((&subscribe["method"], &subscribe["params"]["from"]), (&json!("actions.subscribe"), &json!("start")));
    let token = validation::issue(&host.keys, Validity::endless(jiff::Timestamp::now())).expect("small enough");
    let wanting = json!({"action": "report", "receiver": "keep", "authentication_token": host.token,
        "validation_token": token});
    let issued = guest.ask("subscriptions.issue", &wanting).expect("an answer");
    let id = token_id(issued["result"]["token"].as_str().expect("a token"));
    guest.answer(&subscribe, &json!({"subscription": id, "cursor": 7, "epoch": 0}));
    let said = subscribing.finish().ok();
    assert!(said.stdout.contains("after     7") && said.stderr.contains("does not know `--from`"), "{said:?}");

    let resetting = subscriber.begin(&["subscriptions", "reset", &id, "--from", "start", "--yes"]);
    refuse_until(&mut guest, "subscriptions.locate", resetting, "the peer's version does not know how to");
    let held = subscriber.json(&["subscriptions", "list"])[0].clone();
    assert_eq!(held["sequence"], 7, "{held}");
}

#[test]
fn a_reset_back_has_everything_handled_again_in_order() {
    let mut cluster = feed();
    let id = recording(&cluster);
    for n in 1..=5 {
        cluster.publish("feed", &n.to_string());
    }
    cluster.subscriber.wait_for("handled", 5);
    let reset = |cluster: &Cluster, from: &str, more: &str| {
        cluster.subscriber.json(&["subscriptions", "reset", &id, "--from", from, more])
    };
    let answer = |after: u64, again: u64, told: bool| json!({"id": id, "after": after, "again": again, "skipped": 0, "told": told});
    assert_eq!(reset(&cluster, "3", "--dry-run"), answer(2, 3, false));
    let unconfirmed = cluster.subscriber.run(&["subscriptions", "reset", &id, "--from", "3"]).exited(2);
    assert!(unconfirmed.stderr.contains("go on after number 2; 3 come again, 0 are skipped"), "{unconfirmed:?}");
    assert_eq!(reset(&cluster, "3", "--yes"), answer(2, 3, true));
    cluster.subscriber.wait_for("handled", 8);
    assert_eq!(sequences(&cluster.subscriber), [1, 2, 3, 4, 5, 3, 4, 5]);
    until("the cursor to follow", || (subscriber(&cluster)["lag"] == 0).then_some(()));

    // Without a service: what is to come comes when it runs.
    cluster.subscriber.stop();
    assert_eq!(reset(&cluster, "start", "--yes"), answer(0, 5, true));
    assert_eq!(subscriber(&cluster)["lag"], 5);
    cluster.subscriber.start();
    cluster.subscriber.wait_for("handled", 13);
    assert_eq!(sequences(&cluster.subscriber)[8..], [1, 2, 3, 4, 5]);

    cluster.publisher.stop();
    let failed = cluster.subscriber.run(&["subscriptions", "reset", &id, "--from", "start", "--yes"]).exited(6);
    assert!(failed.stderr.contains("nothing was reset, since the publisher knows where that is"), "{failed:?}");
    cluster.publisher.start();
    cluster.publish("feed", "6");
    cluster.subscriber.wait_for("handled", 14);
    assert_eq!(sequences(&cluster.subscriber)[13..], [6]);
    assert_eq!(cluster.subscriber.counts()["missed"], 0);
    let unknown = "01a1f817-10f6-7716-ba76-3ddb9124a351";
    let _ = cluster.subscriber.run(&["subscriptions", "reset", unknown, "--from", "now", "--yes"]).exited(5);
}

#[test]
fn what_waits_is_not_stored_twice_and_what_is_skipped_is_not_missed() {
    let cluster = feed();
    let id = recording(&cluster);
    cluster.publish("feed", "1");
    cluster.subscriber.wait_for("handled", 1);
    cluster.subscriber.json(&["subscriptions", "pause", &id]);
    for n in 2..=4 {
        cluster.publish("feed", &n.to_string());
    }
    cluster.subscriber.wait_for("stored", 4);
    let reset = |from| cluster.subscriber.json(&["subscriptions", "reset", &id, "--from", from, "--yes"]);
    assert_eq!(reset("start")["again"], 1);
    // The first comes again; the others wait already.
    cluster.subscriber.wait_for("stored", 5);
    until("the cursor to follow", || (subscriber(&cluster)["lag"] == 0).then_some(()));
    assert_eq!((&cluster.subscriber.counts()["stored"], waiting(&cluster)), (&json!(5), json!(4)));
    let skipping = reset("4");
    assert_eq!((&skipping["after"], &skipping["again"], &skipping["skipped"]), (&json!(3), &json!(0), &json!(3)));
    cluster.subscriber.json(&["subscriptions", "resume", &id]);
    cluster.subscriber.wait_for("handled", 2);
    assert_eq!(sequences(&cluster.subscriber), [1, 4]);
    assert_eq!((waiting(&cluster), &cluster.subscriber.counts()["waiting"]), (json!(0), &json!(0)));

    // What a receiver does not take is skipped, too.
    cluster.subscriber.plugin("receivers/record.sh", "#!/bin/sh\nexit 1\n");
    cluster.publish("feed", "5");
    until("the receiver to fail", || cluster.subscriber.log().contains("is tried again").then_some(()));
    assert_eq!(reset("now")["skipped"], 1);
    cluster.subscriber.plugin("receivers/record.sh", plugin::RECORD_SH);
    cluster.publish("feed", "6");
    cluster.subscriber.wait_for("handled", 3);
    assert_eq!(sequences(&cluster.subscriber), [1, 4, 6]);
    assert_eq!(cluster.subscriber.counts()["missed"], 0);
}

#[test]
fn a_publisher_sends_a_subscriber_back_and_forth_now_or_when_it_comes() {
    let mut cluster = feed();
    let id = recording(&cluster);
    for n in 1..=3 {
        cluster.publish("feed", &n.to_string());
    }
    cluster.subscriber.wait_for("handled", 3);
    let reset = |cluster: &Cluster, from: &str, more: &str| {
        cluster.publisher.json(&["subscribers", "reset", &id, "--from", from, more])
    };
    let answer = |after: u64, again: u64, skipped: u64, told: bool| json!({"id": id, "after": after, "again": again, "skipped": skipped, "told": told});
    until("the cursor to move", || (subscriber(&cluster)["lag"] == 0).then_some(()));
    assert_eq!(reset(&cluster, "2", "--dry-run"), answer(1, 2, 0, false));
    assert_eq!(reset(&cluster, "2", "--yes"), answer(1, 2, 0, true));
    cluster.subscriber.wait_for("handled", 5);
    assert_eq!(sequences(&cluster.subscriber), [1, 2, 3, 2, 3]);

    // It is away, and the publisher is killed meanwhile.
    cluster.subscriber.stop();
    cluster.publish("feed", "4");
    assert_eq!(reset(&cluster, "3", "--yes"), answer(2, 1, 0, false));
    cluster.publisher.kill();
    cluster.publisher.start();
    assert_eq!(subscriber(&cluster)["reset_to"], 2);
    cluster.subscriber.start();
    cluster.subscriber.wait_for("handled", 7);
    assert_eq!(sequences(&cluster.subscriber)[5..], [3, 4]);
    until("the order to be done", || subscriber(&cluster)["reset_to"].is_null().then_some(()));

    cluster.subscriber.stop();
    cluster.publish("feed", "5");
    assert_eq!(reset(&cluster, "now", "--yes"), answer(5, 0, 1, false));
    cluster.publish("feed", "6");
    cluster.subscriber.start();
    cluster.subscriber.wait_for("handled", 8);
    assert_eq!(sequences(&cluster.subscriber)[7..], [6]);
    assert_eq!(cluster.subscriber.counts()["missed"], 0);
    let unknown = "01a1f817-10f6-7716-ba76-3ddb9124a351";
    let _ = cluster.publisher.run(&["subscribers", "reset", unknown, "--from", "now", "--yes"]).exited(5);
}

#[test]
fn whoever_is_killed_during_a_reset_both_ends_agree_afterwards() {
    let mut random = Random::new(5);
    let mut cluster = feed();
    let subscription: SubscriptionId = recording(&cluster).parse().expect("an id");
    let mut head = 0;
    for round in 0..8 {
        for _ in 0..3 {
            head = cluster.publish("feed", &round.to_string());
        }
        let is_ours = round % 2 == 0;
        let side = if is_ours { &cluster.subscriber } else { &cluster.publisher };
        let (resetting, looking) = (Control::connect(side), Control::connect(side));
        let resetting = thread::spawn(move || {
            let from = Beginning::Start;
            // It was done, or not, or nobody knows.
            let _ = match is_ours {
                true => resetting.call(&ResetSubscription { subscription, from, dry_run: false }),
                false => resetting.call(&ResetSubscriber { subscription, from, dry_run: false }),
            };
        });
        for _ in 0..random.below(60) {
            looking.call(&ListSubscriptions {}).expect("it is there");
        }
        let killed = if random.below(2) == 0 { &mut cluster.subscriber } else { &mut cluster.publisher };
        killed.kill();
        killed.start();
        resetting.join().expect("no panic");
    }
    until("both to agree", || {
        let held = cluster.subscriber.json(&["subscriptions", "list"])[0].clone();
        let known = subscriber(&cluster);
        let is_settled = held["waiting"] == 0 && held["sequence"] == head && known["lag"] == 0;
        (is_settled && known["reset_to"].is_null() && known["cursor"] == head).then_some(())
    });
    let received = sequences(&cluster.subscriber);
    for pair in received.windows(2) {
        let goes_on = pair[1] == pair[0] + 1;
        // From the start; or the receiver was called again, since it was killed while it ran.
        assert!(goes_on || pair[1] == 1 || pair[1] == pair[0], "{} after {} in {received:?}", pair[1], pair[0]);
    }
    assert_eq!((received.first(), received.last()), (Some(&1), Some(&head)), "{received:?}");
    assert_eq!(cluster.subscriber.counts()["missed"], 0);
}

/// Answers a request of this kind as whoever does not know it, and everything before as if there was nothing. The command
/// fails, and says why.
#[track_caller]
fn refuse_until(guest: &mut Guest, method: &str, command: Background, why: &str) {
    loop {
        let request = guest.line().expect("a request");
        if request["method"] == method {
            let error = json!({"code": -32601, "message": "Method not found"});
            guest.write(&json!({"jsonrpc": "2.0", "id": request["id"], "error": error}));
            break;
        }
        if request["method"].is_string() {
            guest.answer(&request, &json!({"unknown": []}));
        }
    }
    let said = command.finish();
    assert!(said.code == Some(1) && said.stderr.contains(why), "{said:?}");
}

/// A publisher with an action `feed`, and an instance that may subscribe.
fn feed() -> Cluster {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster
}

/// Subscribes a receiver that keeps what it gets; returns the id of the subscription.
fn recording(cluster: &Cluster) -> String {
    cluster.subscriber.plugin("receivers/record.sh", plugin::RECORD_SH);
    cluster.subscribe("feed", "record")
}

#[track_caller]
fn subscribe(cluster: &Cluster, receiver: &str, more: &[&str]) -> coattail_tests::Output {
    subscribe_with(cluster, receiver, more).ok()
}

fn subscribe_with(cluster: &Cluster, receiver: &str, more: &[&str]) -> coattail_tests::Output {
    let arguments = ["action", "subscribe", "--peer", &cluster.peer, "--action", "feed", "--receiver", receiver];
    cluster.subscriber.run(&[&arguments[..], more].concat())
}

/// A receiver that keeps the numbers of what it gets in a file of its own.
fn recorder(name: &str) -> String {
    format!("#!/bin/sh\necho \"$COATTAIL_PUBLICATION_SEQUENCE\" >> \"$COATTAIL_INSTANCE/{name}.txt\"\n")
}

fn recorded(instance: &Instance, name: &str) -> Vec<u64> {
    let text = fs::read_to_string(instance.path(&format!("{name}.txt"))).expect("it was called");
    text.lines().map(|line| line.parse().expect("a number")).collect()
}

fn sequences(instance: &Instance) -> Vec<u64> {
    instance.received().iter().map(|line| line["sequence"].as_u64().expect("a number")).collect()
}

fn subscriber(cluster: &Cluster) -> Value {
    cluster.publisher.json(&["subscribers", "list"])[0].clone()
}

fn waiting(cluster: &Cluster) -> Value {
    cluster.subscriber.json(&["subscriptions", "list"])[0]["waiting"].clone()
}
