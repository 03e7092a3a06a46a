use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coattail::rpc::Service;
use coattail::wire::host::Level;
use coattail::wire::{ErrorCode, Failure};
use futures::FutureExt as _;
use futures::future::{BoxFuture, MaybeDone, Shared, maybe_done};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Settings;
use super::call::{Answer, Begin, Job};
use super::plain;
use super::spec::Spec;
use super::worker::{Sent, Worker};

/// The first pause before a worker that crashed is started again; each further one is twice as long.
const BACK_OFF: Duration = Duration::from_millis(100);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);
/// A worker that lived so long was not a failed start, whatever ended it.
const STABLE: Duration = Duration::from_secs(60);
/// How often a call is given to another worker when the one it was given to had already ended.
const TRIES: u32 = 3;

/// The calls of one plugin, and the worker that does them: none, or one for now.
///
/// It belongs to one state of the plugin's files; when they change, another pool follows and this one ends with
/// its last call.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) spec: Arc<Spec>,
    settings: Arc<Settings>,
    host: Service,
    /// Calls at once. Fair: first come, first served.
    slots: Arc<Semaphore>,
    /// Calls at once and calls that wait.
    places: Arc<Semaphore>,
    concurrency: usize,
    queue: usize,
    /// A token for each call here; closed when another pool has taken over.
    calls: TaskTracker,
    /// Where the workers run.
    workers: TaskTracker,
    kill: CancellationToken,
    // A std mutex: held for a few assignments and never over an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    slot: Slot,
    /// Workers in a row that crashed or did not start.
    crashes: u32,
    not_before: Option<Instant>,
}

#[derive(Debug, Default)]
enum Slot {
    #[default]
    Empty,
    Starting(Starting),
    Running(Arc<Worker>),
}

/// A place in line, which becomes the right to be done.
pub(super) type Turn = Pin<Box<MaybeDone<BoxFuture<'static, Result<OwnedSemaphorePermit, AcquireError>>>>>;

type Starting = Shared<BoxFuture<'static, Result<Arc<Worker>, Failure>>>;

impl Pool {
    /// A pool, which keeps the turns of the one before it: what had `concurrency: 1` keeps it while it is reloaded.
    pub(super) fn new(
        spec: Arc<Spec>,
        settings: Arc<Settings>,
        host: Service,
        workers: TaskTracker,
        kill: CancellationToken,
        before: Option<&Pool>,
    ) -> Self {
        let concurrency = spec.manifest.concurrency.unwrap_or(settings.concurrency).min(Semaphore::MAX_PERMITS / 2);
        let queue = spec.manifest.queue.unwrap_or(settings.queue).min(Semaphore::MAX_PERMITS / 2);
        let (slots, places) = match before.filter(|before| (before.concurrency, before.queue) == (concurrency, queue)) {
            Some(before) => (before.slots.clone(), before.places.clone()),
            None => (Arc::new(Semaphore::new(concurrency)), Arc::new(Semaphore::new(concurrency + queue))),
        };
        let (calls, state) = (TaskTracker::new(), Mutex::default());
        Self { spec, settings, host, slots, places, concurrency, queue, calls, workers, kill, state }
    }

