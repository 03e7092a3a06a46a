//! P1, P2 and P8 on a disk that is full: what is new is refused at once, nothing that was accepted is lost, what was
//! accepted before can be finished and deleted, and it goes on without a restart when there is room.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use coattail::wire::ErrorCode;
use coattail_tests::{Cluster, Control, Instance, Random, SmallDisk, moment, plugin, until};
use serde_json::{Value, json};

const GRANTS: &[&str] = &["--performable", "*", "--subscribable", "*"];

/// To be told at once, on a machine that is busy with other tests.
const AT_ONCE: Duration = Duration::from_secs(2);

#[test]
fn p8_a_full_disk_is_told_at_once_and_loses_nothing_that_was_accepted() {
    let name = "full_disk::p8_a_full_disk_is_told_at_once_and_loses_nothing_that_was_accepted";
    SmallDisk::with(name, "6m", |disk| {
        let mut cluster = with_publisher_on(disk);
        cluster.subscriber.stop();
        let control = Control::connect(&cluster.publisher);
        let mut accepted = publish_until_full(&control, 0, large);
        assert!(!accepted.is_empty());
        accepted.extend(publish_until_full(&control, 500, small));
        // It is said wherever somebody may look.
        let said = |field: &str| cluster.publisher.json(&["service", "status"])[0]["disk"][field].clone();
        assert!(said("refusal").to_string().contains("are kept for what was accepted"), "{}", said("refusal"));
        assert!(said("hint").to_string().contains("make room"), "{}", said("hint"));
        let found = cluster.publisher.run(&["doctor", "--json"]).json();
        let found = found.as_array().expect("a list").iter().find(|finding| finding["area"] == "disk");
        assert_eq!(found.expect("it is looked at")["level"], "failure");
        // What does not need the disk goes on, as does what makes room: cursors move, rows are deleted.
        let performed = cluster.publisher.json(&["action", "perform", "echo", "--data", "1"]);
        assert_eq!(performed["result"], 1);
        let output = cluster.publisher.run(&[
            "action",
            "perform",
            "echo",
            "--notify",
            "--data",
            &large(0).to_string(),
            "--json",
        ]);
        assert!(output.exited(1).json()["publication_error"].is_string());
        cluster.subscriber.start();
        cluster.subscriber.wait_for("handled", accepted.len() as u64);
        until("every cursor to be at the end", || (cluster.publisher.counts()["undelivered"] == 0).then_some(()));
        let token = cluster.publisher.json(&["token", "issue"])["id"].as_str().expect("an id").to_owned();
        let _ = cluster.publisher.run(&["token", "revoke", &token, "--yes"]).ok();
        // Room is all that it needs.
        disk.resize("64m");
        for n in 2_000..2_003 {
            control.publish("echo", &large(n)).expect("accepted");
            accepted.push(n);
        }
        assert_eq!(said("refusal"), Value::Null);
        check_received(&cluster, &accepted);
    });
}

#[test]
fn p1_p8_a_disk_that_others_fill_at_any_moment_loses_nothing_that_was_accepted() {
    const ROUNDS: u64 = 6;
    let name = "full_disk::p1_p8_a_disk_that_others_fill_at_any_moment_loses_nothing_that_was_accepted";
    SmallDisk::with(name, "24m", |disk| {
        let cluster = with_publisher_on(disk);
        let control = Control::connect(&cluster.publisher);
        let (mut accepted, mut random) = (Vec::new(), Random::new(5));
        let mut first = 0;
        for _ in 0..ROUNDS {
            let enough = random.below(8);
            let answered = AtomicU64::new(0);
            let (taken, next) = thread::scope(|scope| {
                let publishing = scope.spawn(|| {
                    let (mut taken, mut refused, mut n) = (Vec::new(), 0, first);
                    // Until it was refused some times, and is taken again.
                    while refused < 3 || taken.last() != Some(&(n - 1)) {
                        let start = Instant::now();
                        match control.publish("echo", &large(n)) {
                            Ok(_) => taken.push(n),
                            Err(failure) => {
                                assert_eq!(failure.code, ErrorCode::StorageFull, "{failure:?}");
                                assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
                                refused += 1;
                            }
                        }
                        n += 1;
                        answered.fetch_add(1, Ordering::Relaxed);
                        if refused >= 3 && disk.is_filled() {
                            disk.empty();
                        }
                    }
                    (taken, n)
                });
                moment("some to be answered", || {
                    answered.load(Ordering::Relaxed) >= enough || publishing.is_finished()
                });
                disk.fill();
                publishing.join().expect("no panic")
            });
            accepted.extend(taken);
            first = next;
            // There is room for the next round.
            disk.resize(&format!("{}m", 24 + 4 * first));
        }
        check_received(&cluster, &accepted);
    });
}

