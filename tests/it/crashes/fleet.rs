//! A publisher and three subscribers, who are killed and restarted.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use coattail_tests::cluster::add_peer;
use coattail_tests::wait::PATIENCE;
use coattail_tests::{Instance, instance, until};
use serde_json::Value;

use super::check::Boundary;
use super::points::Receiver;
use super::rounds::Round;

pub(super) const SUBSCRIBERS: usize = 3;

/// The publisher is the first of the instances.
pub(super) const PUBLISHER: usize = 0;

pub(super) struct Fleet {
    instances: Vec<Instance>,
    /// What each subscriber's receiver had been called for when its service was killed.
    pub(super) boundaries: Vec<Vec<Boundary>>,
    pub(super) kills: usize,
}

impl Fleet {
    /// All of them run, and every subscriber's `record` is subscribed to `feed`. `limits` are those of the publisher.
    #[track_caller]
    pub(super) fn new(limits: &str) -> Self {
        let publisher = Instance::new("publisher");
        publisher.configure(limits);
        publisher.plugin("actions/feed.sh", coattail_tests::plugin::ECHO_SH);
        let mut instances = vec![publisher];
        for number in 1..=SUBSCRIBERS {
            let subscriber = Instance::new(&format!("subscriber-{number}"));
            // One more try, soon.
            subscriber.configure("receivers:\n  retry: [10ms]");
            symlink(instance::binary("record-receiver"), subscriber.path("receivers/record")).expect("a link");
            instances.push(subscriber);
        }
        instances.iter_mut().for_each(Instance::start);
        let fleet = Self { instances, boundaries: vec![Vec::new(); SUBSCRIBERS + 1], kills: 0 };
        for subscriber in fleet.subscribers() {
            let peer = add_peer(fleet.publisher(), subscriber, &["--subscribable", "*"]);
            subscribe(subscriber, &peer);
        }
        fleet
    }

    pub(super) fn publisher(&self) -> &Instance {
        &self.instances[PUBLISHER]
    }

    pub(super) fn publisher_mut(&mut self) -> &mut Instance {
        &mut self.instances[PUBLISHER]
    }

    pub(super) fn subscribers(&self) -> &[Instance] {
        &self.instances[PUBLISHER + 1..]
    }

    /// Has a service restarted, to be killed at a point; what it did before is cut off anywhere.
    #[track_caller]
    pub(super) fn arm(&mut self, victim: usize, round: &Round) {
        if self.instances[victim].is_running() {
            self.instances[victim].kill();
            self.note(victim, Receiver::PerhapsAgain);
        }
        self.instances[victim].launch(&[("COATTAIL_KILL_AT", &round.order())]);
    }

    /// Waits until it was killed there, and does something meanwhile.
    #[track_caller]
    pub(super) fn wait_for_the_kill(&mut self, victim: usize, round: &Round, meanwhile: impl Fn(&Self)) {
        let start = Instant::now();
        while self.instances[victim].ended().is_none() {
            assert!(
                start.elapsed() < PATIENCE,
                "it was not killed {}\n{}",
                round.again(),
                self.instances[victim].log()
            );
            meanwhile(self);
            // There are hundreds of these waits, each of some milliseconds.
            std::thread::sleep(Duration::from_millis(2));
        }
        let instance = &mut self.instances[victim];
        until(&format!("the last words of whoever was killed {}, in:\n{}", round.again(), instance.log()), || {
            // Another thread may have logged something in its last moment.
            instance.log().contains(&format!("{}\n", round.last_words())).then_some(())
        });
        instance.forget();
        self.note(victim, round.point.receiver);
        self.kills += 1;
    }

    /// What the receiver of one that was killed has kept until then: nothing of its processes is left (P9).
    #[track_caller]
    fn note(&mut self, victim: usize, receiver: Receiver) {
        let instance = &self.instances[victim];
        until("the processes of whoever was killed to end", || instance.processes().is_empty().then_some(()));
        if victim != PUBLISHER {
            let lines = instance.received().len();
            self.boundaries[victim].push(Boundary { lines, receiver });
        }
    }

    /// What every receiver was called for.
    pub(super) fn handled(&self) -> u64 {
        self.subscribers().iter().map(last_sequence).min().unwrap_or_default()
    }

    /// Starts whoever does not run, and waits until all are ready.
    #[track_caller]
    pub(super) fn start_all(&mut self) {
        self.instances.iter_mut().filter(|instance| !instance.is_running()).for_each(Instance::start);
        self.instances.iter_mut().for_each(Instance::wait_until_ready);
    }

    #[track_caller]
    pub(super) fn wait_until_ready(&mut self, number: usize) {
        self.instances[number].wait_until_ready();
    }

    /// Starts one that does not run, and does not wait for anything.
    #[track_caller]
    pub(super) fn launch(&mut self, number: usize) {
        self.instances[number].launch(&[]);
    }
}

/// What the receiver of a subscriber was called for last. Looked up often, so only the end of the file is read.
fn last_sequence(subscriber: &Instance) -> u64 {
    let read = || {
        let mut file = File::open(subscriber.path("received.jsonl")).ok()?;
        let length = file.metadata().ok()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(LINES))).ok()?;
        let mut end = String::new();
        file.read_to_string(&mut end).ok()?;
        end.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["sequence"].as_u64()).next_back()
    };
    read().unwrap_or_default()
}

/// Bytes in which there is at least one whole line.
const LINES: u64 = 1024;

#[track_caller]
pub(super) fn subscribe(subscriber: &Instance, peer: &str) {
    let arguments = ["action", "subscribe", "--peer", peer, "--action", "feed", "--receiver", "record"];
    let _ = subscriber.run(&arguments).ok();
}
