use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coattail::id::{CallId, SessionId};
use coattail::wire::{ErrorCode, Failure};
use tokio_util::sync::CancellationToken;

/// The calls that are under way, so that whoever made one can end it. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Calls {
    // By connection, so that nobody can end the call of another. A std mutex: never held over an await.
    calls: Arc<Mutex<HashMap<(SessionId, CallId), CancellationToken>>>,
}

impl Calls {
    /// Runs a call that can be cancelled by its id over the same connection.
    pub(crate) async fn run<T>(
        &self,
        session: SessionId,
        call: CallId,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let key = (session, call);
        let cancel = CancellationToken::new();
        match self.lock().entry(key) {
            Entry::Vacant(entry) => _ = entry.insert(cancel.clone()),
            Entry::Occupied(_) => {
                let message = format!("a call {call} is under way on this connection already");
                return Err(Failure::new(ErrorCode::AlreadyExists, message));
            }
        }
        let _entry = Forget { calls: self, key };
        // Dropping the work is what ends it, down to the process.
        cancel
            .run_until_cancelled(work)
            .await
            .unwrap_or_else(|| Err(Failure::new(ErrorCode::Cancelled, "the call was cancelled")))
    }

    /// Ends a call. One that is over, or was never there, needs no ending.
    pub(crate) fn cancel(&self, session: SessionId, call: CallId) {
        if let Some(cancel) = self.lock().get(&(session, call)) {
            cancel.cancel();
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(SessionId, CallId), CancellationToken>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Forget<'a> {
    calls: &'a Calls,
    key: (SessionId, CallId),
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.calls.lock().remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_is_cancelled_by_whoever_made_it_and_nobody_else() {
        let calls = Calls::default();
        let (mine, other, call) = (SessionId::new(), SessionId::new(), CallId::new());
        let work = calls.run(mine, call, std::future::pending::<Result<(), Failure>>());
        tokio::pin!(work);
        assert!(futures::poll!(&mut work).is_pending());
        let twice = calls.run(mine, call, async { Ok(()) }).await;
        assert_eq!(twice.unwrap_err().code, ErrorCode::AlreadyExists);
        calls.cancel(other, call);
        assert!(futures::poll!(&mut work).is_pending());
        calls.cancel(mine, call);
        assert_eq!(work.await.unwrap_err().code, ErrorCode::Cancelled);
        assert!(calls.run(mine, call, async { Ok(()) }).await.is_ok());
    }
}
