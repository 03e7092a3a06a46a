use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::id::CallId;

/// How many cancelled calls are remembered that have not begun: a cancel can be read before its call has
/// started to run. One that came too late is pushed out by others.
const EARLY: usize = 256;

/// The calls under way, by their id.
#[derive(Debug, Default)]
pub(super) struct Calls {
    // A std mutex: it is held for a map operation and never over an await.
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    running: HashMap<CallId, CancellationToken>,
    cancelled_early: VecDeque<CallId>,
}

/// A call under way. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Running<'a> {
    pub(super) cancel: CancellationToken,
    call: CallId,
    calls: &'a Calls,
}

impl Calls {
    pub(super) fn begin(&self, call: CallId) -> Running<'_> {
        let mut state = self.lock();
        let cancel = CancellationToken::new();
        if let Some(at) = state.cancelled_early.iter().position(|early| *early == call) {
            state.cancelled_early.remove(at);
            cancel.cancel();
        }
        state.running.insert(call, cancel.clone());
        Running { cancel, call, calls: self }
    }

    pub(super) fn cancel(&self, call: CallId) {
        let mut state = self.lock();
        if let Some(cancel) = state.running.get(&call) {
            cancel.cancel();
            return;
        }
        if state.cancelled_early.len() == EARLY {
            state.cancelled_early.pop_front();
        }
        state.cancelled_early.push_back(call);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.calls.lock().running.remove(&self.call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancel_finds_its_call_whichever_comes_first() {
        let calls = Calls::default();
        let (first, second) = (CallId::new(), CallId::new());
        let running = calls.begin(first);
        calls.cancel(first);
        assert!(running.cancel.is_cancelled());
        calls.cancel(second);
        assert!(calls.begin(second).cancel.is_cancelled());
        assert!(!calls.begin(second).cancel.is_cancelled(), "it is remembered once");
    }

    #[test]
    fn late_cancels_do_not_pile_up() {
        let calls = Calls::default();
        for _ in 0..10 * EARLY {
            calls.cancel(CallId::new());
        }
        assert_eq!(calls.lock().cancelled_early.len(), EARLY);
    }
}
