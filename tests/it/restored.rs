//! P2 after a database was put back to an earlier state, at either end: nothing that is published afterwards is taken
//! for what was published before, what is lost is told, and what is still there is delivered again.

use std::fs;
use std::path::Path;

use coattail_tests::{Cluster, Instance, plugin, until};
use serde_json::{Value, json};

/// Publishes these, and waits until they were handled: so many in all.
fn publish(cluster: &Cluster, values: &[&str], handled: u64) {
    for value in values {
        cluster.publish("feed", &json!(value).to_string());
    }
    cluster.subscriber.wait_for("handled", handled);
}

/// What the subscriber has received, in order.
fn values(instance: &Instance) -> Vec<String> {
    let text = |line: &Value| line["value"].as_str().expect("a text").to_owned();
    instance.received().iter().map(text).collect()
}

fn recording() -> Cluster {
    recording_of(Instance::running("publisher"), Instance::running("subscriber"))
}

fn recording_of(publisher: Instance, subscriber: Instance) -> Cluster {
    publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    subscriber.plugin("receivers/record.sh", plugin::RECORD_SH);
    let cluster = Cluster::of(publisher, subscriber, &["--subscribable", "*"]);
    cluster.subscribe("feed", "record");
    cluster
}

/// Stops it, and starts it again: with its database of that moment, which is returned.
fn copy_of_database(instance: &mut Instance) -> Vec<u8> {
    instance.stop();
    let copy = fs::read(instance.path("data.db")).expect("there is a database");
    instance.start();
    copy
}

/// Stops it, and puts its database back.
fn put_back(instance: &mut Instance, copy: &[u8]) {
    instance.stop();
    fs::write(instance.path("data.db"), copy).expect("written");
}

fn is_restored(instance: &Instance) -> bool {
    instance.json(&["service", "status"])[0]["restored"].is_string()
}

fn ahead(instance: &Instance) -> Value {
    instance.json(&["subscribers", "list"])[0]["ahead"].clone()
}

#[test]
fn a_publisher_that_was_put_back_is_not_taken_for_what_it_was() {
    let mut cluster = recording();
    publish(&cluster, &["1", "2", "3"], 3);
    let copy = copy_of_database(&mut cluster.publisher);
    publish(&cluster, &["4", "5"], 5);
    assert!(!is_restored(&cluster.publisher));
    put_back(&mut cluster.publisher, &copy);
    cluster.publisher.start();
    assert!(cluster.publisher.log().contains("put back to an earlier state"), "{}", cluster.publisher.log());
    assert!(is_restored(&cluster.publisher));
    // Numbers that the subscriber has seen, and other publications.
    publish(&cluster, &["four", "five", "six"], 8);
    assert_eq!(values(&cluster.subscriber), ["1", "2", "3", "4", "5", "four", "five", "six"]);
    let numbers: Vec<_> = cluster.subscriber.received().iter().map(|line| line["sequence"].clone()).collect();
    assert_eq!(json!(numbers), json!([1, 2, 3, 4, 5, 4, 5, 6]));
    // Both ends know, and say so.
    until("the subscriber to tell how far it is", || (ahead(&cluster.publisher) == 2).then_some(()));
    until("the subscriber to say so", || {
        cluster.subscriber.log().contains("the publisher was restored from a backup").then_some(())
    });
    // Once: it goes on as ever after.
    cluster.publisher.kill();
    cluster.publisher.start();
    assert!(!cluster.publisher.log().contains("put back"), "{}", cluster.publisher.log());
    publish(&cluster, &["seven"], 9);
    assert_eq!(cluster.subscriber.counts()["missed"], 0);
}

#[test]
fn a_subscriber_that_was_put_back_gets_again_what_it_lacks() {
    let mut cluster = recording();
    publish(&cluster, &["1", "2", "3"], 3);
    let copy = copy_of_database(&mut cluster.subscriber);
    publish(&cluster, &["4", "5"], 5);
    put_back(&mut cluster.subscriber, &copy);
    cluster.subscriber.start();
    cluster.subscriber.wait_for("handled", 5);
    assert_eq!(values(&cluster.subscriber), ["1", "2", "3", "4", "5", "4", "5"]);
    publish(&cluster, &["6"], 6);
    let counts = cluster.subscriber.counts();
    assert_eq!((&counts["stored"], &counts["missed"]), (&json!(6), &json!(0)));
    let log = cluster.publisher.log();
    assert!(log.contains("lacks what it had stored"), "{log}");
}

