use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jsonrpsee::types::ErrorObjectOwned;
use tokio::sync::oneshot;

use crate::wire::Raw;

type Answer = Result<Raw, ErrorObjectOwned>;

/// The calls of ours that wait for an answer. No I/O, so it is tested without a runtime.
#[derive(Debug, Default)]
pub(super) struct Pending {
    // A std mutex: it is held for a map operation and never over an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    closed: bool,
    unexpected: u64,
}

/// A call that waits. Dropping it forgets the call: a late answer is then counted as unexpected.
#[derive(Debug)]
pub(super) struct Waiting<'a> {
    pub(super) id: u64,
    pub(super) answer: oneshot::Receiver<Answer>,
    pending: &'a Pending,
}

impl Pending {
    /// A new call, or `None` when the session has ended.
    pub(super) fn begin(&self) -> Option<Waiting<'_>> {
        let mut state = self.lock();
        if state.closed {
            return None;
        }
        state.next += 1;
        let id = state.next;
        let (sender, answer) = oneshot::channel();
        state.waiting.insert(id, sender);
        Some(Waiting { id, answer, pending: self })
    }

    /// Hands an answer to whoever waits for it. An answer nobody waits for (unknown, given twice, too late)
    /// is counted; the count is returned.
    pub(super) fn settle(&self, id: u64, answer: Answer) -> Result<(), u64> {
        let mut state = self.lock();
        match state.waiting.remove(&id) {
            Some(sender) => {
                // The waiting side may have gone in this very moment; then nobody wants the answer.
                let _ = sender.send(answer);
                Ok(())
            }
            None => {
                state.unexpected += 1;
                Err(state.unexpected)
            }
        }
    }

    /// Ends every call, and refuses new ones.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.waiting.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.lock().waiting.len()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.pending.lock().waiting.remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn null() -> Raw {
        serde_json::from_str("null").expect("JSON")
    }

    #[test]
    fn an_answer_finds_its_call_once() {
        let pending = Pending::default();
        let mut waiting = pending.begin().expect("open");
        assert_eq!(pending.settle(waiting.id, Ok(null())), Ok(()));
        assert!(waiting.answer.try_recv().expect("answered").is_ok());
        assert_eq!(pending.settle(waiting.id, Ok(null())), Err(1));
        assert_eq!(pending.settle(99, Ok(null())), Err(2));
    }

    #[test]
    fn a_call_given_up_is_forgotten() {
        let pending = Pending::default();
        drop(pending.begin());
        assert_eq!(pending.len(), 0);
    }

    #[test]
    fn closing_ends_every_call() {
        let pending = Pending::default();
        let mut waiting = pending.begin().expect("open");
        pending.close();
        assert!(waiting.answer.try_recv().is_err());
        assert!(pending.begin().is_none());
    }
}
