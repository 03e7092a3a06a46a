use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use coattail::id::CallId;
use coattail::name::{ActionName, ReceiverName};
use coattail::pointer::Pointer;
use coattail::rpc::{Deadline, Service};
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure};
use futures::{StreamExt as _, stream};
use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::call::{Answer, Begin, Begun, Job, Outcome, Wanted};
use super::pool::{Change, Pool};
use super::spare::Spares;
use super::spec::{Fingerprint, Found, Spec, Unusable};
use super::work::Work;
use super::{PerformCall, PluginId, ReceiveCall, Settings, Tap, discover};
use crate::config::RetrySchedule;
use crate::feeds::{Sink, Speaker};

/// Makes the methods that a worker of this plugin may call: the Coattail API. Which plugin it is, is also a fact of
/// each connection.
pub type Host = Arc<dyn Fn(&PluginId) -> Service + Send + Sync>;

/// The actions and receivers of an instance. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Plugins {
    pub(super) shared: Arc<Shared>,
}

/// What is asked of a call, whatever it is given.
struct Asked {
    call: CallId,
    timeout: Option<Duration>,
    start_timeout: Option<Duration>,
    follower: Option<Sink>,
    cancel: CancellationToken,
    begin: Option<Begin>,
}

pub(super) struct Shared {
    pub(super) settings: Arc<Settings>,
    pub(super) host: Host,
    // A std mutex: held for a look and an insert, and never over an await.
    pools: Mutex<HashMap<PluginId, Arc<Pool>>>,
    /// What was found, and the folder in which it was. Held as `pools` is.
    known: Mutex<HashMap<PluginId, Arc<Known>>>,
    /// The calls under way.
    calls: TaskTracker,
    /// The processes, and what waits for their end.
    pub(super) workers: TaskTracker,
    /// Guards for what runs once per call.
    spares: Arc<Spares>,
    /// No new calls.
    pub(super) stopping: CancellationToken,
    /// Calls under way end, too.
    pub(super) closing: CancellationToken,
    /// Processes are killed.
    kill: CancellationToken,
}

/// What a plugin was when it was last looked for.
struct Known {
    folder: Fingerprint,
    spec: Arc<Spec>,
    /// Until when nobody looks again. A std mutex: held while somebody looks.
    until: Mutex<Instant>,
}

impl Known {
    fn new(folder: Fingerprint, spec: Arc<Spec>) -> Arc<Self> {
        Arc::new(Self { folder, spec, until: Mutex::new(Instant::now()) })
    }

    /// Whether it is still that, a moment ago at the latest: of many calls at once not each looks at the files.
    fn holds(&self) -> bool {
        let started = Instant::now();
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if started < *until {
            return true;
        }
        let holds = self.folder.holds() && self.spec.fingerprint.holds();
        if holds {
            *until = Instant::now() + (SHARE * started.elapsed()).min(MOMENT);
        }
        holds
    }
}

impl Plugins {
    /// The plugins of an instance. When `cancel` is cancelled, everything is killed; the future ends when nothing is
    /// left. To end in order, await [`shutdown`](Self::shutdown) before.
    pub fn new(settings: Settings, host: Host, cancel: CancellationToken) -> (Self, impl Future<Output = ()>) {
        let (settings, workers, stopping) = (Arc::new(settings), TaskTracker::new(), cancel.child_token());
        let shared = Arc::new(Shared {
            spares: Spares::new(settings.clone(), workers.clone(), stopping.clone()),
            settings,
            host,
            pools: Mutex::default(),
            known: Mutex::default(),
            calls: TaskTracker::new(),
            workers,
            stopping,
            closing: cancel.child_token(),
            kill: cancel,
        });
        let plugins = Self { shared: shared.clone() };
        let run = async move {
            shared.kill.cancelled().await;
            shared.calls.close();
            shared.workers.close();
            shared.calls.wait().await;
            shared.workers.wait().await;
        };
        (plugins, run)
    }

    /// Where one can look on what they are given.
    pub(crate) fn tap(&self) -> &Tap {
        &self.shared.settings.tap
    }

