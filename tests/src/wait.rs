//! Waiting for what happens elsewhere, under a time limit.

use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

/// How long anything may take on a machine that is busy with other tests.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often to look.
const POLL: Duration = Duration::from_millis(20);

/// Looks until there is something to see.
///
/// # Panics
/// If there is nothing within [`PATIENCE`].
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, what, look)
}

/// As [`until`], for at most so long.
///
/// # Panics
/// If there is nothing within `limit`.
#[track_caller]
pub fn within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < limit, "waited {limit:?} in vain for {what}");
        sleep(POLL);
    }
}

/// As [`until`], without a pause between the looks: for what is to be caught while it happens.
///
/// # Panics
/// If there is nothing within [`PATIENCE`].
#[track_caller]
pub fn moment(what: &str, mut seen: impl FnMut() -> bool) {
    let start = Instant::now();
    while !seen() {
        assert!(start.elapsed() < PATIENCE, "waited {PATIENCE:?} in vain for {what}");
        yield_now();
    }
}
