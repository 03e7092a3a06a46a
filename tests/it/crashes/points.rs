//! The one table of the points at which the service, or a command, is killed.

/// Who passes a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Publisher,
    Subscriber,
    Any,
}

/// What is going on when it is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum During {
    /// Publications are accepted, delivered and handled.
    Delivering,
    /// A subscription is made.
    Subscribing,
    /// The owner has a key replaced.
    Rotation,
    /// The owner makes a backup.
    Backup,
    /// The owner has one restored.
    Restore,
    /// The owner migrates the database.
    Migration,
    /// Old publications are deleted.
    Retention,
    /// What waits for its time is published.
    Schedule,
}

/// What a kill has to do with the receiver that was called last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receiver {
    /// It had answered, and that was not on disk: the one case in which it is called again (P3).
    Again,
    /// It was not running, or what it has answered is on disk.
    NotAgain,
    /// It may have been running.
    PerhapsAgain,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Point {
    pub(super) name: &'static str,
    pub(super) side: Side,
    pub(super) during: During,
    /// It dies at one of so many first times that it passes the point.
    pub(super) among: u64,
    pub(super) receiver: Receiver,
}

const fn point(name: &'static str, side: Side, during: During, among: u64) -> Point {
    Point { name, side, during, among, receiver: Receiver::PerhapsAgain }
}

const fn receiving(name: &'static str, receiver: Receiver) -> Point {
    Point { receiver, ..point(name, Side::Subscriber, During::Delivering, 4) }
}

use During::{Backup, Delivering, Migration, Restore, Retention, Rotation, Schedule, Subscribing};
use Side::{Any, Publisher, Subscriber};

pub(super) const POINTS: &[Point] = &[
    // A frame, whoever it is for: peers, workers, programs.
    point("rpc.received", Any, Delivering, 40),
    point("rpc.before-answer", Any, Delivering, 20),
    point("rpc.before-send", Any, Delivering, 40),
    point("rpc.sent", Any, Delivering, 40),
    // A transaction, whatever is in it. Its fsync is between `before-commit` and `committed`.
    point("store.written", Any, Delivering, 20),
    point("store.before-commit", Any, Delivering, 20),
    point("store.committed", Any, Delivering, 20),
    point("store.answered", Any, Delivering, 20),
    // The opening of the database.
    point("epoch.before-commit", Any, Delivering, 1),
    point("epoch.committed", Any, Delivering, 1),
    point("epoch.before-rename", Any, Delivering, 1),
    point("epoch.renamed", Any, Delivering, 1),
    // From what is published to the cursor.
    point("publish.before-write", Publisher, Delivering, 6),
    point("publish.accepted", Publisher, Delivering, 6),
    point("delivery.before-send", Publisher, Delivering, 6),
    point("delivery.answered", Publisher, Delivering, 6),
    point("delivery.cursor-moved", Publisher, Delivering, 6),
    point("attach.received", Publisher, Delivering, 1),
    point("attach.done", Publisher, Delivering, 1),
    // From what is attached to what the receiver has done.
    point("attach.before-send", Subscriber, Delivering, 1),
    point("attach.answered", Subscriber, Delivering, 1),
    point("inbox.received", Subscriber, Delivering, 6),
    point("inbox.before-store", Subscriber, Delivering, 6),
    point("inbox.stored", Subscriber, Delivering, 6),
    receiving("receiver.before-start", Receiver::NotAgain),
    receiving("receiver.answered", Receiver::Again),
    receiving("receiver.finished", Receiver::NotAgain),
    receiving("receiver.failed", Receiver::Again),
    receiving("receiver.to-be-retried", Receiver::NotAgain),
    receiving("receiver.given-up", Receiver::NotAgain),
    // A subscription's beginning.
    point("subscribe.before-token", Subscriber, Subscribing, 1),
    point("subscribe.token-stored", Subscriber, Subscribing, 1),
    point("subscribe.before-store", Publisher, Subscribing, 1),
    point("subscribe.stored", Publisher, Subscribing, 1),
    point("subscribe.answered", Subscriber, Subscribing, 1),
    point("subscribe.begun", Subscriber, Subscribing, 1),
    // What the owner has done, and what is due.
    point("key-file.before-rename", Publisher, Rotation, 2),
    point("key-file.renamed", Publisher, Rotation, 2),
    point("rotation.prepared", Publisher, Rotation, 1),
    point("rotation.committed", Publisher, Rotation, 1),
    point("rotation.private-renamed", Publisher, Rotation, 1),
    point("rotation.finished", Publisher, Rotation, 1),
    point("backup.before-copy", Publisher, Backup, 1),
    point("backup.copied", Publisher, Backup, 1),
    point("backup.before-rename", Publisher, Backup, 1),
    point("backup.renamed", Publisher, Backup, 1),
    point("restore.staged", Publisher, Restore, 1),
    point("restore.before-commit", Publisher, Restore, 1),
    point("restore.committed", Publisher, Restore, 1),
    point("restore.kept-one", Publisher, Restore, 3),
    point("restore.renamed-one", Publisher, Restore, 3),
    point("restore.kept-all", Publisher, Restore, 1),
    point("migration.before", Publisher, Migration, 1),
    point("migration.done", Publisher, Migration, 1),
    point("retention.before-delete", Publisher, Retention, 1),
    point("retention.deleted", Publisher, Retention, 1),
    point("schedule.before-publish", Publisher, Schedule, 1),
    point("schedule.published", Publisher, Schedule, 1),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::tidy::source::{Source, find};

    /// Which points there are in the sources, and where.
    fn in_sources() -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for source in Source::all().iter().filter(|source| source.is_in(&["sdk-rust/src", "daemon/src", "cli/src"])) {
            for at in find(&source.code, "kill_point!").filter(|at| source.code[*at..].starts_with("kill_point!(\"")) {
                let line = source.line_at(at);
                let text = source.texts.iter().find(|(number, _)| *number == line).expect("it has a name");
                found.entry(text.1.clone()).or_default().push(format!("{}:{line}", source.path));
            }
        }
        found
    }

    #[test]
    fn the_table_and_the_sources_have_the_same_points() {
        let found = in_sources();
        for (name, places) in &found {
            assert_eq!(places.len(), 1, "a point has one place: `{name}` is at {places:?}");
            let rows = POINTS.iter().filter(|point| point.name == *name).count();
            assert_eq!(rows, 1, "`{name}`, at {places:?}, is to be once in the table");
        }
        for point in POINTS {
            assert!(found.contains_key(point.name), "`{}` is in the table and not in the sources", point.name);
        }
    }

    #[test]
    fn the_program_under_test_has_them() {
        let program = std::fs::read(coattail_tests::instance::program()).expect("it is there");
        let mut windows = program.windows(POINTS[0].name.len());
        assert!(windows.any(|window| window == POINTS[0].name.as_bytes()));
    }
}
