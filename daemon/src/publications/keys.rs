use std::collections::HashMap;

use coattail::pointer::Pointer;
use coattail::wire::{Place, Raw};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The keys of which something is handled, or waits for another try. What has one of them comes later.
#[derive(Debug, Default)]
pub(super) struct Keys {
    keys: HashMap<i64, State>,
    running: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The receiver is called for something of it.
    Running,
    /// The first of it is not to be tried before this time, in milliseconds.
    Held { first: Place, until: i64 },
}

impl Keys {
    /// The key of a publication. Publications in which nothing is found have one of their own.
    pub(super) fn of(pointer: &Pointer, payload: &Raw) -> i64 {
        // What is nested too deep to be read has nothing to be found.
        let value: Value = serde_json::from_str(payload.get()).unwrap_or_default();
        let mut hash = Sha256::new();
        if let Some(found) = pointer.find(&value) {
            hash.update(found.to_string());
        }
        let hash: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = hash;
        i64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Whether something of it comes before.
    pub(super) fn is_taken(&self, key: i64) -> bool {
        self.keys.contains_key(&key)
    }

    /// Whether something more can be begun, and a new key looked at.
    pub(super) fn has_room(&self, at_once: usize) -> bool {
        self.running < at_once && self.keys.len() < MOST_KEYS
    }

    /// Whether something can be begun of a key that is known already.
    pub(super) fn may_run(&self, at_once: usize) -> bool {
        self.running < at_once
    }

    pub(super) fn run(&mut self, key: i64) {
        if self.keys.insert(key, State::Running) != Some(State::Running) {
            self.running += 1;
        }
    }

    pub(super) fn hold(&mut self, key: i64, first: Place, until: i64) {
        if self.keys.insert(key, State::Held { first, until }) == Some(State::Running) {
            self.running -= 1;
        }
    }

    pub(super) fn free(&mut self, key: i64) {
        if self.keys.remove(&key) == Some(State::Running) {
            self.running -= 1;
        }
    }

    /// Forgets those that wait for another try: something may have come before what they wait for.
    pub(super) fn let_go(&mut self) {
        self.keys.retain(|_, state| *state == State::Running);
    }

    /// The one whose time has come first, and what is to be tried.
    pub(super) fn due(&self, now: i64) -> Option<(i64, Place)> {
        let held = self.keys.iter().filter_map(|(key, state)| match state {
            State::Held { first, until } if *until <= now => Some((*until, *key, *first)),
            _ => None,
        });
        held.min_by_key(|(until, _, first)| (*until, *first)).map(|(_, key, first)| (key, first))
    }

    /// When the next time comes.
    pub(super) fn next_due(&self) -> Option<i64> {
        let times = self.keys.values().filter_map(|state| match state {
            State::Held { until, .. } => Some(*until),
            State::Running => None,
        });
        times.min()
    }
}

/// Keys that are known at once, of one subscription: each takes some bytes, and is looked at when time has passed. When so
/// many fail, it is hardly for their own sake, and nothing else is begun before one of them is done.
const MOST_KEYS: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    fn at(sequence: u64) -> Place {
        Place { epoch: 0, sequence }
    }

    #[test]
    fn a_key_is_what_is_found_and_nothing_is_one_too() {
        let pointer = "/customer/id".parse().expect("a pointer");
        let key = |json: &str| Keys::of(&pointer, &serde_json::from_str(json).expect("JSON"));
        let one = key("{\"customer\": {\"id\": 1}}");
        assert_eq!(one, key("{\"n\": 5, \"customer\": {\"name\": \"x\", \"id\": 1 }}"));
        assert_ne!(one, key("{\"customer\": {\"id\": \"1\"}}"));
        assert_ne!(one, key("{\"customer\": {\"id\": 2}}"));
        let nothing = key("{}");
        assert_eq!(nothing, key("[1, 2]"));
        assert_eq!(nothing, key(&format!("{}{}", "[".repeat(500), "]".repeat(500))));
        assert_ne!(nothing, key("{\"customer\": {\"id\": null}}"));
        assert_eq!(
            key("{\"customer\": {\"id\": {\"a\": 1, \"b\": 2}}}"),
            key("{\"customer\": {\"id\": {\"b\": 2, \"a\": 1}}}")
        );
    }

    #[test]
    fn a_key_that_is_held_takes_no_place_of_those_that_run() {
        let mut keys = Keys::default();
        for key in [1, 2] {
            keys.run(key);
        }
        assert!(!keys.has_room(2) && keys.is_taken(1) && !keys.is_taken(3));
        keys.hold(1, at(5), 100);
        assert!(keys.has_room(2) && keys.is_taken(1));
        keys.hold(3, at(4), 100);
        keys.hold(4, at(3), 200);
        assert_eq!((keys.due(99), keys.next_due()), (None, Some(100)));
        assert_eq!(keys.due(100), Some((3, at(4))), "what comes first in the log");
        keys.run(3);
        assert_eq!((keys.due(100), keys.may_run(2)), (Some((1, at(5))), false));
        keys.let_go();
        assert!(keys.is_taken(2) && keys.is_taken(3) && !keys.is_taken(1) && !keys.is_taken(4));
        keys.free(2);
        keys.free(3);
        keys.free(3);
        assert!(keys.has_room(1) && keys.next_due().is_none());
        for key in 0..MOST_KEYS as i64 {
            keys.hold(key, at(1), 5);
        }
        assert!(!keys.has_room(9) && keys.may_run(9));
    }
}
