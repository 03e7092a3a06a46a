use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coattail::rpc::Service;
use coattail::wire::host::Level;
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::breaker::{Breaker, Start};
use super::tally::Tally;
use crate::plugins::Settings;
use crate::plugins::output::LAST_OUTPUT;
use crate::plugins::spare::Spares;
use crate::plugins::spec::Spec;
use crate::plugins::worker::{Lease, Worker};

/// The workers of one state of a plugin's files: none, or up to as many as its sidecar says.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) spec: Arc<Spec>,
    with: Arc<With>,
    /// Takes no more calls.
    retired: CancellationToken,
    /// Told whenever a call that waits for a worker should look again.
    changed: Notify,
    // A std mutex: held for a few assignments and never over an await.
    state: Mutex<State>,
}

/// What the workers of a plugin are run with, whatever its files are.
#[derive(Debug)]
pub(super) struct With {
    pub(super) settings: Arc<Settings>,
    pub(super) host: Service,
    pub(super) spares: Arc<Spares>,
    /// Where the workers run.
    pub(super) workers: TaskTracker,
    pub(super) kill: CancellationToken,
    pub(super) tally: Tally,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Those that take calls.
    pub(super) ready: Vec<Arc<Worker>>,
    /// Those that take no more, and have not ended yet.
    pub(super) ending: Vec<Arc<Worker>>,
    pub(super) starting: usize,
    pub(super) breaker: Breaker,
    /// The files are not what they were any more: no further worker can be started of them.
    frozen: bool,
    /// Starts that failed, so that who waits for one learns of it.
    failures: u64,
    /// Why the last worker crashed or did not start, unless a call has succeeded since.
    trouble: Option<Failure>,
}

impl State {
    fn running(&self) -> usize {
        self.ready.len() + self.starting
    }
}

impl Crew {
    pub(super) fn new(spec: Arc<Spec>, with: Arc<With>) -> Arc<Self> {
        let (retired, changed, state) = (CancellationToken::new(), Notify::new(), Mutex::default());
        Arc::new(Self { spec, with, retired, changed, state })
    }

    /// The right to give one call to a worker: to the one with the fewest, or to a new one if all are full. `None` if
    /// this crew takes no more calls.
    pub(super) async fn lease(self: &Arc<Self>) -> Result<Option<Lease>, Failure> {
        self.until(|state| self.take(state)).await
    }

    /// As [`lease`](Self::lease), if nobody has to wait for it: mostly so.
    pub(super) fn lease_at_once(self: &Arc<Self>) -> Option<Lease> {
        let mut state = self.lock();
        if self.retired.is_cancelled() { None } else { self.take(&mut state) }
    }

    /// Waits until a worker is ready, and starts one if need be.
    pub(super) async fn up(self: &Arc<Self>) -> Result<Option<()>, Failure> {
        self.until(|state| (!state.ready.is_empty()).then_some(())).await
    }

    /// A call has been given back; `worked` if its worker has answered it.
    pub(super) fn released(&self, worked: bool) {
        if worked {
            let mut state = self.lock();
            state.breaker.worked();
            state.trouble = None;
        }
        self.changed.notify_waiters();
    }

    /// Calls that come would be refused now, with this.
    pub(super) fn refuses(&self) -> Option<Failure> {
        let state = self.lock();
        let until = state.breaker.open_until(Instant::now()).filter(|_| state.running() == 0)?;
        Some(self.broken(&state, until))
    }

    /// Starts what is to be warm.
    pub(super) fn tend(self: &Arc<Self>) {
        self.fill(&mut self.lock());
    }

    /// Takes no more calls: workers end with those that they have.
    pub(super) fn retire(&self) {
        self.retired.cancel();
        self.changed.notify_waiters();
    }

    /// The files have changed: the workers that there are go on, and are the last of this crew.
    pub(super) fn freeze(&self) {
        self.lock().frozen = true;
    }

    /// Whether there is a worker that takes calls.
    pub(super) fn is_ready(&self) -> bool {
        !self.lock().ready.is_empty()
    }

    /// Whether it has no worker and can have none any more.
    pub(super) fn is_spent(&self) -> bool {
        let state = self.lock();
        state.frozen && state.running() == 0
    }

    /// Whether it has workers, or had trouble with them.
    pub(super) fn is_busy(&self) -> bool {
        let state = self.lock();
        state.running() > 0 || state.trouble.is_some()
    }

