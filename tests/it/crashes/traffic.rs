//! Programs that publish steadily, whatever becomes of the service.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use coattail::wire::host::Publish;
use coattail_tests::{Control, Instance};
use serde_json::{Value, json};

/// Programs that publish at once, so that there are groups in the log.
const PROGRAMS: u64 = 2;

/// Between two publications of one program.
const PAUSE: Duration = Duration::from_millis(20);

/// Publications that nobody has handled yet, beyond which the programs wait: what is tested are kills, not heaps.
const AHEAD: u64 = 40;

/// Every so often a receiver fails at the first try, and every so often at both.
const FAILS_ONCE: u64 = 4;
const FAILS: u64 = 9;

/// Publishes until it is stopped: each program its own values, one after the other, each until it is accepted. Under an
/// id, so that what was accepted without an answer is recognised.
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    /// What every receiver was called for, as far as it is known.
    handled: Arc<AtomicU64>,
    programs: Vec<JoinHandle<BTreeMap<u64, Value>>>,
}

impl Traffic {
    pub(super) fn begin(publisher: &Instance) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let handled = Arc::new(AtomicU64::new(0));
        let program = |number| {
            let (stop, handled, folder) = (stop.clone(), handled.clone(), publisher.folder().to_owned());
            thread::spawn(move || publish(number, folder, &handled, &stop))
        };
        Self { programs: (0..PROGRAMS).map(program).collect(), stop, handled }
    }

    /// Every receiver was called for this one.
    pub(super) fn go_on_from(&self, handled: u64) {
        self.handled.store(handled, Ordering::Relaxed);
    }

    /// What was accepted, by sequence. The publisher has to run.
    #[track_caller]
    pub(super) fn end(self) -> BTreeMap<u64, Value> {
        self.stop.store(true, Ordering::Relaxed);
        let mut accepted = BTreeMap::new();
        for program in self.programs {
            for (sequence, value) in program.join().expect("no panic") {
                assert_eq!(accepted.insert(sequence, value), None, "number {sequence} was given out twice");
            }
        }
        accepted
    }
}

fn publish(number: u64, folder: PathBuf, handled: &AtomicU64, stop: &AtomicBool) -> BTreeMap<u64, Value> {
    let mut accepted = BTreeMap::new();
    let mut control = None;
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        thread::sleep(PAUSE);
        let last = accepted.last_key_value().map_or(0, |(last, _)| *last);
        if last > handled.load(Ordering::Relaxed) + AHEAD {
            continue;
        }
        let Some(open) = control.take().or_else(|| Control::try_connect(&folder)) else { continue };
        let value = value(number, n);
        // Neither accepted nor refused if it fails: it is published again, until that is known.
        if let Ok(sequence) = publish_named(&open, &format!("{number}-{n}"), &value) {
            accepted.insert(sequence, value);
            n += 1;
            control = Some(open);
        }
    }
    accepted
}

/// Publishes under an id; returns the sequence.
pub(super) fn publish_named(control: &Control, id: &str, value: &Value) -> Result<u64, coattail::wire::Failure> {
    let input = serde_json::value::to_raw_value(value).expect("JSON");
    let action = "feed".parse().expect("a name");
    let id = Some(id.parse().expect("an id"));
    control
        .call(&Publish { peer: None, action, input, id, ttl_ms: None, to: None, parent: None })
        .map(|published| published.sequence)
}

fn value(program: u64, n: u64) -> Value {
    let fails = match n {
        n if n % FAILS == FAILS - 1 => 2,
        n if n % FAILS_ONCE == FAILS_ONCE - 1 => 1,
        _ => 0,
    };
    json!({"program": program, "n": n, "fails": fails})
}
