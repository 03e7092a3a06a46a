//! P1 and P8 on a disk that fails: nothing is accepted that is not on it, whoever asks is told, and what was accepted is
//! there after a restart.

use std::fs::OpenOptions;

use coattail::wire::ErrorCode;
use coattail_tests::{Cluster, Control, FailingDisk, Instance, plugin, until};
use serde_json::{Value, json};

#[test]
fn p1_p8_a_publisher_whose_fsync_fails_once_accepts_nothing_more_and_says_so() {
    // Some fail while a transaction is committed, some while the write-ahead log is written back.
    for nth in [1, 2, 9, 43] {
        let mut cluster = recording();
        let control = Control::connect(&cluster.publisher);
        let Some(disk) = FailingDisk::of(cluster.publisher.pid(), nth) else { return };
        let mut accepted = publish_until_stopped(&control);
        drop(disk);
        // It does not try whether it would work again, since the system would not say so.
        let failure = control.publish("feed", &json!(0)).expect_err("refused");
        assert_eq!(failure.code, ErrorCode::StorageFailed, "{failure:?}");
        assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains("restart the service")), "{failure:?}");
        let status = &cluster.publisher.json(&["service", "status"])[0];
        assert!(status["disk"]["refusal"].to_string().contains("nothing is accepted any more"), "{status}");
        assert!(status["disk"]["hint"].to_string().contains("restart the service"), "{status}");
        let findings = cluster.publisher.run(&["doctor", "--json"]).json();
        let of_disk = findings.as_array().expect("a list").iter().find(|finding| finding["area"] == "disk");
        assert_eq!(of_disk.expect("it is looked at")["level"], "failure");
        assert_eq!(cluster.publisher.json(&["action", "perform", "feed", "--data", "1"])["result"], 1);
        until("it to be logged", || cluster.publisher.log().contains("is not written to any more").then_some(()));
        // As the hint says.
        cluster.publisher.stop();
        cluster.publisher.start();
        let control = Control::connect(&cluster.publisher);
        let last = control.publish("feed", &json!("last")).expect("accepted");
        accepted.push((last, json!("last")));
        check_received(&cluster, &accepted);
    }
}

#[test]
fn p1_p3_a_subscriber_whose_fsync_fails_once_has_no_receiver_called_again_and_again() {
    for nth in [1, 2, 5] {
        let mut cluster = recording();
        let control = Control::connect(&cluster.publisher);
        let Some(disk) = FailingDisk::of(cluster.subscriber.pid(), nth) else { return };
        let publish = |n: u64| (control.publish("feed", &json!(n)).expect("accepted"), json!(n));
        let mut accepted: Vec<_> = (0..20).map(publish).collect();
        // Not every write waits for the disk: until one of a delivery has failed.
        until("the publisher to be told", || {
            accepted.push(publish(accepted.len() as u64));
            let last = cluster.publisher.json(&["subscribers", "list"])[0]["last_error"].clone();
            last.as_str()?.contains("nothing is accepted any more").then_some(())
        });
        drop(disk);
        let status = &cluster.subscriber.json(&["service", "status"])[0];
        assert!(status["disk"]["refusal"].to_string().contains("nothing is accepted any more"), "{status}");
        let called = cluster.subscriber.received().len();
        cluster.subscriber.stop();
        assert_eq!(cluster.subscriber.received().len(), called, "called although it could not be noted");
        cluster.subscriber.start();
        accepted.push(publish(accepted.len() as u64));
        cluster.subscriber.wait_for("handled", accepted.len() as u64);
        let mut sequences: Vec<_> = received(&cluster.subscriber).into_iter().map(|(sequence, _)| sequence).collect();
        let calls = sequences.len();
        assert!(sequences.is_sorted(), "{sequences:?}");
        sequences.dedup();
        assert!(sequences.iter().copied().eq(1..=accepted.len() as u64), "{sequences:?}");
        // The one whose end could not be noted.
        assert!(calls <= accepted.len() + 1, "{calls} calls");
    }
}

#[test]
fn a_write_ahead_log_that_is_cut_while_the_service_runs_is_noticed() {
    let cluster = recording();
    let control = Control::connect(&cluster.publisher);
    let mut accepted = Vec::new();
    for n in 0..5 {
        accepted.push((control.publish("feed", &json!(n)).expect("accepted"), json!(n)));
    }
    check_received(&cluster, &accepted);
    until("the cursor to be written", || (cluster.publisher.counts()["undelivered"] == 0).then_some(()));
    let log = cluster.publisher.path("data.db-wal");
    let file = OpenOptions::new().write(true).open(&log).expect("a service that runs has one");
    file.set_len(file.metadata().expect("it is there").len() - 4096).expect("cut");
    let failure = control.publish("feed", &json!("lost")).expect_err("what would be behind a hole is not accepted");
    assert_eq!(failure.code, ErrorCode::StorageFailed, "{failure:?}");
    // What was cut off may be what the status is read from.
    let status = cluster.publisher.run(&["service", "status", "--json"]);
    if status.code == Some(0) {
        assert!(status.ok().json()[0]["disk"]["refusal"].is_string());
    } else {
        let error = status.failed(1, "internal");
        assert!(error["message"].to_string().contains("damaged"), "{error}");
    }
}

fn recording() -> Cluster {
    let cluster = Cluster::with_grants(&["--subscribable", "*"]);
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/record.sh", plugin::RECORD_SH);
    cluster.subscribe("feed", "record");
    cluster
}

/// Publishes until the disk has failed; returns what was accepted.
#[track_caller]
fn publish_until_stopped(control: &Control) -> Vec<(u64, Value)> {
    let mut accepted = Vec::new();
    for n in 0..1_000 {
        // Large, so that the write-ahead log is soon long enough to be written back.
        let value = json!({"n": n, "filler": "x".repeat(200_000)});
        match control.publish("feed", &value) {
            Ok(sequence) => accepted.push((sequence, value)),
            Err(failure) => {
                assert_eq!(failure.code, ErrorCode::StorageFailed, "{failure:?}");
                return accepted;
            }
        }
    }
    panic!("it did not fail");
}

fn received(instance: &Instance) -> Vec<(u64, Value)> {
    let line = |line: &Value| (line["sequence"].as_u64().expect("a number"), line["value"].clone());
    instance.received().iter().map(line).collect()
}

/// Everything that was accepted was received, under its number. What was being written when the disk failed may be
/// there besides: nobody was told that it was accepted, and nobody that it was not.
#[track_caller]
fn check_received(cluster: &Cluster, accepted: &[(u64, Value)]) {
    let published = cluster.publisher.counts()["published"].as_u64().expect("a number");
    cluster.subscriber.wait_for("handled", published);
    let received = received(&cluster.subscriber);
    assert!(received.iter().map(|(sequence, _)| *sequence).eq(1..=published), "{} of {published}", received.len());
    assert!(published <= accepted.len() as u64 + 1, "{published} of {}", accepted.len());
    for one in accepted {
        assert!(received.contains(one), "number {} is lost", one.0);
    }
}
