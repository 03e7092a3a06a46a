//! P2 and P3: publications reach every subscriber, in order, and are stored once; a receiver that finished is not
//! called again.

use std::fs;
use std::thread;

use coattail_tests::{Cluster, Control, Instance, Random, moment, plugin, until};
use serde_json::{Value, json};

/// A token that grants everything.
const EVERYTHING: &[&str] = &["--performable", "*", "--publishable", "*", "--subscribable", "*"];

#[test]
fn a_subscriber_that_was_away_gets_everything_when_it_comes_back() {
    const COUNT: u64 = 40;
    let mut cluster = recording(Cluster::pair());
    cluster.subscriber.stop();
    publish_all(&Control::connect(&cluster.publisher), 0..COUNT);
    assert_eq!(cluster.publisher.counts()["undelivered"], COUNT);
    cluster.subscriber.start();
    check_that_all_is_handled(&cluster, COUNT, 0);
}

#[test]
fn a_backlog_of_many_deliveries_comes_whole_and_in_order() {
    // Several deliveries, whose ends are not those of what was signed together; two of them are under way in turns.
    const COUNT: usize = 2_000;
    let mut cluster = recording(Cluster::pair());
    let listed = cluster.subscriber.json(&["subscriptions", "list"]);
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    // What is delivered stays in the inbox.
    let _ = cluster.subscriber.run(&["subscriptions", "pause", &id]).ok();
    cluster.subscriber.stop();
    for half in [0..COUNT / 2, COUNT / 2..COUNT] {
        let lines: String = half.map(|value| format!("{value}\n")).collect();
        let _ = cluster.publisher.run_with(&["action", "publish", "feed", "--batch", "-"], &lines).ok();
    }
    cluster.subscriber.start();
    cluster.subscriber.wait_for("stored", COUNT as u64);
    let counts = cluster.subscriber.counts();
    assert_eq!((&counts["waiting"], &counts["missed"]), (&json!(COUNT), &json!(0)));
    until("the publisher knows", || (cluster.publisher.counts()["undelivered"] == 0).then_some(()));
    assert_eq!(cluster.publisher.counts()["delivered"], COUNT);
}

#[test]
fn a_subscriber_that_is_killed_in_the_middle_stores_everything_once() {
    survives_kills(&mut Random::new(2), |_, cluster| vec![&mut cluster.subscriber], 4);
}

#[test]
fn what_a_killed_publisher_has_not_heard_of_is_stored_once() {
    survives_kills(&mut Random::new(3), |_, cluster| vec![&mut cluster.publisher], 0);
}

#[test]
fn what_is_delivered_again_is_recognised() {
    let mut cluster = recording(Cluster::pair());
    cluster.subscriber.stop();
    publish_all(&Control::connect(&cluster.publisher), 0..20);
    cluster.publisher.stop();
    // As if its disk had lost every acknowledgement: nothing of what follows is in there.
    let before = fs::read(cluster.publisher.path("data.db")).expect("there is a database");
    cluster.publisher.start();
    cluster.subscriber.start();
    check_that_all_is_handled(&cluster, 20, 0);
    cluster.publisher.stop();
    fs::write(cluster.publisher.path("data.db"), before).expect("written");
    cluster.publisher.start();
    assert_eq!(cluster.publish("feed", "20"), 21);
    // All of it was sent again, since the new one is there.
    check_that_all_is_handled(&cluster, 21, 0);
}

#[test]
fn both_sides_can_be_killed_in_the_middle() {
    survives_kills(
        &mut Random::new(4),
        |round, cluster| {
            let Cluster { publisher, subscriber, .. } = cluster;
            if round % 2 == 0 { vec![publisher, subscriber] } else { vec![subscriber, publisher] }
        },
        4,
    );
}

