use std::sync::{Mutex, MutexGuard, PoisonError};

use coattail::wire::Failure;
use coattail::wire::plugins::{LastError, PluginCounts};

/// What was counted of a plugin since the daemon started.
#[derive(Debug, Default)]
pub(super) struct Tally {
    // A std mutex: held for a few assignments.
    counted: Mutex<(PluginCounts, Option<LastError>)>,
}

impl Tally {
    /// A call came.
    pub(super) fn called(&self) {
        self.lock().0.calls += 1;
    }

    /// A call failed.
    pub(super) fn failed(&self, failure: &Failure) {
        let mut counted = self.lock();
        counted.0.failed += 1;
        counted.1 = Some(error(&failure.message));
    }

    /// A worker crashed, or did not start.
    pub(super) fn crashed(&self, why: &str) {
        let mut counted = self.lock();
        counted.0.crashes += 1;
        counted.1 = Some(error(why));
    }

    /// A new version of the plugin did not start.
    pub(super) fn rejected(&self, why: &str) {
        self.lock().1 = Some(error(why));
    }

    /// All of it.
    pub(super) fn read(&self) -> (PluginCounts, Option<LastError>) {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, (PluginCounts, Option<LastError>)> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn error(message: &str) -> LastError {
    let message = message[..message.floor_char_boundary(LONGEST)].to_owned();
    LastError { time: jiff::Timestamp::now().to_string(), message }
}

/// Bytes of a message that are kept: a plugin can say as much as a frame holds.
const LONGEST: usize = 8 * 1024;
