use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use coattail::wire::Failure;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::plugins::spec::Spec;
use crate::plugins::{PluginId, Settings};

/// Where the calls of a plugin wait: so many are done at once, and so many may wait for their turn.
#[derive(Debug)]
pub(super) struct Line {
    /// Calls at once. Fair: first come, first served.
    turns: Arc<Semaphore>,
    /// Calls at once and calls that wait.
    places: Arc<Semaphore>,
    at_once: usize,
    queue: usize,
}

/// A place in line, which becomes the right to be done.
pub(in crate::plugins) enum Turn {
    Come(#[expect(dead_code, reason = "held for as long as the call is done")] Option<OwnedSemaphorePermit>),
    Waits(BoxFuture<'static, Result<OwnedSemaphorePermit, AcquireError>>),
}

impl Future for Turn {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Turn::Waits(wait) = &mut *self {
            // Turns are never closed.
            let turn = ready!(wait.poll_unpin(context)).ok();
            *self = Turn::Come(turn);
        }
        Poll::Ready(())
    }
}

impl Line {
    /// The line for a plugin. It is the one of before if that is as long: what had `concurrency: 1` keeps it while it
    /// is reloaded.
    pub(super) fn of(spec: &Spec, settings: &Settings, before: Option<&Arc<Self>>) -> Arc<Self> {
        let at_once = spec.at_once(settings).min(Semaphore::MAX_PERMITS / 2);
        let queue = spec.manifest.queue.unwrap_or(settings.queue).min(Semaphore::MAX_PERMITS / 2);
        match before.filter(|before| (before.at_once, before.queue) == (at_once, queue)) {
            Some(before) => before.clone(),
            None => Arc::new(Self {
                turns: Arc::new(Semaphore::new(at_once)),
                places: Arc::new(Semaphore::new(at_once + queue)),
                at_once,
                queue,
            }),
        }
    }

    /// A place for one more call, at once or never.
    pub(super) fn place(&self, id: &PluginId) -> Result<OwnedSemaphorePermit, Failure> {
        self.places.clone().try_acquire_owned().map_err(|_| {
            let full = format!("{id} has {} calls under way and {} waiting", self.at_once, self.queue);
            Failure::busy(full).hint("try again later, or raise `concurrency`, `max` or `queue` in its sidecar file")
        })
    }

    /// Stands in line for a turn, at once: calls get theirs in the order in which they came here.
    pub(super) fn turn(&self) -> Turn {
        if let Ok(turn) = self.turns.clone().try_acquire_owned() {
            return Turn::Come(Some(turn));
        }
        let mut wait = self.turns.clone().acquire_owned().boxed();
        // The first poll is what stands in line.
        match (&mut wait).now_or_never() {
            Some(turn) => Turn::Come(turn.ok()),
            None => Turn::Waits(wait),
        }
    }

    /// Calls that are being done or wait.
    pub(super) fn calls(&self) -> usize {
        self.at_once + self.queue - self.places.available_permits()
    }

    /// Calls that wait for their turn.
    pub(super) fn waiting(&self) -> usize {
        self.calls().saturating_sub(self.at_once)
    }
}
