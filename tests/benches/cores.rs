//! Which processors this program, and whatever it starts, may use.

use std::thread::available_parallelism;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;

/// This thread, and the threads and processes that it starts, stay on one processor until this is dropped.
#[derive(Debug)]
pub(crate) struct Pinned {
    before: CpuSet,
}

impl Pinned {
    /// To the first, if there is a second one for others.
    pub(crate) fn to_first() -> Option<Self> {
        if available_parallelism().map_or(1, usize::from) < 2 {
            return None;
        }
        let this = Pid::from_raw(0);
        let before = sched_getaffinity(this).expect("the kernel tells");
        let mut first = CpuSet::new();
        first.set(0).expect("there is a first");
        sched_setaffinity(this, &first).expect("it may be used");
        Some(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What cannot be undone is seen in the figures that follow.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.before);
    }
}
