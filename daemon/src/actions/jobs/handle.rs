use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use coattail::id::{CallId, PeerId, TokenId};
use coattail::key::Key;
use coattail::name::ActionName;
use coattail::rpc::Session;
use coattail::wire::control::LogLines;
use coattail::wire::jobs::{Job, JobState};
use coattail::wire::{ErrorCode, Failure, Raw};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::live::{Live, Ticket, Watch};
use super::outcome::shown;
use super::run::{Runner, now};
use super::said::{Following, job_of_file, log_file};
use crate::actions::{Actions, Remote};
use crate::config::{Limits, RetrySchedule};
use crate::feeds::{Feeds, Sink};
use crate::publications::Cause;
use crate::store::{Added, Asker, JobDraft, JobEnd, JobResult, JobRow, MostJobs, Store};

/// Jobs that are listed at most, the newest: more than are kept unless somebody wants it so.
const LISTED: u32 = 10_000;

/// After so many ends, what is too much is removed at once: nobody can fill the disk between two rounds of retention.
const TRIM_EVERY: u64 = 64;

/// How often a job that ends at the very moment is looked for.
const LOOKS: usize = 3;

/// Calls that outlive whoever asked for them. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Jobs {
    shared: Arc<Shared>,
}

struct Shared {
    store: Store,
    limits: Limits,
    live: Live,
    runner: Arc<Runner>,
    tasks: TaskTracker,
    /// Nothing more is begun.
    stop: CancellationToken,
    /// Whether this process stays to do what is detached.
    serving: AtomicBool,
    ended: AtomicU64,
}

/// A call that is to be a job, authorized.
#[derive(Debug)]
pub(crate) struct JobRequest {
    pub(crate) id: CallId,
    /// Absent if this instance itself asks.
    pub(crate) asker: Option<Asker>,
    pub(crate) peer: Option<PeerId>,
    pub(crate) action: ActionName,
    pub(crate) input: Option<Raw>,
    pub(crate) publish: bool,
    pub(crate) timeout: Option<Duration>,
    pub(crate) start_timeout: Option<Duration>,
    pub(crate) key: Option<Key>,
    pub(crate) cause: Option<Cause>,
}

/// A job that was asked for.
pub(crate) enum Asked {
    /// Somebody works on it.
    Live(Watch),
    /// It was asked for before, and has ended.
    Ended(Box<JobRow>),
}

impl Asked {
    pub(crate) fn id(&self) -> CallId {
        match self {
            Self::Live(watch) => watch.id,
            Self::Ended(row) => row.draft.id,
        }
    }

    /// Tells somebody what it says from now on.
    pub(crate) fn follow(&self, session: Session, sink: Sink) -> Result<Option<Following>, Failure> {
        match self {
            Self::Live(watch) => watch.said.follow(session, sink).map(Some),
            Self::Ended(_) => Ok(None),
        }
    }

    /// What became of it, or what becomes of it. Dropping the future does not end it.
    pub(crate) async fn outcome(self) -> Result<JobResult, Failure> {
        match self {
            Self::Live(watch) => watch.ended().await,
            Self::Ended(row) => row.outcome.unwrap_or_else(|| {
                Err(Failure::new(ErrorCode::Internal, format!("job {} has ended without an outcome", row.draft.id)))
            }),
        }
    }
}

