use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Settings;
use super::handover::Launch;
use super::process::{Exited, Guard, Pipes, Process};

/// Guards whose plugin has ended, with all that it had started, kept for the next call of what runs once per call:
/// starting a guard takes longer than starting a script. There is none before the first such call, none a while after
/// the last, and none once the daemon stops.
///
/// After `kill -9` of the daemon a spare ends as every guard does: at the end of its socket.
#[derive(Debug)]
pub(super) struct Spares {
    settings: Arc<Settings>,
    /// Where they are looked after.
    tasks: TaskTracker,
    stopping: CancellationToken,
    // A std mutex: held for a few assignments and never over an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Those that wait, each with when it began to, the last one last. The last is taken first, so that those which are
    /// not needed grow old.
    waiting: VecDeque<(Instant, Guard)>,
    /// Somebody looks after them.
    is_tended: bool,
}

impl Spares {
    pub(super) fn new(settings: Arc<Settings>, tasks: TaskTracker, stopping: CancellationToken) -> Arc<Self> {
        Arc::new(Self { settings, tasks, stopping, state: Mutex::default() })
    }

    /// Starts a process under a spare guard, or under a new one if there is none.
    pub(super) async fn spawn(&self, launch: &Launch) -> io::Result<(Process, Exited, Pipes)> {
        let message = launch.message()?;
        while let Some((_, spare)) = self.take() {
            match spare.launch(&message).await {
                Ok(started) => return Ok(started),
                // Somebody has killed it. It has started nothing.
                Err(error) => tracing::debug!(%error, "a spare guard was gone"),
            }
        }
        Guard::start(&self.settings)?.launch(&message).await
    }

    /// Keeps the guard of a process that has ended, or ends it if it is not wanted.
    pub(super) fn keep(self: &Arc<Self>, process: Process, exited: Exited) {
        let is_fit = process.was_left_alone() && exited.has_reported();
        let guard = Guard::again(process, exited);
        let unwanted = if is_fit { self.put(guard) } else { Some(guard) };
        if let Some(guard) = unwanted {
            self.tasks.spawn(guard.dismiss());
        }
    }

    fn take(&self) -> Option<(Instant, Guard)> {
        self.lock().waiting.pop_back()
    }

    /// Gives it back if there is no room.
    fn put(self: &Arc<Self>, guard: Guard) -> Option<Guard> {
        let mut state = self.lock();
        if self.stopping.is_cancelled() || state.waiting.len() >= SPARES {
            return Some(guard);
        }
        state.waiting.push_back((Instant::now(), guard));
        if !state.is_tended {
            state.is_tended = true;
            self.tasks.spawn(self.clone().tend());
        }
        None
    }

    /// Ends those which are not needed, until there are none.
    async fn tend(self: Arc<Self>) {
        loop {
            let (old, next) = self.grown_old();
            for guard in old {
                guard.dismiss().await;
            }
            let Some(next) = next else { return };
            tokio::select! { () = self.stopping.cancelled() => {}, () = sleep_until(next) => {} }
        }
    }

    /// Takes out those that are to end, and says when to look again, unless nobody looks after them any more.
    fn grown_old(&self) -> (Vec<Guard>, Option<Instant>) {
        let mut state = self.lock();
        let now = Instant::now();
        let kept = self.settings.idle.min(KEPT);
        let is_old = |since: Instant| self.stopping.is_cancelled() || since + kept <= now;
        let old = state.waiting.iter().take_while(|(since, _)| is_old(*since)).count();
        let old = state.waiting.drain(..old).map(|(_, guard)| guard).collect();
        let next = state.waiting.front().map(|(since, _)| *since + kept);
        // With others to end one looks again at once.
        state.is_tended = next.is_some();
        (old, next)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How many are kept at most. Calls that come one after the other need one; each takes a few MiB of memory.
const SPARES: usize = 4;

/// How long one is kept that is not needed: less than a worker is, since it is started again in no time.
const KEPT: Duration = Duration::from_mins(1);
