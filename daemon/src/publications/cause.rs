use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coattail::id::{CallId, PublicationId};
use coattail::wire::peer::CausedBy;
use coattail::wire::{ErrorCode, Failure};

/// The publication that is being handled, and how many led to whatever is made now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cause {
    pub(crate) publication: PublicationId,
    /// Hops of what is published while handling it.
    pub(crate) hops: u8,
}

impl Cause {
    /// What is published while handling a publication that came through `hops`.
    pub(crate) fn of(publication: PublicationId, hops: u8) -> Self {
        Self { publication, hops: hops.saturating_add(1) }
    }

    /// As it is told to a peer.
    pub(crate) fn told(self) -> CausedBy {
        CausedBy { publication: self.publication, hops: self.hops }
    }

    /// Whether it has come too far: a loop stops by itself.
    pub(super) fn check(cause: Option<Self>, limit: u8) -> Result<(), Failure> {
        match cause {
            Some(cause) if cause.hops > limit => Err(Failure::new(
                ErrorCode::TooManyHops,
                format!("the publication came through {} hops, {limit} are allowed", cause.hops),
            )
            .hint("look for receivers that publish what leads back to themselves")),
            _ => Ok(()),
        }
    }
}

impl From<CausedBy> for Cause {
    fn from(told: CausedBy) -> Self {
        // Whatever a peer says, something has led to it.
        Self { publication: told.publication, hops: told.hops.max(1) }
    }
}

/// The cause of each call that is under way, so that what a worker publishes while it handles a publication carries
/// that on. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub(crate) struct Causes {
    // A std mutex: it is held for a map operation and never over an await.
    calls: Arc<Mutex<HashMap<CallId, Cause>>>,
}

impl Causes {
    /// Remembers the cause of a call until the guard is dropped.
    pub(crate) fn enter(&self, call: CallId, cause: Option<Cause>) -> CauseGuard {
        if let Some(cause) = cause {
            self.lock().insert(call, cause);
        }
        CauseGuard { causes: self.clone(), call }
    }

    /// The cause of what is done within a call.
    pub(crate) fn of(&self, parent: Option<CallId>) -> Option<Cause> {
        self.lock().get(&parent?).copied()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, Cause>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets the cause of a call when it is over.
#[derive(Debug)]
pub(crate) struct CauseGuard {
    causes: Causes,
    call: CallId,
}

impl Drop for CauseGuard {
    fn drop(&mut self) {
        self.causes.lock().remove(&self.call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loop_stops_at_the_limit() {
        let publication = PublicationId::new();
        assert!(Cause::check(None, 16).is_ok());
        assert!(Cause::check(Some(Cause::of(publication, 15)), 16).is_ok());
        assert_eq!(Cause::check(Some(Cause::of(publication, 16)), 16).unwrap_err().code, ErrorCode::TooManyHops);
        assert!(Cause::check(Some(Cause::of(publication, 255)), 255).is_ok());
    }

    #[test]
    fn a_cause_lasts_as_long_as_its_call() {
        let causes = Causes::default();
        let (call, cause) = (CallId::new(), Cause::of(PublicationId::new(), 0));
        let guard = causes.enter(call, Some(cause));
        assert_eq!(causes.of(Some(call)), Some(cause));
        drop(guard);
        assert_eq!(causes.of(Some(call)), None);
    }
}
