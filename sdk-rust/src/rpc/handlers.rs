use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::future::{BoxFuture, poll_fn};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

/// The requests of the other side that are being worked on.
///
/// All of them are worked on by the task that drives the session, beside reading and writing: what came together is
/// answered together, and no other task is woken for it. Dropping them is what cancels them. A handler that computes for
/// long does it elsewhere.
#[derive(Default)]
pub(super) struct Handlers {
    // A std mutex: held for a push and a swap, and never while one is worked on.
    added: Mutex<Vec<BoxFuture<'static, ()>>>,
    count: AtomicUsize,
    closed: AtomicBool,
}

impl Handlers {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Adds one, which must not panic. Whoever polls [`run`](Self::run) adds, and before that: nobody is woken.
    pub(super) fn add(&self, work: impl Future<Output = ()> + Send + 'static) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.added.lock().unwrap_or_else(PoisonError::into_inner).push(work.boxed());
    }

    /// No more are added.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
    }

    /// Works on them, until all are done and no more are added.
    pub(super) async fn run(&self) {
        let mut running = FuturesUnordered::new();
        poll_fn(|context| self.poll(&mut running, context)).await;
    }

    fn poll(&self, running: &mut FuturesUnordered<BoxFuture<'static, ()>>, context: &mut Context<'_>) -> Poll<()> {
        running.extend(std::mem::take(&mut *self.added.lock().unwrap_or_else(PoisonError::into_inner)));
        loop {
            match running.poll_next_unpin(context) {
                Poll::Ready(Some(())) => _ = self.count.fetch_sub(1, Ordering::Relaxed),
                Poll::Ready(None) if self.closed.load(Ordering::Relaxed) => return Poll::Ready(()),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}
