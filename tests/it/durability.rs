//! P1: what was accepted is on disk, and has its place in the log for ever, also after `kill -9`.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use coattail_tests::{Cluster, Control, Instance, Random, moment, plugin};
use nix::sys::signal::Signal;
use serde_json::{Value, json};

/// Programs that publish at once.
const CLIENTS: u64 = 3;

#[test]
fn what_a_killed_service_had_accepted_is_there_and_numbers_are_given_out_once() {
    const ROUNDS: u64 = 5;
    let mut cluster = recording_cluster();
    let mut random = Random::new(1);
    let mut accepted = BTreeMap::new();
    for round in 0..ROUNDS {
        for (sequence, value) in publish_until_killed(&mut cluster.publisher, round, 1 + random.below(200)) {
            assert_eq!(accepted.insert(sequence, value), None, "number {sequence} was given out twice");
        }
        cluster.publisher.start();
    }
    let published = check_that_all_arrives(&cluster, &accepted);
    // What was on its way when the service was killed may be there or not.
    assert!(published - accepted.len() as u64 <= CLIENTS * ROUNDS, "{published} of {}", accepted.len());
}

#[test]
fn what_a_killed_command_had_accepted_is_there() {
    const ROUNDS: u64 = 6;
    let mut cluster = recording_cluster();
    cluster.publisher.stop();
    let mut accepted = BTreeMap::new();
    for round in 0..ROUNDS {
        let publisher = &cluster.publisher;
        let (socket, log) = (publisher.path(".coattail/control.sock"), publisher.path("data.db-wal"));
        let _ = fs::remove_file(&socket);
        let value = |n: u64| json!({"round": round, "n": n});
        let publish = |n: u64| {
            let value = value(n).to_string();
            publisher.begin(&["action", "publish", "--action", "feed", "--data", &value, "--json"])
        };
        let mut killed = publish(0);
        match round % 3 {
            // It may be done before anybody has looked.
            0 => moment("the command to have opened the instance", || socket.exists() || killed.has_ended()),
            1 => moment("the command to write", || {
                fs::metadata(&log).is_ok_and(|file| file.len() > 0) || killed.has_ended()
            }),
            // Right into its start.
            _ => {}
        }
        killed.signal(Signal::SIGKILL);
        let killed = killed.finish();
        let whole = publish(1).finish().ok();
        for (n, output) in [(0, killed), (1, whole)] {
            // An answer is a whole line; a killed command may have written it.
            if output.stdout.ends_with('\n') {
                let sequence = output.json()["sequence"].as_u64().expect("a number");
                assert_eq!(accepted.insert(sequence, value(n)), None, "number {sequence} was given out twice");
            }
        }
    }
    assert!(accepted.len() as u64 >= ROUNDS, "{accepted:?}");
    cluster.publisher.start();
    let published = check_that_all_arrives(&cluster, &accepted);
    assert!(published <= 2 * ROUNDS, "{published}");
}

#[test]
fn commands_at_once_without_a_service_publish_once_each() {
    const COMMANDS: u64 = 8;
    let mut cluster = recording_cluster();
    cluster.publisher.stop();
    let begin = |n: u64| {
        let publish = ["action", "publish", "--action", "feed", "--data", &n.to_string(), "--json"];
        (n, cluster.publisher.begin(&publish))
    };
    let commands: Vec<_> = (0..COMMANDS).map(begin).collect();
    let mut accepted = BTreeMap::new();
    for (n, command) in commands {
        let sequence = command.finish().ok().json()["sequence"].as_u64().expect("a number");
        assert_eq!(accepted.insert(sequence, json!(n)), None, "number {sequence} was given out twice");
    }
    cluster.publisher.start();
    assert_eq!(check_that_all_arrives(&cluster, &accepted), COMMANDS);
}

fn recording_cluster() -> Cluster {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscriber.plugin("receivers/record.js", plugin::RECORD_JS);
    cluster.subscribe("feed", "record");
    cluster
}

/// Publishes from several connections, and kills the service as soon as it has accepted so many. Returns what it had
/// accepted, by number.
fn publish_until_killed(publisher: &mut Instance, round: u64, enough: u64) -> Vec<(u64, Value)> {
    let clients: Vec<Control> = (0..CLIENTS).map(|_| Control::connect(publisher)).collect();
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        let publish = |(client, control): (usize, Control)| {
            let answered = &answered;
            scope.spawn(move || {
                let mut accepted = Vec::new();
                for n in 0_u64.. {
                    let value = json!({"round": round, "client": client, "n": n});
                    let Ok(sequence) = control.publish("feed", &value) else { break };
                    accepted.push((sequence, value));
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                accepted
            })
        };
        let clients: Vec<_> = clients.into_iter().enumerate().map(publish).collect();
        moment("enough publications", || answered.load(Ordering::Relaxed) >= enough);
        publisher.kill();
        clients.into_iter().flat_map(|client| client.join().expect("no panic")).collect()
    })
}

/// Everything that was accepted reaches the subscriber with its number; no number is missing. Returns how many there
/// are.
fn check_that_all_arrives(cluster: &Cluster, accepted: &BTreeMap<u64, Value>) -> u64 {
    let published = cluster.publisher.counts()["published"].as_u64().expect("a number");
    cluster.subscriber.wait_for("handled", published);
    let received = cluster.subscriber.received();
    let numbers: Vec<_> = received.iter().map(|line| line["sequence"].as_u64().expect("a number")).collect();
    assert_eq!(numbers, (1..=published).collect::<Vec<_>>());
    for (sequence, value) in accepted {
        let at = usize::try_from(sequence - 1).expect("small");
        assert_eq!(received.get(at).map(|line| &line["value"]), Some(value), "number {sequence}");
    }
    published
}