#[test]
fn p2_p8_a_subscriber_whose_disk_is_full_loses_nothing_and_takes_the_rest_when_there_is_room() {
    let name = "full_disk::p2_p8_a_subscriber_whose_disk_is_full_loses_nothing_and_takes_the_rest_when_there_is_room";
    SmallDisk::with(name, "6m", |disk| {
        let mut subscriber = Instance::new("subscriber");
        disk.take(&subscriber);
        subscriber.configure("receivers:\n  retry: []");
        subscriber.start();
        let cluster = Cluster::of(Instance::running("publisher"), subscriber, GRANTS);
        cluster.publisher.plugin("actions/echo.sh", plugin::ECHO_SH);
        // Every one becomes a dead letter.
        cluster.subscriber.plugin("receivers/keep.sh", &format!("{}exit 65\n", plugin::KEEP_SH));
        cluster.subscribe("echo", "keep");
        let control = Control::connect(&cluster.publisher);
        let count = 60;
        for n in 0..count {
            control.publish("echo", &large(n)).expect("accepted");
        }
        until("the publisher to be told", || {
            let subscribers = cluster.publisher.json(&["subscribers", "list"]);
            subscribers[0]["last_error"].as_str()?.contains("are kept for what was accepted").then_some(())
        });
        let dead = || cluster.subscriber.counts()["dead"].as_u64().expect("a number");
        until("what is there to be handled", || (cluster.subscriber.counts()["waiting"] == 0).then_some(()));
        assert!((1..count).contains(&dead()), "{}", dead());
        // The owner makes room in the database itself, as often as it takes.
        until("the rest to come", || {
            if cluster.subscriber.counts()["stored"] == count {
                return Some(());
            }
            let _ = cluster.subscriber.run(&["dead-letters", "drop", "--all", "--yes"]);
            None
        });
        until("all to be handled", || (cluster.subscriber.counts()["waiting"] == 0).then_some(()));
        let numbers: Vec<u64> = (0..count).collect();
        check_received(&cluster, &numbers);
    });
}

fn with_publisher_on(disk: &SmallDisk) -> Cluster {
    let mut publisher = Instance::new("publisher");
    disk.take(&publisher);
    publisher.plugin("actions/echo.sh", plugin::ECHO_SH);
    publisher.start();
    let cluster = Cluster::of(publisher, Instance::running("subscriber"), GRANTS);
    cluster.subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    cluster.subscribe("echo", "keep");
    cluster
}

fn large(n: u64) -> Value {
    json!({"n": n, "filler": "x".repeat(100_000)})
}

fn small(n: u64) -> Value {
    json!({"n": n, "filler": "x".repeat(1_000)})
}

/// Publishes until it was refused some times; returns what was accepted.
#[track_caller]
fn publish_until_full(control: &Control, first: u64, value: fn(u64) -> Value) -> Vec<u64> {
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for n in first..first + 1_000 {
        let start = Instant::now();
        match control.publish("echo", &value(n)) {
            Ok(_) => accepted.push(n),
            Err(failure) => {
                assert_eq!(failure.code, ErrorCode::StorageFull, "{failure:?}");
                assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains("room")), "{failure:?}");
                assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
                refused += 1;
            }
        }
        if refused == 5 {
            return accepted;
        }
    }
    panic!("{} were accepted, {refused} refused", accepted.len());
}

/// What was accepted was handled: all of it, in order, and nothing else.
#[track_caller]
fn check_received(cluster: &Cluster, accepted: &[u64]) {
    until("everything that was accepted to be received", || {
        (cluster.subscriber.received().len() >= accepted.len()).then_some(())
    });
    let received: Vec<Value> = cluster.subscriber.received().iter().map(|value| value["n"].clone()).collect();
    assert_eq!(json!(received), json!(accepted));
    for log in [cluster.publisher.log(), cluster.subscriber.log()] {
        assert!(!log.contains("panicked"), "{log}");
    }
}
