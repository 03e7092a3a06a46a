//! Which processors this program, and whatever it starts, may use.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, available_parallelism, sleep, spawn};
use std::time::Duration;

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
        sched_setaffinity(this, &only(0)).expect("it may be used");
        Some(Self { before })
    }
}

impl Drop for Pinned {
    fn drop(&mut self) {
        // What cannot be undone is seen in the figures that follow.
        let _ = sched_setaffinity(Pid::from_raw(0), &self.before);
    }
}

/// What a process starts is moved to the second processor, with what it starts in turn, until this is dropped.
#[derive(Debug)]
pub(crate) struct Herded {
    stop: Arc<AtomicBool>,
    herd: Option<JoinHandle<()>>,
}

impl Herded {
    /// What it has started already stays where it is.
    pub(crate) fn children_of(process: Pid) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let mut known = children(process);
        let is_over = stop.clone();
        let herd = spawn(move || {
            let _ = sched_setaffinity(Pid::from_raw(0), &only(1));
            while !is_over.load(Ordering::Relaxed) {
                for child in children(process) {
                    if known.insert(child) {
                        // It may have ended.
                        let _ = sched_setaffinity(child, &only(1));
                    }
                }
                sleep(LOOK);
            }
        });
        Self { stop, herd: Some(herd) }
    }
}

impl Drop for Herded {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.herd.take().map(JoinHandle::join);
    }
}

/// How often to look for new children.
const LOOK: Duration = Duration::from_millis(2);

fn only(processor: usize) -> CpuSet {
    let mut set = CpuSet::new();
    set.set(processor).expect("a small number");
    set
}

/// The children of all threads of a process.
fn children(process: Pid) -> HashSet<Pid> {
    let threads = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let children = threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok());
    let pid = |text: &str| text.parse().ok().map(Pid::from_raw);
    children.flat_map(|list| list.split_whitespace().filter_map(pid).collect::<Vec<_>>()).collect()
}