    /// Lists what is in the folder of a kind, also what cannot be run.
    pub fn list(&self, kind: Kind) -> Vec<Found> {
        let mut found = discover::list(&self.shared.settings, kind);
        let pools = self.shared.pools();
        let mut room = LISTED;
        for found in &mut found {
            // What a plugin has said of itself is known where its worker was started.
            let pool = found.spec.as_ref().and_then(|spec| Some((pools.get(&*spec.id)?, spec)));
            let running = pool.map(|(pool, spec)| (pool.spec(), spec));
            let same = running.filter(|(running, spec)| running.fingerprint == spec.fingerprint);
            if let Some(running) = same.map(|(running, _)| running) {
                (found.input, found.output) = running.schemas.texts();
                found.spec = Some(running);
            }
            let size = [&found.input, &found.output].into_iter().flatten().map(|text| text.get().len()).sum();
            match room.checked_sub(size) {
                Some(left) => room = left,
                None => (found.input, found.output) = (None, None),
            }
        }
        found
    }

    /// Starts the plugins of these names that have not said yet what they take and return, so that
    /// [`list`](Self::list) knows. Whoever does not start has said nothing.
    pub async fn learn_schemas(&self, kind: Kind, wanted: impl Fn(&str) -> bool) {
        let is_unknown = |spec: &Spec| !spec.plain && !spec.schemas.are_known(kind);
        let unknown = self.list(kind).into_iter().filter(|found| {
            found.spec.as_deref().is_some_and(is_unknown) && found.problem.is_none() && wanted(&found.name)
        });
        let unknown: Vec<String> = unknown.map(|found| found.name).collect();
        let ask = stream::iter(unknown).for_each_concurrent(ASKED_AT_ONCE, |name| async move {
            if let Err(failure) = self.warm(kind, &name).await {
                tracing::debug!(%failure, "a plugin could not be asked for its schemas");
            }
        });
        let _ = timeout(ASKED_WITHIN, ask).await;
    }

    /// Whether there is such an action, and that it can be run.
    ///
    /// # Errors
    /// As [`perform`](Self::perform), before anything is started.
    pub fn check(&self, kind: Kind, name: &str) -> Result<(), Failure> {
        Ok(self.shared.find(&PluginId { kind, name: name.to_owned() }).map(drop)?)
    }

    /// Performs an action. Dropping the future cancels the call.
    ///
    /// # Errors
    /// `NotFound`, `PluginBroken`, `Busy`, `ShuttingDown`, `TooLarge`: nothing was done. `InvalidInput`, `Rejected`,
    /// `RetryLater`, `Failed`: what the action said. `TimedOut`, `Cancelled`, `Lost`: it may have been done in part.
    pub async fn perform(&self, action: &ActionName, mut call: PerformCall) -> Outcome {
        let id = PluginId { kind: Kind::Action, name: action.as_str().to_owned() };
        let asked = Asked {
            call: call.call,
            timeout: call.timeout,
            start_timeout: call.start_timeout,
            follower: call.follower.clone(),
            cancel: call.cancel.clone(),
            begin: call.begin.take(),
        };
        self.start(id, asked, |limit| Job::perform(call, limit)).await
    }

    /// Gives a publication to a receiver. Dropping the future cancels the call.
    ///
    /// # Errors
    /// As [`perform`](Self::perform).
    pub async fn receive(&self, receiver: &ReceiverName, call: ReceiveCall) -> Result<(), Failure> {
        let id = PluginId { kind: Kind::Receiver, name: receiver.as_str().to_owned() };
        let (timeout, follower, cancel) = (call.timeout, call.follower.clone(), call.cancel.clone());
        let asked = Asked { call: call.call, timeout, start_timeout: None, follower, cancel, begin: None };
        self.start(id, asked, |limit| Job::receive(call, limit)).await.map(drop)
    }

    /// When a receiver is called again, if its sidecar says so.
    pub(crate) fn retry_schedule(&self, receiver: &ReceiverName) -> Option<RetrySchedule> {
        let spec = self.shared.find(&PluginId { kind: Kind::Receiver, name: receiver.as_str().to_owned() }).ok()?;
        spec.manifest.retry.clone().map(RetrySchedule::list)
    }

    /// What tells publications apart that a receiver handles at once, if its sidecar says so, and how many it handles at
    /// once. Nothing if that is not known, since it cannot be run.
    pub(crate) fn order(&self, receiver: &ReceiverName) -> Option<(Option<Pointer>, usize)> {
        let spec = self.shared.find(&PluginId { kind: Kind::Receiver, name: receiver.as_str().to_owned() }).ok()?;
        Some((spec.manifest.order_key.clone(), spec.at_once(&self.shared.settings)))
    }