#[test]
fn a_receiver_that_fails_is_tried_again_in_order_and_then_given_up() {
    let subscriber = Instance::new("subscriber");
    subscriber.configure("receivers:\n  retry: [50ms, 100ms]");
    let cluster = with_subscriber(subscriber);
    let judge = "case \"$value\" in '\"fails\"') exit 1;; '\"rejected\"') exit 65;; esac\n\
        test \"$value $COATTAIL_PUBLICATION_ATTEMPT\" != '\"later\" 1' || exit 75\n";
    cluster.subscriber.plugin("receivers/judge.sh", &format!("{}{judge}", plugin::RECORD_SH));
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscribe("feed", "judge");
    for value in ["1", "\"fails\"", "\"rejected\"", "\"later\"", "2"] {
        cluster.publish("feed", value);
    }
    cluster.subscriber.wait_for("handled", 3);
    let tried: Vec<_> = cluster.subscriber.received().iter().map(|line| line_of(line, "attempt")).collect();
    let wanted = [(1, 1), (2, 1), (2, 2), (2, 3), (3, 1), (4, 1), (4, 2), (5, 1)];
    assert_eq!(tried, wanted, "sequence and attempt");
    check_counts(&cluster, 5, 3, 2);
    let log = cluster.subscriber.log();
    assert_eq!(log.matches("went to the dead letters").count(), 2, "{log}");
}

#[test]
fn what_waits_for_another_try_survives_a_kill() {
    let subscriber = Instance::new("subscriber");
    subscriber.configure("receivers:\n  retry: [50ms, 50ms, 50ms, 50ms, 50ms, 50ms, 1h]");
    let mut cluster = with_subscriber(subscriber);
    let picky = format!("{}test -e \"$COATTAIL_INSTANCE/repaired\"\n", plugin::RECORD_SH);
    cluster.subscriber.plugin("receivers/picky.sh", &picky);
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscribe("feed", "picky");
    cluster.publish("feed", "1");
    cluster.publish("feed", "2");
    until("the first tries", || (cluster.subscriber.received().len() >= 2).then_some(()));
    cluster.subscriber.kill();
    fs::write(cluster.subscriber.path("repaired"), "").expect("written");
    cluster.subscriber.start();
    cluster.subscriber.wait_for("handled", 2);
    let tried: Vec<_> = cluster.subscriber.received().iter().map(|line| line_of(line, "attempt")).collect();
    let (last, before) = tried.split_last().expect("there were tries");
    assert_eq!(*last, (2, 1), "{tried:?}");
    // The try that was killed is not counted.
    assert!(before.windows(2).all(|pair| pair[0].0 == 1 && pair[1].1 - pair[0].1 <= 1), "{tried:?}");
    check_counts(&cluster, 2, 2, 0);
}

#[test]
fn a_subscriber_that_nobody_can_dial_gets_everything_through_the_session_it_opened() {
    let subscriber = Instance::new("subscriber");
    // Kept for documentation: nobody answers there.
    subscriber.reconfigure("connection: \"127.0.0.1\"", "connection: \"192.0.2.1\"");
    let mut cluster = recording(with_subscriber(subscriber));
    cluster.publish("feed", "0");
    check_that_all_is_handled(&cluster, 1, 0);
    // It comes back by itself, too.
    cluster.publisher.kill();
    cluster.publisher.start();
    cluster.publish("feed", "1");
    check_that_all_is_handled(&cluster, 2, 0);
    let row = &cluster.publisher.json(&["subscribers", "list"])[0];
    assert_eq!(row["attached"], true);
    assert!(row["addresses"].to_string().contains("192.0.2.1"), "{row}");
}

#[test]
fn p10_a_publisher_that_has_moved_dials_its_subscriber() {
    let mut cluster = recording(Cluster::pair());
    cluster.publisher.stop();
    // The token of the subscriber leads to where nobody listens any more.
    cluster.publisher.move_to_another_port();
    cluster.publisher.start();
    cluster.publish("feed", "0");
    check_that_all_is_handled(&cluster, 1, 0);
    // It has said where it is now, so that the subscriber comes by itself again.
    until("the subscriber to attach where the publisher is now", || {
        (cluster.publisher.json(&["subscribers", "list"])[0]["attached"] == true).then_some(())
    });
}