impl Jobs {
    /// `logs` is the folder of their logs.
    pub(crate) fn new(
        store: Store,
        actions: Actions,
        remote: Remote,
        feeds: Feeds,
        logs: PathBuf,
        limits: &Limits,
    ) -> Self {
        let stop = CancellationToken::new();
        let runner = Arc::new(Runner {
            store: store.clone(),
            actions,
            remote,
            retry: RetrySchedule::dialing(limits.reconnect),
            patience: limits.job_patience,
            feeds,
            logs,
            stop: stop.clone(),
            lines: Default::default(),
        });
        let shared = Shared {
            store,
            limits: limits.clone(),
            live: Live::default(),
            runner,
            tasks: TaskTracker::new(),
            stop,
            serving: AtomicBool::new(false),
            ended: AtomicU64::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Before anything is begun: what ran when the instance was last open, and did not end, is lost.
    pub(crate) async fn recover(&self) -> Result<(), Failure> {
        let lost = self.shared.store.recover_jobs(now()).await?;
        if lost > 0 {
            tracing::warn!(lost, "jobs were lost: the service went away while they ran");
        }
        Ok(())
    }

    /// Takes up what is not done; from now on, what is detached is done here.
    pub(crate) async fn serve(&self) -> Result<(), Failure> {
        self.shared.serving.store(true, Ordering::SeqCst);
        for id in self.shared.store.unfinished_jobs().await? {
            self.spawn(self.shared.live.enter(id, None)?);
        }
        self.forget_logs().await;
        Ok(())
    }

    /// Stores a job. From then on it ends, whatever happens to whoever asked.
    ///
    /// # Errors
    /// `NotRunning`: nobody is there who would do it. `Busy`: too many are not done. `AlreadyExists`: another call has
    /// this key.
    pub(crate) async fn start(&self, request: JobRequest) -> Result<Job, Failure> {
        if !self.is_serving() {
            let message = "a detached job needs the service, which is not running: nobody would do it";
            return Err(Failure::new(ErrorCode::NotRunning, message)
                .hint("start it with `coattail service start`, or leave out `--detach` and wait"));
        }
        match self.admit(request.draft(true)).await? {
            Asked::Ended(row) => Ok(shown(*row)),
            Asked::Live(watch) => self.show(watch.id).await,
        }
    }

    /// Performs a call that has a key, or joins the one that has it, or tells what became of that.
    ///
    /// # Errors
    /// As [`start`](Self::start), but that it needs no service: whoever asks waits.
    pub(crate) async fn ask(&self, request: JobRequest) -> Result<Asked, Failure> {
        self.admit(request.draft(false)).await
    }

    /// The jobs that this instance itself has asked for.
    pub(crate) async fn list(&self) -> Result<Vec<Job>, Failure> {
        Ok(self.shared.store.jobs(LISTED).await?.into_iter().map(shown).collect())
    }

    pub(crate) async fn show(&self, id: CallId) -> Result<Job, Failure> {
        let job = shown(self.row(id).await?);
        let progress = self.shared.live.watch(id).and_then(|watch| watch.said.progress());
        Ok(Job { progress: progress.filter(|_| !job.state.is_final()), ..job })
    }

    /// What a job has logged, as far as it is kept. Whoever follows it is told what comes after that.
    pub(crate) async fn logs(&self, id: CallId, follower: Option<(Session, Sink)>) -> Result<LogLines, Failure> {
        self.row(id).await?;
        if let Some(watch) = self.shared.live.watch(id)
            && let Some(lines) = watch.said.read(follower).await?
        {
            return Ok(LogLines { lines });
        }
        let file = log_file(&self.shared.runner.logs, id);
        let read = tokio::task::spawn_blocking(move || file.tail(usize::MAX)).await;
        let lines = read.map_err(|error| Failure::of_error(ErrorCode::Internal, &error))?.map_err(|error| {
            Failure::new(ErrorCode::Internal, format!("the log of job {id} cannot be read: {error}"))
                .hint("check that you own the folder `.coattail/jobs` of the instance")
        })?;
        Ok(LogLines { lines })
    }

    /// Waits until a job has ended, or so long. Whoever follows it is told meanwhile what it says.
    pub(crate) async fn wait(
        &self,
        id: CallId,
        limit: Option<Duration>,
        follower: Option<(Session, Sink)>,
    ) -> Result<Job, Failure> {
        for _ in 0..LOOKS {
            let row = self.row(id).await?;
            if row.state.is_final() {
                return Ok(shown(row));
            }
            let Some(watch) = self.shared.live.watch(id) else { continue };
            let _following = follower.map(|(session, sink)| watch.said.follow(session, sink)).transpose()?;
            match limit {
                None => _ = watch.ended().await,
                Some(limit) => _ = timeout(limit, watch.ended()).await,
            }
            return self.show(id).await;
        }
        Err(self.nobody_works_on(id))
    }

    /// Ends a job, and returns when it has ended. One that has ended stays as it is.
    pub(crate) async fn cancel(&self, id: CallId) -> Result<Job, Failure> {
        for _ in 0..LOOKS {
            let row = self.row(id).await?;
            if row.state.is_final() {
                return Ok(shown(row));
            }
            if let Some(watch) = self.shared.live.watch(id) {
                watch.cancel.cancel();
                let _ = watch.ended().await;
            } else if row.state == JobState::Queued && !self.is_serving() {
                let outcome = Err(Failure::new(ErrorCode::Cancelled, "the job was cancelled before it had begun"));
                let end = JobEnd { state: JobState::Cancelled, outcome, untouched: true, finished: now() };
                self.shared.store.finish_job(id, end).await?;
            }
        }
        Err(self.nobody_works_on(id))
    }

    /// Ends what was asked for with a token, whose row has gone and has taken that of the job with it.
    pub(crate) fn end_token(&self, token: TokenId) {
        self.shared.live.cancel_token(token);
    }

    /// Removes what need not be kept.
    pub(crate) async fn trim(&self) -> Result<(), Failure> {
        let limits = &self.shared.limits;
        let age = i64::try_from(limits.job_retention.as_millis()).unwrap_or(i64::MAX);
        let before = now().saturating_sub(age);
        let gone = self.shared.store.trim_jobs(before, limits.job_retention_count, limits.job_retention_bytes).await?;
        if !gone.is_empty() {
            tracing::debug!(gone = gone.len(), "removed jobs past their retention");
            self.remove_logs(gone).await;
        }
        Ok(())
    }

    /// Begins nothing more, and returns when everything that has begun here has ended. What has not begun, and what
    /// runs at a peer, is taken up at the next start.
    pub(crate) async fn close(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }

    /// Removes the logs of jobs that are gone: a kill can come between a row and its log.
    async fn forget_logs(&self) {
        let folder = self.shared.runner.logs.clone();
        let list = move || {
            let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
            files.filter_map(|file| job_of_file(&file.path())).collect::<Vec<_>>()
        };
        // What cannot be listed cannot be removed, and harms nobody.
        let mut gone = tokio::task::spawn_blocking(list).await.unwrap_or_default();
        let Ok(kept) = self.shared.store.job_ids().await else { return };
        gone.retain(|id| !kept.contains(id));
        self.remove_logs(gone).await;
    }

    async fn remove_logs(&self, jobs: Vec<CallId>) {
        let folder = self.shared.runner.logs.clone();
        let remove = move || jobs.into_iter().try_for_each(|id| log_file(&folder, id).remove());
        if let Ok(Err(error)) = tokio::task::spawn_blocking(remove).await {
            tracing::warn!(%error, "the log of a job that is gone could not be removed");
        }
    }

    fn is_serving(&self) -> bool {
        self.shared.serving.load(Ordering::SeqCst)
    }

    async fn row(&self, id: CallId) -> Result<JobRow, Failure> {
        self.shared.store.job(id).await?.ok_or_else(|| {
            Failure::new(ErrorCode::NotFound, format!("there is no job {id}")).hint("`coattail job list` shows them")
        })
    }

    fn nobody_works_on(&self, id: CallId) -> Failure {
        if self.is_serving() {
            return Failure::new(ErrorCode::Internal, format!("nobody works on job {id}"));
        }
        Failure::new(ErrorCode::NotRunning, format!("job {id} is not done, and the service is not running"))
            .hint("start it with `coattail service start`")
    }

    /// In a task of its own: who stops waiting does not leave a row behind that nobody works on.
    async fn admit(&self, draft: JobDraft) -> Result<Asked, Failure> {
        let jobs = self.clone();
        let admitted = self.shared.tasks.spawn(async move { jobs.admit_now(draft).await }).await;
        admitted.unwrap_or_else(|error| Err(Failure::of_error(ErrorCode::Internal, &error)))
    }

    async fn admit_now(&self, draft: JobDraft) -> Result<Asked, Failure> {
        let Shared { store, limits, live, stop, .. } = &*self.shared;
        let most = MostJobs { count: limits.jobs, bytes: limits.job_retention_bytes };
        for _ in 0..LOOKS {
            if stop.is_cancelled() {
                return Err(Failure::new(ErrorCode::ShuttingDown, "the service is stopping"));
            }
            let ticket = live.enter(draft.id, draft.asker.map(|asker| asker.token))?;
            match store.add_job(draft.clone(), most).await? {
                Added::New => {
                    let watch = ticket.watch();
                    self.spawn(ticket);
                    return Ok(Asked::Live(watch));
                }
                Added::Full => {
                    return Err(Failure::busy(format!("{} jobs are not done", limits.jobs))
                        .hint("wait until some have ended, or raise `limits.jobs` in config.yml"));
                }
                Added::Known(row) if row.draft.digest != draft.digest => {
                    let message = "another call has this key: its input is another";
                    return Err(Failure::new(ErrorCode::AlreadyExists, message)
                        .hint("choose a key for each call, and the same key only to ask for the same again"));
                }
                Added::Known(row) if row.state.is_final() => return Ok(Asked::Ended(row)),
                Added::Known(row) => {
                    if let Some(watch) = live.watch(row.draft.id) {
                        return Ok(Asked::Live(watch));
                    }
                    // It has ended in this moment: the next look finds out how.
                }
            }
        }
        Err(self.nobody_works_on(draft.id))
    }

    fn spawn(&self, ticket: Ticket) {
        let jobs = self.clone();
        self.shared.tasks.spawn(async move {
            jobs.shared.runner.clone().run(ticket).await;
            if jobs.shared.ended.fetch_add(1, Ordering::Relaxed) % TRIM_EVERY == TRIM_EVERY - 1
                && let Err(failure) = jobs.trim().await
            {
                tracing::warn!(%failure, "jobs past their retention could not be removed");
            }
        });
    }
}

impl JobRequest {
    fn draft(self, detached: bool) -> JobDraft {
        let digest = self.digest();
        let Self { id, asker, peer, action, input, publish, timeout, start_timeout, key, cause } = self;
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        JobDraft {
            id,
            asker,
            peer,
            action,
            key,
            digest,
            input,
            publish,
            timeout: timeout.map(milliseconds),
            start_timeout: start_timeout.map(milliseconds),
            detached,
            cause: cause.map(|cause| (cause.publication, cause.hops)),
            created: now(),
        }
    }

    /// Of what makes two calls of one key the same: the input, byte for byte, and whether the result is published.
    fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update([u8::from(self.publish), u8::from(self.input.is_some())]);
        if let Some(input) = &self.input {
            digest.update(input.get());
        }
        digest.finalize().into()
    }
}
