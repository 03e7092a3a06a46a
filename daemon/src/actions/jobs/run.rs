use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coattail::id::{CallId, PeerId};
use coattail::name::ActionName;
use coattail::wire::jobs::JobState;
use coattail::wire::peer::Performed;
use coattail::wire::{ErrorCode, Failure};
use futures::future::OptionFuture;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::live::Ticket;
use super::outcome::{lost, state};
use super::said::{Said, log_file};
use crate::actions::{Actions, LocalCall, Remote};
use crate::config::RetrySchedule;
use crate::feeds::Feeds;
use crate::plugins::Begin;
use crate::publications::Cause;
use crate::store::{JobEnd, JobResult, JobRow, Store};

/// Jobs of one action that stand in its plugin's line, or ask its peer, at once; the others wait behind them. A part of
/// the calls that may wait for an action, so that jobs do not keep those away who wait for an answer.
const AT_ONCE: usize = 64;

/// How long to wait when the store fails: it says so itself.
const STORE_PAUSE: Duration = Duration::from_secs(5);

/// Brings jobs to their ends.
pub(super) struct Runner {
    pub(super) store: Store,
    pub(super) actions: Actions,
    pub(super) remote: Remote,
    pub(super) retry: RetrySchedule,
    /// How long a job waits to begin, or to hear from its peer, that says nothing else.
    pub(super) patience: Duration,
    pub(super) feeds: Feeds,
    /// Where the logs are.
    pub(super) logs: PathBuf,
    /// Cancelled when the service stops: nothing more begins.
    pub(super) stop: CancellationToken,
    // A std mutex: never held over an await.
    pub(super) lines: Mutex<Lines>,
}

/// Where the jobs of each action wait, here or at a peer.
type Lines = HashMap<(Option<PeerId>, ActionName), Arc<Semaphore>>;

/// What becomes of a job.
pub(super) enum Fate {
    /// It has ended. What was not begun was not done.
    Ended { outcome: Result<JobResult, Failure>, begun: bool },
    /// It stays as it is: the next start of the service takes it up. Whoever waits is told why.
    Left(Failure),
}

impl Runner {
    /// Brings one job, whose row is there, to its end.
    pub(super) async fn run(self: Arc<Self>, ticket: Ticket) {
        let row = match self.store.job(ticket.id).await {
            Ok(Some(row)) if row.finished.is_none() => row,
            // It went with the token that it was asked for with.
            Ok(_) => return,
            Err(error) => return ticket.tell(Err(error.into())),
        };
        // The owner's alone: the jobs of others could fill the disk.
        let log = row.draft.asker.is_none().then(|| ticket.said.keep(log_file(&self.logs, ticket.id)));
        let detached = row.draft.detached;
        let work = async {
            let told = match self.until_end(&ticket, row).await {
                Fate::Left(why) => Err(why),
                Fate::Ended { outcome, begun } => self.settle(ticket.id, outcome, begun, detached).await,
            };
            ticket.said.close();
            told
        };
        // Whoever hears that it has ended finds its last lines.
        let (told, _) = tokio::join!(work, OptionFuture::from(log));
        ticket.tell(told);
    }

    async fn until_end(&self, ticket: &Ticket, row: JobRow) -> Fate {
        let (id, is_remote) = (row.draft.id, row.draft.peer.is_some());
        let gate = Arc::new(Gate::new(row.started.is_some()));
        let start_by = self.start_by(&row);
        let line = self.line(row.draft.peer, &row.draft.action);
        // Many may wait in line: without what they will be given.
        drop(row);
        let work = async {
            // It is never closed.
            let _turn = line.acquire().await;
            match self.store.job(id).await {
                Ok(Some(row)) => match row.draft.peer {
                    None => self.here(row, &gate, &ticket.said).await,
                    Some(peer) => self.at_peer(peer, row, &gate, start_by, ticket).await,
                },
                Ok(None) => Fate::Left(Failure::new(ErrorCode::Cancelled, "the job is gone")),
                Err(error) => Fate::Left(error.into()),
            }
        };
        let late = async {
            sleep_until(start_by).await;
            if !gate.give_up() {
                std::future::pending::<()>().await;
            }
        };
        let stopped = async {
            self.stop.cancelled().await;
            // What a worker has been given here is finished, or ended with the worker.
            if !is_remote && !gate.give_up() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            fate = work => fate,
            () = ticket.cancel.cancelled() => {
                let outcome = Err(Failure::new(ErrorCode::Cancelled, "the job was cancelled"));
                Fate::Ended { outcome, begun: !gate.give_up() }
            }
            () = late => Fate::Ended { outcome: Err(not_begun()), begun: false },
            () = stopped => Fate::Left(
                Failure::new(ErrorCode::ShuttingDown, "the service is stopping")
                    .hint("a detached job goes on when the service runs again; ask for anything else once more"),
            ),
        }
    }