#[test]
fn a_subscriber_that_was_put_back_and_is_dialled_gets_again_what_it_lacks() {
    let mut cluster = recording();
    publish(&cluster, &["1", "2", "3"], 3);
    let copy = copy_of_database(&mut cluster.subscriber);
    publish(&cluster, &["4", "5"], 5);
    put_back(&mut cluster.subscriber, &copy);
    cluster.publisher.stop();
    // The subscriber cannot come by itself, so it has no way to say what it lacks but in its answer.
    cluster.publisher.move_to_another_port();
    cluster.subscriber.start();
    cluster.publisher.start();
    publish(&cluster, &["6"], 6);
    assert_eq!(values(&cluster.subscriber), ["1", "2", "3", "4", "5", "4", "5", "6"]);
    assert_eq!(cluster.subscriber.counts()["missed"], 0);
}

#[test]
fn both_ends_can_be_put_back_to_different_moments() {
    for publisher_first in [true, false] {
        let mut cluster = recording();
        publish(&cluster, &["1", "2"], 2);
        let mut copies = Vec::new();
        for (n, of_publisher) in [publisher_first, !publisher_first].into_iter().enumerate() {
            let Cluster { publisher, subscriber, .. } = &mut cluster;
            copies.push((of_publisher, copy_of_database(if of_publisher { publisher } else { subscriber })));
            let value = if n == 0 { "3" } else { "4" };
            publish(&cluster, &[value], 3 + n as u64);
        }
        let Cluster { publisher, subscriber, .. } = &mut cluster;
        for (of_publisher, copy) in &copies {
            put_back(if *of_publisher { publisher } else { subscriber }, copy);
        }
        subscriber.start();
        publisher.start();
        let before = values(&cluster.subscriber);
        assert_eq!(before, ["1", "2", "3", "4"]);
        cluster.publish("feed", "\"new\"");
        // What both have of before, and what is new.
        let again: &[&str] = if publisher_first { &["new"] } else { &["3", "new"] };
        until("what is new to be handled", || values(&cluster.subscriber).contains(&"new".to_owned()).then_some(()));
        assert_eq!(values(&cluster.subscriber)[4..], *again, "publisher first: {publisher_first}");
        assert_eq!(cluster.subscriber.counts()["missed"], 0);
    }
}

#[test]
fn an_instance_whose_whole_folder_was_put_back_is_found_out_by_its_subscriber() {
    let mut cluster = recording();
    publish(&cluster, &["1", "2", "3"], 3);
    cluster.publisher.stop();
    let (folder, copy) = (cluster.publisher.folder().to_owned(), cluster.publisher.folder().with_extension("copy"));
    copy_folder(&folder, &copy);
    cluster.publisher.start();
    publish(&cluster, &["4", "5"], 5);
    cluster.publisher.stop();
    fs::remove_dir_all(&folder).expect("removed");
    fs::rename(&copy, &folder).expect("renamed");
    cluster.publisher.start();
    // Nothing in the folder tells.
    assert!(!is_restored(&cluster.publisher));
    publish(&cluster, &["four", "five"], 7);
    assert_eq!(values(&cluster.subscriber), ["1", "2", "3", "4", "5", "four", "five"]);
    until("the subscriber to tell how far it is", || (ahead(&cluster.publisher) == 2).then_some(()));
    let log = cluster.publisher.log();
    assert!(log.contains("publications that are not in the log here any more"), "{log}");
}

#[test]
fn p2_what_retention_has_removed_before_it_was_delivered_is_reported_as_a_gap() {
    let mut cluster = recording();
    publish(&cluster, &["1"], 1);
    cluster.subscriber.stop();
    for value in ["2", "3", "4", "5"] {
        cluster.publish("feed", &json!(value).to_string());
    }
    cluster.publisher.stop();
    // Each takes three bytes.
    cluster.publisher.configure("limits:\n  retention_bytes: 6 B");
    cluster.publisher.start();
    until("retention", || (cluster.publisher.counts()["undelivered"] == 2).then_some(()));
    cluster.subscriber.start();
    cluster.subscriber.wait_for("handled", 3);
    assert_eq!(values(&cluster.subscriber), ["1", "4", "5"]);
    assert_eq!(cluster.subscriber.counts()["missed"], 2);
    let log = cluster.subscriber.log();
    assert!(log.contains("a gap") && log.contains("missed=2"), "{log}");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).expect("made");
    fs::set_permissions(to, fs::metadata(from).expect("it is there").permissions()).expect("a mode");
    for entry in fs::read_dir(from).expect("readable") {
        let entry = entry.expect("readable");
        let kind = entry.file_type().expect("a type");
        if kind.is_dir() {
            copy_folder(&entry.path(), &to.join(entry.file_name()));
        } else if kind.is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }
}