    /// For those who tell how it is.
    pub(super) fn read<T>(&self, look: impl FnOnce(&mut State, Option<&Failure>) -> T) -> T {
        let mut state = self.lock();
        let trouble = state.trouble.clone();
        look(&mut state, trouble.as_ref())
    }

    /// Waits until a look finds something, and starts workers as long as it does not and may.
    async fn until<T>(self: &Arc<Self>, mut look: impl FnMut(&mut State) -> Option<T>) -> Result<Option<T>, Failure> {
        let seen = self.lock().failures;
        loop {
            // Order: first it listens, then it looks, so that no change is missed.
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            {
                let mut state = self.lock();
                if self.retired.is_cancelled() {
                    return Ok(None);
                }
                if let Some(found) = look(&mut state) {
                    return Ok(Some(found));
                }
                if state.running() == 0 {
                    if state.frozen {
                        return Ok(None);
                    }
                    if let Some(failure) = state.trouble.clone().filter(|_| state.failures != seen) {
                        return Err(failure);
                    }
                }
                if let Err(until) = self.start_another(&mut state)
                    && state.running() == 0
                {
                    return Err(self.broken(&state, until));
                }
            }
            changed.await;
        }
    }

    /// Takes a lease of the ready worker with the fewest calls, unless all are full.
    fn take(self: &Arc<Self>, state: &mut State) -> Option<Lease> {
        let concurrency = self.spec.manifest.concurrency.unwrap_or(self.with.settings.concurrency);
        loop {
            let has_room = state.ready.iter().filter(|worker| worker.calls() < concurrency);
            let worker = has_room.min_by_key(|worker| worker.calls())?.clone();
            let lease = worker.lease();
            let is_last = self.spec.manifest.max_calls.is_some_and(|most| worker.given() >= most);
            let is_last = lease.is_some() && is_last && !state.frozen;
            if is_last {
                worker.retire();
            }
            // One that takes no call has ended, or is about to.
            if is_last || lease.is_none() {
                state.ready.retain(|other| !Arc::ptr_eq(other, &worker));
                state.ending.push(worker);
                self.fill(state);
            }
            if lease.is_some() {
                return lease;
            }
        }
    }

    /// Starts workers up to the number that is kept warm.
    fn fill(self: &Arc<Self>, state: &mut State) {
        let (min, _) = self.spec.manifest.workers();
        while state.running() < min {
            let before = state.starting;
            if self.start_another(state).is_err() || state.starting == before {
                break;
            }
        }
    }

    /// Starts a worker, if there is room for one and it may be. Fails with the time until when it may not.
    fn start_another(self: &Arc<Self>, state: &mut State) -> Result<(), Instant> {
        let (_, max) = self.spec.manifest.workers();
        if self.spec.plain || self.retired.is_cancelled() || state.frozen || state.running() >= max {
            return Ok(());
        }
        let not_before = match state.breaker.may_start(Instant::now(), state.running()) {
            Start::Now => None,
            Start::At(then) => Some(then),
            Start::Later => return Ok(()),
            Start::Refused(until) => return Err(until),
        };
        state.starting += 1;
        self.with.workers.spawn(self.clone().run(not_before));
        Ok(())
    }

    /// Starts a worker and stays with it until nothing of it is left. Starting goes on if nobody waits for it any more:
    /// the next call will.
    async fn run(self: Arc<Self>, not_before: Option<Instant>) {
        let With { settings, host, kill, .. } = &*self.with;
        if let Some(not_before) = not_before {
            tokio::select! { () = self.retired.cancelled() => {}, () = sleep_until(not_before) => {} }
        }
        let kill = kill.child_token();
        let start = Worker::start(settings, &self.spec, host.clone(), kill.clone());
        tokio::pin!(start);
        let started = tokio::select! {
            biased;
            () = self.retired.cancelled() => {
                kill.cancel();
                start.await
            }
            started = &mut start => started,
        };
        let (worker, mut run) = match started {
            Ok(started) => started,
            Err(failure) => return self.did_not_start(failure),
        };
        {
            let mut state = self.lock();
            state.starting -= 1;
            state.ready.push(worker.clone());
        }
        self.changed.notify_waiters();
        self.note(Level::Info, "a worker started");
        let idle = self.spec.manifest.idle.unwrap_or(settings.idle);
        let (mut look_at, mut is_over) = (Instant::now() + idle, false);
        let exit = loop {
            tokio::select! {
                biased;
                exit = &mut run => break exit,
                () = self.retired.cancelled(), if !is_over => {
                    is_over = true;
                    worker.retire();
                }
                () = sleep_until(look_at), if !is_over => match self.retire_if_idle(&worker, idle) {
                    Some(again) => look_at = again,
                    None => is_over = true,
                },
            }
        };
        if worker.was_stopped() {
            tracing::debug!(plugin = %self.spec.id, %exit, "worker stopped");
            self.note(Level::Info, &format!("a worker was stopped: {exit}"));
            self.ended(&worker);
        } else {
            self.crashed(&worker, worker.ending(&exit), &worker.last_words());
        }
        worker.tell_exit(exit);
    }