    /// Performs it at this instance.
    async fn here(&self, row: JobRow, gate: &Arc<Gate>, said: &Said) -> Fate {
        let draft = row.draft;
        for attempt in 1.. {
            let call = LocalCall {
                call: draft.id,
                action: draft.action.clone(),
                input: draft.input.clone(),
                publish: draft.publish,
                caller: draft.asker.map(|asker| asker.issuer),
                timeout: draft.timeout.map(Duration::from_millis),
                // It may wait here longer than in the line of its action.
                start_timeout: None,
                follower: Some(said.sink()),
                cause: draft.cause.map(|(publication, hops)| Cause { publication, hops }),
                begin: Some(self.begin(draft.id, gate)),
            };
            let failure = match self.actions.perform(call).await {
                Ok(performed) => return ended(Ok(result(performed))),
                Err(failure) => failure,
            };
            match failure.code {
                ErrorCode::ShuttingDown if gate.has_begun() => {
                    return ended(Err(lost("the service stopped while it ran")));
                }
                _ if gate.has_begun() => return ended(Err(failure)),
                ErrorCode::ShuttingDown => return Fate::Left(failure),
                // The line of the action is full: nothing was done, and a detached job has time.
                ErrorCode::Busy if draft.detached => self.pause(attempt, &failure).await,
                _ => return Fate::Ended { outcome: Err(failure), begun: false },
            }
        }
        unreachable!("attempts do not end by themselves")
    }

    /// Commits that it runs, before a worker has it.
    fn begin(&self, id: CallId, gate: &Arc<Gate>) -> Begin {
        let (store, gate) = (self.store.clone(), gate.clone());
        Begin::new(async move {
            if !gate.begin() {
                return Err(not_begun());
            }
            Ok(store.begin_job(id, now()).await?)
        })
    }

    /// Commits what became of it. Only then is it told.
    async fn settle(
        &self,
        id: CallId,
        outcome: Result<JobResult, Failure>,
        begun: bool,
        detached: bool,
    ) -> Result<JobResult, Failure> {
        let state = state(&outcome, begun);
        let untouched = !begun || state == JobState::Refused;
        loop {
            let settled = if untouched && !detached {
                // Whoever waits is told that nothing was done, and nobody else will ask.
                self.store.forget_job(id).await
            } else {
                let end = JobEnd { state, outcome: outcome.clone(), untouched, finished: now() };
                self.store.finish_job(id, end).await.map(drop)
            };
            match settled {
                Ok(()) => return outcome,
                Err(error) => tracing::error!(job = %id, %error, "what became of a job could not be written"),
            }
            // With a full disk, until there is room. Whatever is not written at the end is lost for whoever asks later,
            // so it is for whoever waits now.
            if self.stop.run_until_cancelled(sleep(STORE_PAUSE)).await.is_none() {
                return Err(lost("what became of the job could not be written"));
            }
        }
    }

    pub(super) async fn pause(&self, attempt: u32, failure: &Failure) {
        sleep(self.delay(attempt, failure)).await;
    }

    pub(super) fn delay(&self, attempt: u32, failure: &Failure) -> Duration {
        let hint = failure.retry_after_ms.map(Duration::from_millis);
        self.retry.delay(attempt, hint, rand::random()).unwrap_or(STORE_PAUSE)
    }

    fn start_by(&self, row: &JobRow) -> Instant {
        let wait = row.draft.start_timeout.map_or(self.patience, Duration::from_millis);
        until(row.draft.created, wait)
    }

    /// The line in which the jobs of an action wait.
    fn line(&self, peer: Option<PeerId>, action: &ActionName) -> Arc<Semaphore> {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.retain(|_, line| Arc::strong_count(line) > 1);
        lines.entry((peer, action.clone())).or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE))).clone()
    }
}

/// When so long will have passed since a time in milliseconds.
pub(super) fn until(since: i64, wait: Duration) -> Instant {
    let passed = Duration::from_millis(u64::try_from(now().saturating_sub(since)).unwrap_or_default());
    // Clocks end somewhere.
    Instant::now() + wait.saturating_sub(passed).min(FAR)
}

const FAR: Duration = Duration::from_hours(24 * 366);

pub(super) fn now() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}

pub(super) fn ended(outcome: Result<JobResult, Failure>) -> Fate {
    Fate::Ended { outcome, begun: true }
}

pub(super) fn result(performed: Performed) -> JobResult {
    let Performed { result, publication, publication_error } = performed;
    JobResult { result, publication, publication_error }
}

pub(super) fn not_begun() -> Failure {
    Failure::new(ErrorCode::TimedOut, "the job had not begun in time: nothing was done")
        .hint("start it again, and allow it more time to begin")
}