    /// A place for one more call, at once or never.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Failure> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            let full = format!("{} has {} calls under way and {} waiting", self.spec.id, self.concurrency, self.queue);
            Failure::busy(full).hint("try again later, or raise `concurrency` or `queue` in its sidecar file")
        })
    }

    /// Stands in line for a turn, at once: calls get theirs in the order in which they came here.
    pub(super) fn turn(&self) -> Turn {
        let mut turn = Box::pin(maybe_done(self.slots.clone().acquire_owned().boxed()));
        // The first poll is what stands in line.
        let _ = turn.as_mut().now_or_never();
        turn
    }

    /// Does one call. Ends when nothing of the call is left; the answer is given before that, as soon as it is
    /// known.
    pub(super) async fn handle(
        self: Arc<Self>,
        mut turn: Turn,
        begin: Option<Begin>,
        job: Job,
        unwanted: impl Future<Output = Failure>,
        mut answer: Answer,
    ) {
        let _call = self.calls.token();
        tokio::pin!(unwanted);
        tokio::select! {
            biased;
            why = &mut unwanted => return answer.give(Err(why)),
            // What it has come to is in `turn` itself, and given back with it.
            () = &mut turn => {}
        }
        if let Some(begin) = begin {
            // To its end, whether or not the call is still wanted: nobody knows half a beginning.
            if let Err(why) = begin.run().await {
                return answer.give(Err(why));
            }
        }
        if self.spec.plain {
            plain::run(&self.settings, &self.spec, &job, unwanted, &mut answer, &self.kill).await;
        } else {
            self.give_to_worker(&job, unwanted, &mut answer).await;
        }
    }

    /// No more calls come: ends the worker with the last one that is here.
    pub(super) fn retire(&self) {
        self.calls.close();
    }

    async fn give_to_worker(
        self: &Arc<Self>,
        job: &Job,
        mut unwanted: impl Future<Output = Failure> + Unpin,
        answer: &mut Answer,
    ) {
        for _ in 0..TRIES {
            let worker = tokio::select! {
                biased;
                why = &mut unwanted => return answer.give(Err(why)),
                worker = self.worker() => worker,
            };
            match worker {
                Err(failure) => return answer.give(Err(failure)),
                Ok(worker) => {
                    if let Err(failure) = self.spec.schemas.check_late(&self.spec.id, job.input()).await {
                        return answer.give(Err(failure));
                    }
                    let Some(lease) = worker.lease() else {
                        self.forget(&worker);
                        continue;
                    };
                    match lease.perform(job, &mut unwanted, answer).await {
                        Sent::Yes => return,
                        Sent::No => self.forget(&worker),
                    }
                }
            }
        }
        answer.give(Err(Failure::new(
            ErrorCode::PluginBroken,
            format!("{} ends as soon as it is started: the call was not given to it", self.spec.id),
        )));
    }

    /// The worker, started if there is none. Starting goes on if nobody waits for it any more: the next call will.
    pub(super) fn worker(self: &Arc<Self>) -> impl Future<Output = Result<Arc<Worker>, Failure>> + use<> {
        let mut state = self.lock();
        match &state.slot {
            Slot::Running(worker) => futures::future::ready(Ok(worker.clone())).left_future(),
            Slot::Starting(starting) => starting.clone().right_future(),
            Slot::Empty => {
                let (started, wait) = oneshot::channel();
                self.workers.spawn(self.clone().run_worker(started, state.not_before.take()));
                let lost = || Failure::new(ErrorCode::Internal, "the start of a worker was given up");
                let starting = wait.map(move |started| started.unwrap_or_else(|_| Err(lost()))).boxed().shared();
                state.slot = Slot::Starting(starting.clone());
                starting.right_future()
            }
        }
    }

    /// Starts a worker and stays with it until nothing of it is left.
    async fn run_worker(
        self: Arc<Self>,
        started: oneshot::Sender<Result<Arc<Worker>, Failure>>,
        not_before: Option<Instant>,
    ) {
        if let Some(not_before) = not_before {
            tokio::select! { () = self.kill.cancelled() => {}, () = sleep_until(not_before) => {} }
        }
        let start = Worker::start(&self.settings, &self.spec, self.host.clone(), self.kill.clone());
        let (worker, mut run) = match start.await {
            Ok(worker) => worker,
            Err(failure) => {
                tracing::warn!(plugin = %self.spec.id, "{}", failure.message);
                self.settings.journals.write(&self.spec.id, Level::Error, None, &failure.message);
                self.crashed(None);
                let _ = started.send(Err(failure));
                return;
            }
        };
        let since = Instant::now();
        self.settings.journals.write(&self.spec.id, Level::Info, None, "a worker started");
        // Order: first the slot, then the word, so that whoever hears it finds the worker.
        self.lock().slot = Slot::Running(worker.clone());
        let _ = started.send(Ok(worker.clone()));
        let idle = self.spec.manifest.idle.unwrap_or(self.settings.idle);
        let mut retired = false;
        let exit = loop {
            let idle_at = worker.idle_since().unwrap_or_else(Instant::now) + idle;
            tokio::select! {
                biased;
                exit = &mut run => break exit,
                () = self.calls.wait(), if !retired => {
                    retired = true;
                    worker.retire();
                }
                () = sleep_until(idle_at), if !retired => retired = self.retire_if_idle(&worker, idle),
            }
        };
        if worker.was_stopped() {
            tracing::debug!(plugin = %self.spec.id, %exit, "worker stopped");
            self.settings.journals.write(&self.spec.id, Level::Info, None, &format!("a worker was stopped: {exit}"));
            self.forget(&worker);
        } else {
            tracing::warn!(plugin = %self.spec.id, "worker ended: {exit}");
            self.settings.journals.write(&self.spec.id, Level::Warn, None, &format!("a worker ended: {exit}"));
            self.crashed(Some((&worker, since.elapsed())));
        }
    }

    fn retire_if_idle(&self, worker: &Arc<Worker>, idle: Duration) -> bool {
        let mut state = self.lock();
        let is_idle = worker.idle_since().is_some_and(|since| since.elapsed() >= idle);
        if is_idle {
            // A call that has got hold of it in this moment is still done: the worker ends after it.
            worker.retire();
            state.slot = Slot::Empty;
        }
        is_idle
    }

    /// A worker did not start, or ended by itself: the next one has to wait.
    fn crashed(&self, worker: Option<(&Arc<Worker>, Duration)>) {
        let mut state = self.lock();
        state.crashes = match worker {
            Some((_, lived)) if lived > STABLE => 1,
            _ => state.crashes.saturating_add(1),
        };
        state.not_before = Some(Instant::now() + back_off(state.crashes));
        // Another may be running already, after a call found that this one had ended.
        match (&state.slot, worker) {
            (Slot::Running(current), Some((worker, _))) if !Arc::ptr_eq(current, worker) => {}
            (Slot::Starting(_), Some(_)) => {}
            _ => state.slot = Slot::Empty,
        }
    }

    /// The worker takes no more calls: the next call starts another.
    fn forget(&self, worker: &Arc<Worker>) {
        let mut state = self.lock();
        if matches!(&state.slot, Slot::Running(current) if Arc::ptr_eq(current, worker)) {
            state.slot = Slot::Empty;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn back_off(crashes: u32) -> Duration {
    BACK_OFF.saturating_mul(1 << crashes.saturating_sub(1).min(16)).min(LONGEST_BACK_OFF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn back_off_doubles_up_to_its_limit() {
        let pauses: Vec<_> = [1, 2, 3, 9, 10, u32::MAX].into_iter().map(|n| back_off(n).as_millis()).collect();
        assert_eq!(pauses, [100, 200, 400, 25_600, 30_000, 30_000]);
    }
}