#[test]
fn several_receivers_and_subscribers_get_each_publication_once() {
    let cluster = recording(Cluster::pair());
    cluster.subscriber.plugin("receivers/second.js", plugin::RECORD_JS);
    cluster.subscribe("feed", "second");
    let other = Instance::running("other");
    other.plugin("receivers/record.js", plugin::RECORD_JS);
    let peer = coattail_tests::cluster::add_peer(&cluster.publisher, &other, EVERYTHING);
    other.json(&["action", "subscribe", "--peer", &peer, "--action", "feed", "--receiver", "record"]);
    publish_all(&Control::connect(&cluster.publisher), 0..10);
    cluster.subscriber.wait_for("handled", 20);
    other.wait_for("handled", 10);
    assert_eq!(cluster.publisher.counts()["delivered"], 30);
    for (instance, each) in [(&cluster.subscriber, 2), (&other, 1)] {
        let mut numbers: Vec<_> = instance.received().iter().map(|line| line["sequence"].as_u64()).collect();
        numbers.sort_unstable();
        let wanted: Vec<_> = (1..=10).flat_map(|sequence| vec![Some(sequence); each]).collect();
        assert_eq!(numbers, wanted);
    }
}

/// Two instances that are peers; the subscriber is one that was made before.
fn with_subscriber(mut subscriber: Instance) -> Cluster {
    subscriber.start();
    Cluster::of(Instance::running("publisher"), subscriber, EVERYTHING)
}

fn recording(cluster: Cluster) -> Cluster {
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/record.js", plugin::RECORD_JS);
    cluster.subscribe("feed", "record");
    cluster
}

fn publish_all(control: &Control, values: std::ops::Range<u64>) {
    for value in values {
        control.publish("feed", &json!(value)).expect("accepted");
    }
}

/// Publishes a stream, kills whom `victims` names at random moments, while it is published, delivered and handled, and
/// checks that all is handled in order. A receiver may be called again for what it was handling when its instance was
/// killed: so many times.
fn survives_kills(random: &mut Random, victims: fn(usize, &mut Cluster) -> Vec<&mut Instance>, again: usize) {
    const ROUNDS: usize = 4;
    const EACH: u64 = 150;
    let mut cluster = recording(Cluster::pair());
    for round in 0..ROUNDS {
        let control = Control::connect(&cluster.publisher);
        // It ends early if its service does.
        let publishing = thread::spawn(move || (0..EACH).all(|n| control.publish("feed", &json!(n)).is_ok()));
        let goal = cluster.subscriber.received().len() + usize::try_from(random.below(40)).expect("small");
        moment("the next kill", || cluster.subscriber.received().len() >= goal);
        let mut victims = victims(round, &mut cluster);
        victims.iter_mut().for_each(|victim| victim.kill());
        publishing.join().expect("no panic");
        victims.iter_mut().for_each(|victim| victim.start());
    }
    let published = cluster.publisher.counts()["published"].as_u64().expect("a number");
    check_that_all_is_handled(&cluster, published, again);
}

/// Everything is stored once and was handled in order; a receiver was called again at most so many times.
fn check_that_all_is_handled(cluster: &Cluster, count: u64, again: usize) {
    cluster.subscriber.wait_for("handled", count);
    let numbers: Vec<_> = cluster.subscriber.received().iter().map(|line| line["sequence"].as_u64()).collect();
    let mut once = numbers.clone();
    // Only neighbours: whatever comes again out of order stays.
    once.dedup();
    assert_eq!(once, (1..=count).map(Some).collect::<Vec<_>>(), "in order");
    assert!(numbers.len() - once.len() <= again, "called again: {numbers:?}");
    check_counts(cluster, count, count, 0);
}

fn check_counts(cluster: &Cluster, stored: u64, handled: u64, dead: u64) {
    let Value::Object(at_subscriber) = cluster.subscriber.counts() else { panic!("no object") };
    for (count, wanted) in [("stored", stored), ("handled", handled), ("dead", dead), ("waiting", 0)] {
        assert_eq!(at_subscriber[count], wanted, "{count}");
    }
    // The publisher hears of it a moment later.
    cluster.publisher.wait_for("delivered", stored);
    let at_publisher = cluster.publisher.counts();
    for (count, wanted) in [("published", stored), ("delivered", stored), ("undelivered", 0)] {
        assert_eq!(at_publisher[count], wanted, "{count}");
    }
}

fn line_of(line: &Value, field: &str) -> (u64, u64) {
    let number = |field: &str| line[field].as_u64().expect("a number");
    (number("sequence"), number(field))
}