    /// The last lines that a receiver printed or said during a call, as far as they are known to be of this one.
    pub(crate) async fn printed(&self, receiver: &ReceiverName, call: CallId) -> Vec<String> {
        let id = PluginId { kind: Kind::Receiver, name: receiver.as_str().to_owned() };
        // Without its log nothing is known; the call does not depend on it.
        let lines = self.shared.settings.journals.read(id, PRINTED_AMONG, None).await.map(|log| log.lines);
        let mut lines = lines.unwrap_or_default();
        lines.retain(|line| line.call == Some(call));
        lines.drain(..lines.len().saturating_sub(PRINTED));
        lines.into_iter().map(|line| line.message).collect()
    }

    /// Takes no more calls, and lets those under way finish for so long. Then it ends them, and every worker.
    pub async fn shutdown(&self, deadline: Duration) {
        let shared = &self.shared;
        // 1. Refuse new calls; finish those under way.
        shared.stopping.cancel();
        shared.calls.close();
        let _ = timeout(deadline, shared.calls.wait()).await;
        // 2. End those that did not finish: cancel, TERM, KILL.
        shared.closing.cancel();
        // 3. End the workers with their last calls.
        for (_, pool) in shared.pools().drain() {
            pool.retire();
        }
        shared.workers.close();
        let grace = LAST_STEPS * shared.settings.grace;
        let ended = async {
            shared.calls.wait().await;
            shared.workers.wait().await;
        };
        // 4. Kill what is left.
        if timeout(grace, ended).await.is_err() {
            shared.kill.cancel();
            shared.calls.wait().await;
            shared.workers.wait().await;
        }
    }

    /// Starts the worker of a plugin, if it has none, and waits until it has loaded the user's code. Returns whether
    /// there is one: what runs once per call has none.
    ///
    /// # Errors
    /// `NotFound`, `PluginBroken`, `ShuttingDown`.
    pub async fn warm(&self, kind: Kind, name: &str) -> Result<bool, Failure> {
        let shared = &self.shared;
        let id = PluginId { kind, name: name.to_owned() };
        let spec = discover::find(&shared.settings, &id)?;
        let pool = shared.pool(&mut shared.pools(), &spec, Change::Perhaps).ok_or_else(|| stopping(&id))?;
        pool.up().await
    }

    async fn start(&self, id: PluginId, asked: Asked, job: impl FnOnce(Duration) -> Job) -> Outcome {
        let shared = &self.shared;
        let Asked { call, timeout, start_timeout, follower, cancel, begin } = asked;
        let (spec, is_usable) = match shared.find(&id) {
            Ok(spec) => (spec, true),
            // What was broken by a change goes on as it was; what was taken away is not there any more.
            Err(unusable) => match shared.pools().get(&id).filter(|pool| pool.reject(&unusable)) {
                Some(pool) => (pool.spec(), false),
                None => return Err(unusable.into()),
            },
        };
        let limit = match (timeout, spec.manifest.timeout) {
            (Some(asked), Some(most)) => asked.min(most),
            (one, other) => one.or(other).unwrap_or(shared.settings.timeout),
        };
        let deadline = Deadline::new(limit);
        let start = start_timeout
            .map(|limit| limit.min(deadline.limit()))
            .map(|limit| (tokio::time::Instant::now() + limit, limit));
        let origin = Speaker::Plugin(id.kind, id.name.clone());
        // Dropped with this future: what is said after the answer is nobody's.
        let feed = shared.settings.feeds.open(call, origin, deadline.clone(), follower)?;
        let job = job(deadline.limit());
        shared.settings.tap.given(&id, &job);
        spec.schemas.check_early(&id, job.input()).await?;
        let ran = Arc::<OnceLock<Arc<Spec>>>::default();
        // Cancelled when this future is dropped, but not the caller's own token.
        let cancel = cancel.child_token();
        let _guard = cancel.clone().drop_guard();
        let (answer, wait) = oneshot::channel();
        let (pool, work) = {
            // Under the lock nobody can stop in between: a call is refused, or waited for.
            let mut pools = shared.pools();
            if shared.stopping.is_cancelled() {
                return Err(stopping(&id));
            }
            let pool =
                if is_usable { shared.pool(&mut pools, &spec, Change::Perhaps) } else { pools.get(&id).cloned() };
            let pool = pool.ok_or_else(|| stopping(&id))?;
            let (place, turn) = pool.enter().inspect_err(|failure| pool.failed(failure))?;
            let (closing, begun) = (shared.closing.clone(), Begun::default());
            let answer = Answer::new(answer, place, begun.clone());
            let (begin, begins) = begin.map(Begin::announced).unzip();
            let wanted = Wanted { id: spec.id.clone(), deadline, begins, start, begun, cancel, closing };
            let work = pool.clone().handle(turn, begin, job, wanted, answer, ran.clone());
            (pool, Work::new(work, &shared.calls))
        };
        let lost = || Err(Failure::new(ErrorCode::Internal, "a call ended without an answer"));
        let outcome = match (work.until(wait).await.unwrap_or_else(lost), ran.get()) {
            // As the version says that has done it.
            (Ok(output), Some(spec)) if id.kind == Kind::Action => spec.schemas.check_output(&id, output).await,
            (outcome, _) => outcome,
        };
        outcome.inspect_err(|failure| pool.failed(failure)).map_err(|failure| match feed.retry_after() {
            Some(after) if failure.code == ErrorCode::RetryLater && failure.retry_after_ms.is_none() => {
                failure.retry_after(after)
            }
            _ => failure,
        })
    }
}

