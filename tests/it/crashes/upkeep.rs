//! While the owner has keys replaced, backups made and restored, and the database migrated; while old publications are
//! deleted, and those that waited are published.

use std::collections::BTreeMap;
use std::fs;

use coattail_tests::{Control, Instance, until};
use serde_json::{Value, json};

use super::check::nothing_is_lost;
use super::fleet::{Fleet, PUBLISHER};
use super::points::During;
use super::rounds::Round;
use super::traffic::publish_named;

/// Every restart finds something to delete: the values take more.
const LITTLE_ROOM: &str = "limits:\n  retention_bytes: 20\n";

#[test]
fn p1_p2_nothing_is_lost_while_a_key_is_replaced() {
    keep_up(During::Rotation, "", |story, round| {
        story.fleet.arm(PUBLISHER, round);
        story.until_killed(round, &["keys", "rotate", "auth"]);
        story.fleet.start_all();
        let keys = story.fleet.publisher().json(&["keys", "list"]);
        assert!(keys.as_array().expect("a list").iter().any(|key| key["state"] == "current"), "{keys}");
    });
}

#[test]
fn p1_p2_nothing_is_lost_while_a_backup_is_made() {
    keep_up(During::Backup, "", |story, round| {
        let file = story.backup();
        let before = fs::read(&file).expect("it is there");
        story.publish();
        story.kill_command(round, &["backup", &file, "--force"]);
        let is_old = fs::read(&file).expect("it is still there") == before;
        assert_eq!(is_old, round.point.name != "backup.renamed", "neither the old one nor the new one");
        let _ = story.fleet.publisher().run(&["backup", &file, "--force"]).ok();
    });
}

#[test]
fn p1_p2_nothing_is_lost_while_a_backup_is_restored() {
    keep_up(During::Restore, "", |story, round| {
        story.fleet.publisher_mut().stop();
        let file = story.backup();
        story.kill_command(round, &["restore", &file, "--yes"]);
        if round.chance % 2 == 0 {
            let _ = story.fleet.publisher().run(&["restore", &file, "--yes"]).ok();
        }
        story.fleet.start_all();
    });
}

#[test]
fn p1_p2_nothing_is_lost_while_the_database_is_migrated() {
    keep_up(During::Migration, "", |story, round| {
        story.fleet.publisher_mut().stop();
        let way = if round.chance % 2 == 0 { "latest" } else { "down" };
        if way == "latest" {
            let _ = story.fleet.publisher().run(&["data", "migrate", "down", "--yes"]).ok();
        }
        story.kill_command(round, &["data", "migrate", way, "--yes"]);
        let _ = story.fleet.publisher().run(&["data", "migrate", "latest"]).ok();
        story.fleet.start_all();
    });
}

#[test]
fn p1_p2_nothing_is_lost_while_old_publications_are_deleted() {
    keep_up(During::Retention, LITTLE_ROOM, |story, round| {
        // What nobody lacks: else it would be a gap.
        until("all to be delivered", || (story.fleet.publisher().counts()["undelivered"] == 0).then_some(()));
        story.fleet.arm(PUBLISHER, round);
        story.fleet.wait_for_the_kill(PUBLISHER, round, |_| ());
        story.fleet.start_all();
    });
}

#[test]
fn p1_p2_what_is_due_is_published_once() {
    keep_up(During::Schedule, "", |story, round| {
        story.fleet.publisher_mut().stop();
        let value = story.next_value();
        let publish = ["action", "publish", "feed", "--data", &value.to_string(), "--in", "1ms"];
        let _ = story.fleet.publisher().run(&publish).ok();
        story.fleet.arm(PUBLISHER, round);
        story.fleet.wait_for_the_kill(PUBLISHER, round, |_| ());
        story.fleet.start_all();
        until("nothing to wait", || {
            (story.fleet.publisher().json(&["publications", "scheduled"]) == json!([])).then_some(())
        });
        story.accepted.insert(story.accepted.len() as u64 + 1, value);
    });
}

/// A fleet, and what its publisher has accepted.
struct Story {
    fleet: Fleet,
    accepted: BTreeMap<u64, Value>,
    values: u64,
}

/// Does it with every point and seed, and publishes something each time.
fn keep_up(during: During, limits: &str, step: impl Fn(&mut Story, &Round)) {
    let mut story = Story { fleet: Fleet::new(limits), accepted: BTreeMap::new(), values: 0 };
    for round in Round::all(&[during]) {
        story.publish();
        step(&mut story, &round);
        story.publish();
    }
    nothing_is_lost(&story.fleet, &story.accepted);
}

impl Story {
    #[track_caller]
    fn publish(&mut self) {
        let value = self.next_value();
        let control = Control::connect(self.fleet.publisher());
        let sequence = publish_named(&control, &self.values.to_string(), &value).expect("accepted");
        assert_eq!(self.accepted.insert(sequence, value), None, "number {sequence} was given out twice");
    }

    fn next_value(&mut self) -> Value {
        self.values += 1;
        json!({"n": self.values, "fails": 0})
    }

    #[track_caller]
    fn backup(&self) -> String {
        let publisher = self.fleet.publisher();
        let file = publisher.folder().with_file_name("backup.tar").display().to_string();
        let _ = publisher.run(&["backup", &file, "--force"]).ok();
        file
    }

    /// Has a command do something in the service, which is killed meanwhile.
    #[track_caller]
    fn until_killed(&mut self, round: &Round, arguments: &[&str]) {
        self.fleet.publisher_mut().wait_until_ready();
        let output = self.fleet.publisher().run(arguments);
        assert_ne!(output.code, Some(0), "it was answered by one that was killed {}: {output:#?}", round.again());
        self.fleet.wait_for_the_kill(PUBLISHER, round, |_| ());
    }

    /// Runs a command, which is killed.
    #[track_caller]
    fn kill_command(&mut self, round: &Round, arguments: &[&str]) {
        let publisher: &Instance = self.fleet.publisher();
        let output = publisher.run_with_env(arguments, &[("COATTAIL_KILL_AT", &round.order())]);
        assert_eq!(output.code, None, "it was not killed {}: {output:#?}", round.again());
        assert!(output.stderr.contains(&format!("{}\n", round.last_words())), "{output:#?}");
        self.fleet.kills += 1;
    }
}
