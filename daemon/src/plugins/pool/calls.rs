use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use coattail::rpc::Service;
use coattail::wire::{ErrorCode, Failure};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::crew::{Crew, With};
use super::line::{Line, Turn};
use super::takeover::{Next, Rejected};
use super::tally::Tally;
use crate::plugins::Settings;
use crate::plugins::call::{Answer, Begin, Job, Wanted};
use crate::plugins::plain;
use crate::plugins::spare::Spares;
use crate::plugins::spec::Spec;
use crate::plugins::worker::Sent;

/// How often a call is given to another worker when the one it was given to had already ended.
const TRIES: u32 = 3;

/// The calls of one plugin, and the workers that do them.
#[derive(Debug)]
pub(in crate::plugins) struct Pool {
    pub(super) with: Arc<With>,
    // A std mutex: held for a few assignments and never over an await. Order: before that of a crew.
    state: Mutex<State>,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) line: Arc<Line>,
    pub(super) crew: Arc<Crew>,
    /// The crew that is to take over, once its first worker is ready.
    pub(super) next: Option<Next>,
    /// The files as they are now, if nothing can be started of them.
    pub(super) rejected: Option<Rejected>,
    /// Nothing is started any more.
    pub(super) closed: bool,
}

/// What came of giving a call to a worker.
enum Given {
    Done,
    /// The worker had ended before the call reached it.
    Missed,
    /// Another crew has taken over, or will.
    Elsewhere,
}

impl Pool {
    pub(in crate::plugins) fn new(
        spec: Arc<Spec>,
        settings: Arc<Settings>,
        host: Service,
        spares: Arc<Spares>,
        workers: TaskTracker,
        kill: CancellationToken,
    ) -> Self {
        let line = Line::of(&spec, &settings, None);
        let with = Arc::new(With { settings, host, spares, workers, kill, tally: Tally::default() });
        let crew = Crew::new(spec, with.clone());
        let state = Mutex::new(State { line, crew, next: None, rejected: None, closed: false });
        Self { with, state }
    }

    /// What it runs now.
    pub(in crate::plugins) fn spec(&self) -> Arc<Spec> {
        self.crew().spec.clone()
    }

    /// A place in line for one more call, at once or never. Calls get their turns in the order in which they came
    /// here.
    pub(in crate::plugins) fn enter(&self) -> Result<(OwnedSemaphorePermit, Turn), Failure> {
        self.with.tally.called();
        let state = self.lock();
        // While another crew starts, its first worker may change that.
        if state.next.is_none()
            && let Some(failure) = state.crew.refuses()
        {
            return Err(failure);
        }
        let place = state.line.place(&state.crew.spec.id)?;
        Ok((place, state.line.turn()))
    }

    /// Does one call. Ends when nothing of the call is left; the answer is given before that, as soon as it is
    /// known, after `ran` says which version of the plugin has done it.
    pub(in crate::plugins) async fn handle(
        self: Arc<Self>,
        mut turn: Turn,
        begin: Option<Begin>,
        job: Job,
        wanted: Wanted,
        mut answer: Answer,
        ran: Arc<OnceLock<Arc<Spec>>>,
    ) {
        let unwanted = wanted.ended();
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
        let mut missed = 0;
        while missed < TRIES {
            if self.is_unsettled() {
                tokio::select! {
                    biased;
                    why = &mut unwanted => return answer.give(Err(why)),
                    () = Box::pin(self.settled()) => {}
                }
            }
            let crew = self.crew();
            if crew.spec.plain {
                let With { settings, spares, kill, .. } = &*self.with;
                let _ = ran.set(crew.spec.clone());
                // Apart, so that the calls of warm workers do not carry the room that it needs.
                return Box::pin(plain::run(settings, spares, &crew.spec, &job, unwanted, &mut answer, kill)).await;
            }
            match self.give(&crew, &job, &mut unwanted, &mut answer, &ran).await {
                Given::Done => return,
                Given::Missed => missed += 1,
                Given::Elsewhere => {}
            }
        }
        answer.give(Err(Failure::new(
            ErrorCode::PluginBroken,
            format!("{} ends as soon as it is started: the call was not given to it", self.spec().id),
        )));
    }

    async fn give(
        self: &Arc<Self>,
        crew: &Arc<Crew>,
        job: &Job,
        mut unwanted: impl Future<Output = Failure> + Unpin,
        answer: &mut Answer,
        ran: &OnceLock<Arc<Spec>>,
    ) -> Given {
        let lease = match crew.lease_at_once() {
            Some(lease) => Ok(Some(lease)),
            None => tokio::select! {
                biased;
                why = &mut unwanted => Err(why),
                lease = Box::pin(crew.lease()) => lease,
            },
        };
        match lease {
            Err(failure) => {
                answer.give(Err(failure));
                Given::Done
            }
            Ok(None) => match self.succeed(crew) {
                Ok(()) => Given::Elsewhere,
                Err(failure) => {
                    answer.give(Err(failure));
                    Given::Done
                }
            },
            Ok(Some(lease)) => {
                // Known since its worker was started.
                if let Err(failure) = crew.spec.schemas.check_late(&crew.spec.id, job.input()).await {
                    answer.give(Err(failure));
                    drop(lease);
                    crew.released(false);
                    return Given::Done;
                }
                let _ = ran.set(crew.spec.clone());
                let sent = lease.perform(job, &mut unwanted, answer).await;
                crew.released(sent == Sent::Answered);
                if sent == Sent::No { Given::Missed } else { Given::Done }
            }
        }
    }

    /// A call failed.
    pub(in crate::plugins) fn failed(&self, failure: &Failure) {
        self.with.tally.failed(failure);
    }

    /// Waits until a worker is ready, and starts one if need be. Returns whether there is one: what runs once per call
    /// has none.
    pub(in crate::plugins) async fn up(self: &Arc<Self>) -> Result<bool, Failure> {
        loop {
            self.settled().await;
            let crew = self.crew();
            if crew.spec.plain {
                return Ok(false);
            }
            match crew.up().await? {
                Some(()) => return Ok(true),
                None => self.succeed(&crew)?,
            }
        }
    }

    /// Waits until a reload has been decided, and a worker is ready. Fails with the reason, and whether what ran before
    /// goes on.
    pub(in crate::plugins) async fn reloaded(self: &Arc<Self>) -> Result<bool, (Failure, bool)> {
        self.settled().await;
        let rejected = self.lock().rejected.as_ref().map(|rejected| rejected.failure.clone());
        match rejected {
            Some(failure) => Err((failure, true)),
            None => self.up().await.map_err(|failure| (failure, false)),
        }
    }

    /// Whether it has workers, is to keep some, or had trouble with them.
    pub(in crate::plugins) fn is_busy(&self) -> bool {
        let crew = self.crew();
        crew.is_busy() || crew.spec.manifest.workers().0 > 0
    }

    /// No more calls come: the workers end with the last ones that they have.
    pub(in crate::plugins) fn retire(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.crew.retire();
        if let Some(next) = state.next.take() {
            next.dismiss();
        }
    }

    /// Whether calls are under way, or wait.
    pub(in crate::plugins) fn has_calls(&self) -> bool {
        self.lock().line.calls() > 0
    }

    pub(super) fn crew(&self) -> Arc<Crew> {
        self.lock().crew.clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