impl Shared {
    /// Forgets what was found, so that all of it is looked at again.
    pub(super) fn forget(&self, id: &PluginId) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// The plugin as its files are now. The whole folder is read only when it has changed, or a file of the plugin.
    pub(super) fn find(&self, id: &PluginId) -> Result<Arc<Spec>, Unusable> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner).get(id).cloned();
        if let Some(known) = known.filter(|known| known.holds()) {
            return Ok(known.spec.clone());
        }
        // Order: first the look at the folder, then the reading, so that what is added in between is read next time.
        let folder = Fingerprint::of(&[&self.settings.folder(id.kind)]);
        let found = discover::find(&self.settings, id);
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Ok(spec) if folder.is_settled() => known.insert(id.clone(), Known::new(folder, spec.clone())),
            _ => known.remove(id),
        };
        found
    }

    /// The pool of a plugin, told what its files are now. None once the daemon stops.
    pub(super) fn pool(
        &self,
        pools: &mut HashMap<PluginId, Arc<Pool>>,
        spec: &Arc<Spec>,
        change: Change,
    ) -> Option<Arc<Pool>> {
        if self.stopping.is_cancelled() {
            return None;
        }
        if let Some(pool) = pools.get(&*spec.id) {
            pool.adopt(spec, change);
            return Some(pool.clone());
        }
        let (id, host) = (PluginId::clone(&spec.id), (self.host)(&spec.id));
        let (settings, spares) = (self.settings.clone(), self.spares.clone());
        let (workers, kill) = (self.workers.clone(), self.kill.clone());
        let pool = Arc::new(Pool::new(spec.clone(), settings, host, spares, workers, kill));
        pools.insert(id, pool.clone());
        Some(pool)
    }

    pub(super) fn pools(&self) -> MutexGuard<'_, HashMap<PluginId, Arc<Pool>>> {
        self.pools.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugins").field("instance", &self.settings.instance).finish_non_exhaustive()
    }
}

pub(super) fn stopping(id: &PluginId) -> Failure {
    Failure::new(ErrorCode::ShuttingDown, format!("{id} is not run: the service is stopping"))
}

/// The name that is nearest to a mistyped one, if one is near.
pub(super) fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let typed = typed.to_lowercase();
    names
        .map(|name| (strsim::jaro_winkler(&typed, &name.to_lowercase()), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

/// Of the time, looking at the files of a plugin may take one part in so many, but they are looked at again after this at
/// the latest: sooner than anybody can change a file and call.
const SHARE: u32 = 100;
const MOMENT: Duration = Duration::from_millis(1);

/// Lines of a call that are looked for at the end of a receiver's log, and among how many: others' calls may be there.
const PRINTED: usize = 20;
const PRINTED_AMONG: usize = 200;

/// Bytes of schemas in one list: half of the frame that carries it to a peer. What finds no room any more has none.
const LISTED: usize = 4 * 1024 * 1024;

/// How many plugins are started at once because somebody asks what they take. Each has its own limit, too.
const ASKED_AT_ONCE: usize = 4;
/// How long a list may take because of that: less than the 30 s that a peer waits.
const ASKED_WITHIN: Duration = Duration::from_secs(20);

/// Steps of ending a call and then its worker that each take a grace: cancel, TERM, KILL; goodbye, the end of stdin,
/// TERM.
const LAST_STEPS: u32 = 6;
