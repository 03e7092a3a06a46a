//! What was accepted, compared with what every subscriber's receiver was called for.

use std::collections::BTreeMap;

use coattail_tests::{Instance, until};
use serde_json::Value;

use super::fleet::Fleet;
use super::points::Receiver;

/// Tries that a receiver has for a publication.
const TRIES: u64 = 2;

/// A kill of a subscriber: after so many calls of its receiver.
#[derive(Debug, Clone, Copy)]
pub(super) struct Boundary {
    pub(super) lines: usize,
    pub(super) receiver: Receiver,
}

/// One call of a receiver.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
struct Try {
    sequence: u64,
    attempt: u64,
}

/// P1, P2 and P3 of the whole fleet, whose services run again: waits until all is handled, and compares. `accepted` has
/// what programs heard, by sequence.
#[track_caller]
pub(super) fn nothing_is_lost(fleet: &Fleet, accepted: &BTreeMap<u64, Value>) {
    let published = accepted.len() as u64;
    let sequences: Vec<_> = accepted.keys().copied().collect();
    assert!(sequences.iter().copied().eq(1..=published), "accepted, or numbered, more than once: {sequences:?}");
    assert_eq!(fleet.publisher().counts()["published"], published, "published more than once");
    let mut again = 0;
    for (number, subscriber) in (1..).zip(fleet.subscribers()) {
        wait_until_done(subscriber, published);
        let tries = tries(subscriber, accepted);
        again += check_order(&tries, &fleet.boundaries[number]);
        check_tries(&tries, accepted);
    }
    until("every cursor to be at the end", || (fleet.publisher().counts()["undelivered"] == 0).then_some(()));
    let kills = fleet.kills;
    #[expect(clippy::print_stdout, reason = "how many there were is worth knowing")]
    {
        println!("{published} publications, {kills} kills at points; {again} calls of receivers were made again");
    }
}

/// P2 and P3: every one was stored once, and is handled or a dead letter.
#[track_caller]
fn wait_until_done(subscriber: &Instance, published: u64) {
    let count = |counts: &Value, name: &str| counts[name].as_u64().expect("a number");
    until(
        &format!("all of {published} to be handled at {}: {}", subscriber.folder().display(), subscriber.counts()),
        || {
            let counts = subscriber.counts();
            (count(&counts, "handled") + count(&counts, "dead") >= published).then_some(())
        },
    );
    let counts = subscriber.counts();
    assert_eq!(
        (count(&counts, "stored"), count(&counts, "missed")),
        (published, 0),
        "stored twice, or missed: {counts}"
    );
    assert_eq!((count(&counts, "handled") + count(&counts, "dead"), count(&counts, "waiting")), (published, 0));
}

/// What the receiver was called for, which is what was accepted.
#[track_caller]
fn tries(subscriber: &Instance, accepted: &BTreeMap<u64, Value>) -> Vec<Try> {
    let number = |line: &Value, field: &str| line[field].as_u64().expect("a number");
    let line = |line: &Value| {
        let sequence = number(line, "sequence");
        assert_eq!(accepted.get(&sequence), Some(&line["value"]), "what was handled is not what was accepted");
        Try { sequence, attempt: number(line, "attempt") }
    };
    subscriber.received().iter().map(line).collect()
}

/// P2 and P3: in order; the same again only across a kill, and there if and only if the table says so. Returns how often
/// that was.
#[track_caller]
fn check_order(tries: &[Try], boundaries: &[Boundary]) -> usize {
    let is_again = |at: usize| at > 0 && tries.get(at).is_some_and(|next| *next == tries[at - 1]);
    for at in 1..tries.len() {
        let killed = boundaries.iter().any(|boundary| boundary.lines == at);
        let in_order = if killed { tries[at - 1] <= tries[at] } else { tries[at - 1] < tries[at] };
        let around = &tries[at.saturating_sub(3)..tries.len().min(at + 3)];
        assert!(in_order, "call {at} is out of order, or was made again without a kill: {around:?}");
    }
    for boundary in boundaries {
        // Another kill after it, before the next call, may have other reasons.
        let is_alone = boundaries.iter().filter(|other| other.lines == boundary.lines).count() == 1;
        match boundary.receiver {
            Receiver::Again => assert!(is_again(boundary.lines), "the receiver was not called again"),
            Receiver::NotAgain if is_alone => {
                assert!(!is_again(boundary.lines), "the receiver had finished {:?}", tries[boundary.lines - 1]);
            }
            _ => {}
        }
    }
    (0..tries.len()).filter(|at| is_again(*at)).count()
}

/// P2: each was tried as often as it was to be, and none more often.
#[track_caller]
fn check_tries(tries: &[Try], accepted: &BTreeMap<u64, Value>) {
    let mut distinct = tries.to_vec();
    distinct.dedup();
    let wanted = accepted.iter().flat_map(|(sequence, value)| {
        let fails = value["fails"].as_u64().unwrap_or_default();
        (1..=TRIES.min(fails + 1)).map(|attempt| Try { sequence: *sequence, attempt })
    });
    let missing: Vec<_> = wanted.clone().filter(|wanted| !distinct.contains(wanted)).collect();
    assert!(distinct.into_iter().eq(wanted), "never called for {missing:?}");
}