    fn did_not_start(&self, failure: Failure) {
        let mut state = self.lock();
        state.starting -= 1;
        if !self.retired.is_cancelled() {
            tracing::warn!(plugin = %self.spec.id, "{}", failure.message);
            self.note(Level::Error, &failure.message);
            self.with.tally.crashed(&failure.message);
            state.breaker.crashed(Instant::now());
            state.failures += 1;
            state.trouble = Some(failure);
        }
        self.changed.notify_waiters();
    }

    /// When to look again, unless it was retired.
    fn retire_if_idle(&self, worker: &Arc<Worker>, idle: Duration) -> Option<Instant> {
        let mut state = self.lock();
        let idle_at = worker.idle_since().unwrap_or_else(Instant::now) + idle;
        let (min, _) = self.spec.manifest.workers();
        if idle_at > Instant::now() {
            return Some(idle_at);
        }
        // Of files that have changed there is no other worker to be had.
        if state.ready.len() <= min || state.frozen {
            return Some(Instant::now() + idle.max(KEPT));
        }
        worker.retire();
        state.ready.retain(|other| !Arc::ptr_eq(other, worker));
        state.ending.push(worker.clone());
        None
    }

    /// A worker ended by itself: the next one has to wait.
    fn crashed(&self, worker: &Arc<Worker>, why: String, last_words: &str) {
        let message = format!("{} {CRASHED}{why}", self.spec.id);
        tracing::warn!(plugin = %self.spec.id, "worker ended: {why}");
        self.note(Level::Warn, &format!("a worker ended: {why}"));
        self.with.tally.crashed(&format!("{message}{last_words}"));
        {
            let mut state = self.lock();
            state.breaker.crashed(Instant::now());
            state.trouble = Some(Failure::new(ErrorCode::PluginBroken, format!("{message}{last_words}")));
        }
        self.ended(worker);
    }

    fn ended(&self, worker: &Arc<Worker>) {
        let mut state = self.lock();
        state.ready.retain(|other| !Arc::ptr_eq(other, worker));
        state.ending.retain(|other| !Arc::ptr_eq(other, worker));
        self.changed.notify_waiters();
    }

    /// Writes into the log of the plugin.
    fn note(&self, level: Level, message: &str) {
        self.with.settings.journals.write(&self.spec.id, level, None, message);
    }

    fn broken(&self, state: &State, until: Instant) -> Failure {
        let id = &*self.spec.id;
        let trouble = state.trouble.as_ref().map(|trouble| trouble.message.as_str()).unwrap_or_default();
        // What it printed stands at the end, where it can be taken away.
        let at = trouble.find(LAST_OUTPUT).unwrap_or(trouble.len());
        let (reason, printed) = trouble.split_at(at);
        let reason = reason.strip_prefix(&id.to_string()).unwrap_or(reason).trim_start().trim_start_matches(CRASHED);
        let wait = until.duration_since(Instant::now());
        let message = format!(
            "{id} crashed {} times, the last time: {reason}; it is tried again in {} s{printed}",
            state.breaker.count(),
            wait.as_millis().div_ceil(1000)
        );
        let receiver = if id.kind == Kind::Receiver { " --receiver" } else { "" };
        Failure::new(ErrorCode::PluginBroken, message)
            .hint(format!("mend it; `coattail action reload '{}'{receiver}` tries it at once", id.name))
            .retry_after(wait)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is said before the reason of a crash.
const CRASHED: &str = "crashed: ";

/// How often to look whether a worker that is kept warm may end after all.
const KEPT: Duration = Duration::from_secs(1);
