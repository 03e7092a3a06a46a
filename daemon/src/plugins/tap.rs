use std::sync::{Arc, Mutex, PoisonError};

use coattail::rpc::Session;
use coattail::wire::Failure;
use coattail::wire::dev::Given;
use coattail::wire::plugin::{Perform, Receive};

use super::PluginId;
use super::call::Job;

/// Sessions that look on at once: those of the owner.
const WATCHERS: usize = 16;

/// Those who look on what plugins are given. Nobody waits for them, and nothing is kept for them. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Tap {
    // A std mutex: held while frames are put into queues that never wait; never over an await.
    watchers: Arc<Mutex<Vec<Watcher>>>,
}

#[derive(Debug)]
struct Watcher {
    session: Session,
    /// What found no room since it last could be told.
    missed: u64,
}

impl Tap {
    /// Tells a session from now on, until it ends.
    ///
    /// # Errors
    /// `Busy` if too many look on.
    pub(crate) fn watch(&self, session: Session) -> Result<(), Failure> {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.retain(|watcher| !watcher.session.is_closed());
        if watchers.len() >= WATCHERS {
            return Err(Failure::busy(format!("{WATCHERS} look on already")));
        }
        watchers.push(Watcher { session, missed: 0 });
        Ok(())
    }

    pub(super) fn given(&self, id: &PluginId, job: &Job) {
        let mut watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        if watchers.is_empty() {
            return;
        }
        watchers.retain(|watcher| !watcher.session.is_closed());
        let (call, input, publication) = match job {
            Job::Perform(Perform { call, input, .. }) => (*call, input.clone(), None),
            Job::Receive(Receive { call, input, publication, .. }) => {
                (*call, Some(input.clone()), Some(publication.clone()))
            }
        };
        let mut given = Given { kind: id.kind, name: id.name.clone(), call, input, publication, missed: 0 };
        for watcher in watchers.iter_mut() {
            given.missed = watcher.missed;
            watcher.missed = if watcher.session.try_notify(&given) { 0 } else { watcher.missed + 1 };
        }
    }
}
