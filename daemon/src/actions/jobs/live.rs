use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coattail::id::{CallId, TokenId};
use coattail::wire::{ErrorCode, Failure};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::said::Said;
use crate::store::JobResult;

/// The jobs that somebody works on now. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Live {
    // A std mutex: held for a map operation and never over an await.
    jobs: Arc<Mutex<HashMap<CallId, Watch>>>,
}

/// What became of a job; several may wait for it.
type Told = Arc<Result<JobResult, Failure>>;

/// Held by whoever works on a job. It is no longer live when this is dropped.
#[derive(Debug)]
pub(super) struct Ticket {
    live: Live,
    pub(super) id: CallId,
    /// Cancelled by whoever wants the job to end.
    pub(super) cancel: CancellationToken,
    pub(super) said: Said,
    end: watch::Sender<Option<Told>>,
}

/// A job that somebody works on, for whoever waits for it.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pub(super) id: CallId,
    token: Option<TokenId>,
    pub(super) cancel: CancellationToken,
    pub(super) said: Said,
    end: watch::Receiver<Option<Told>>,
}

impl Live {
    /// Order: first this, then the row, so that whoever finds the row of a job that is not done finds it here.
    pub(super) fn enter(&self, id: CallId, token: Option<TokenId>) -> Result<Ticket, Failure> {
        let (end, ended) = watch::channel(None);
        let (cancel, said) = (CancellationToken::new(), Said::default());
        let watch = Watch { id, token, cancel: cancel.clone(), said: said.clone(), end: ended };
        match self.lock().entry(id) {
            Entry::Vacant(entry) => _ = entry.insert(watch),
            Entry::Occupied(_) => {
                return Err(Failure::new(ErrorCode::AlreadyExists, format!("there is a job {id} already")));
            }
        }
        Ok(Ticket { live: self.clone(), id, cancel, said, end })
    }

    pub(super) fn watch(&self, id: CallId) -> Option<Watch> {
        self.lock().get(&id).cloned()
    }

    /// Ends what was asked for with a token.
    pub(super) fn cancel_token(&self, token: TokenId) {
        for job in self.lock().values().filter(|job| job.token == Some(token)) {
            job.cancel.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, Watch>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ticket {
    pub(super) fn watch(&self) -> Watch {
        let (cancel, said) = (self.cancel.clone(), self.said.clone());
        Watch { id: self.id, token: None, cancel, said, end: self.end.subscribe() }
    }

    /// Tells everybody who waits. Order: after the commit.
    pub(super) fn tell(self, outcome: Result<JobResult, Failure>) {
        self.end.send_replace(Some(Arc::new(outcome)));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.live.lock().remove(&self.id);
    }
}

impl Watch {
    /// What became of it.
    pub(super) async fn ended(mut self) -> Result<JobResult, Failure> {
        match self.end.wait_for(Option::is_some).await {
            Ok(told) => told.as_deref().cloned().unwrap_or_else(|| Err(untold(self.id))),
            Err(_) => Err(untold(self.id)),
        }
    }
}

fn untold(id: CallId) -> Failure {
    Failure::new(ErrorCode::Internal, format!("nobody said what became of job {id}"))
        .hint("`coattail job show` may know by now")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everybody_who_waits_hears_it_and_then_it_is_gone() {
        let live = Live::default();
        let (id, token) = (CallId::new(), TokenId::new());
        let ticket = live.enter(id, Some(token)).unwrap();
        assert_eq!(live.enter(id, None).unwrap_err().code, ErrorCode::AlreadyExists);
        let watches = [live.watch(id).unwrap(), ticket.watch()];
        live.cancel_token(TokenId::new());
        assert!(!ticket.cancel.is_cancelled());
        live.cancel_token(token);
        assert!(ticket.cancel.is_cancelled());
        ticket.tell(Ok(JobResult::default()));
        for watch in watches {
            assert!(watch.ended().await.is_ok());
        }
        assert!(live.watch(id).is_none());
        let dropped = live.enter(id, None).unwrap().watch();
        assert_eq!(dropped.ended().await.unwrap_err().code, ErrorCode::Internal);
    }
}
