use std::sync::Arc;

use coattail::wire::{ErrorCode, Failure};
use tokio_util::sync::CancellationToken;

use super::calls::{Pool, State};
use super::crew::Crew;
use super::line::Line;
use crate::plugins::spec::{Spec, Unusable};

/// A crew that is to take over.
#[derive(Debug)]
pub(super) struct Next {
    pub(super) crew: Arc<Crew>,
    /// Cancelled when it has taken over, or will not.
    decided: CancellationToken,
}

impl Next {
    /// It will not take over. The pool is locked, so that who waited finds what follows.
    pub(super) fn dismiss(self) {
        self.crew.retire();
        self.decided.cancel();
    }
}

/// Files of which nothing can be started, while workers of those of before still run.
#[derive(Debug)]
pub(super) struct Rejected {
    /// Absent if they do not even say what to start.
    spec: Option<Arc<Spec>>,
    pub(super) failure: Failure,
}

/// Why files are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugins) enum Change {
    /// They may have changed.
    Perhaps,
    /// The owner wants them to be read anew.
    Wanted,
}

impl Pool {
    /// Takes note of what the files are now. If they have changed, a worker of them is started, and takes over when it
    /// is ready; calls that come after this wait for that.
    pub(in crate::plugins) fn adopt(self: &Arc<Self>, spec: &Arc<Spec>, change: Change) {
        let mut state = self.lock();
        let state = &mut *state;
        let newest = match (&state.next, &state.rejected) {
            (Some(next), _) => Some(&next.crew.spec),
            (None, Some(rejected)) => rejected.spec.as_ref(),
            (None, None) => Some(&state.crew.spec),
        };
        let is_same = newest.is_some_and(|newest| newest.fingerprint == spec.fingerprint);
        let is_under_way = state.next.is_some();
        if state.closed || is_same && (change == Change::Perhaps || is_under_way) {
            return;
        }
        if state.crew.spec.fingerprint != spec.fingerprint {
            state.crew.freeze();
        }
        if let Some(next) = state.next.take() {
            next.dismiss();
        }
        let crew = Crew::new(spec.clone(), self.with.clone());
        // Nothing has to be waited for where nothing is warm.
        if spec.plain || !state.crew.is_ready() {
            return self.take_over(state, crew);
        }
        let decided = CancellationToken::new();
        state.next = Some(Next { crew: crew.clone(), decided });
        self.with.workers.spawn(self.clone().try_out(crew));
    }

    /// Takes note that the files cannot be run as they are now. Returns whether workers of those of before take calls.
    pub(in crate::plugins) fn reject(&self, Unusable { failure, is_withdrawn }: &Unusable) -> bool {
        let mut state = self.lock();
        if *is_withdrawn || state.next.is_none() && !state.crew.is_ready() {
            return false;
        }
        if state.rejected.as_ref().is_none_or(|rejected| rejected.failure.message != failure.message) {
            state.crew.freeze();
            self.note_rejected(&mut state, None, failure.clone());
        }
        true
    }

    /// Whether it is to be decided which crew takes calls.
    pub(super) fn is_unsettled(&self) -> bool {
        self.lock().next.is_some()
    }

    /// Waits until it is decided which crew takes calls.
    pub(super) async fn settled(&self) {
        loop {
            let decided = match &self.lock().next {
                Some(next) => next.decided.clone(),
                None => return,
            };
            decided.cancelled().await;
        }
    }

    /// A crew takes no more calls: sees to it that there is another.
    pub(super) fn succeed(self: &Arc<Self>, crew: &Arc<Crew>) -> Result<(), Failure> {
        let mut state = self.lock();
        if state.closed {
            return Err(Failure::new(ErrorCode::ShuttingDown, format!("{} is stopped", crew.spec.id)));
        }
        if !Arc::ptr_eq(&state.crew, crew) || state.next.is_some() {
            return Ok(());
        }
        // The last worker of the files of before has ended: now those of today have to do.
        match &state.rejected {
            Some(Rejected { spec: Some(spec), .. }) => {
                let crew = Crew::new(spec.clone(), self.with.clone());
                self.take_over(&mut state, crew);
                Ok(())
            }
            Some(Rejected { spec: None, failure }) => Err(failure.clone()),
            None => Err(Failure::new(ErrorCode::Internal, format!("{} has no workers", crew.spec.id))),
        }
    }

    /// Looks after what nobody calls: workers that are to be warm, and files that have lost their last worker.
    pub(in crate::plugins) fn tend(self: &Arc<Self>) {
        let crew = self.crew();
        if crew.is_spent() {
            // If it fails, the next call is told.
            let _ = self.succeed(&crew);
        }
        self.crew().tend();
    }

    /// Starts the first worker of a crew, and lets it take over.
    async fn try_out(self: Arc<Self>, crew: Arc<Crew>) {
        let outcome = crew.up().await;
        let mut state = self.lock();
        let Some(next) = state.next.take_if(|next| Arc::ptr_eq(&next.crew, &crew)) else {
            // Another has come meanwhile.
            return;
        };
        match outcome {
            Err(failure) if state.crew.is_ready() => {
                crew.retire();
                self.note_rejected(&mut state, Some(crew.spec.clone()), failure);
            }
            Ok(_) | Err(_) => self.take_over(&mut state, crew),
        }
        // Order: the pool is locked, so that who waited finds what has been decided.
        next.decided.cancel();
    }

    fn take_over(&self, state: &mut State, crew: Arc<Crew>) {
        state.line = Line::of(&crew.spec, &self.with.settings, Some(&state.line));
        crew.tend();
        std::mem::replace(&mut state.crew, crew).retire();
        state.rejected = None;
    }

    fn note_rejected(&self, state: &mut State, spec: Option<Arc<Spec>>, failure: Failure) {
        tracing::warn!(plugin = %state.crew.spec.id, "the new version is not used, the one of before still runs: {}", failure.message);
        self.with.tally.rejected(&failure.message);
        state.rejected = Some(Rejected { spec, failure });
    }
}
