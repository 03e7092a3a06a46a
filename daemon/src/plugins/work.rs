use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

/// All that is to be done about a call. Whoever waits for its answer does it, so that no other task is woken for it; what
/// is left when the answer is known, or when nobody waits for it any more, is done by a task of its own.
pub(super) struct Work {
    /// Absent when it has been done.
    rest: Option<BoxFuture<'static, ()>>,
    calls: TaskTracker,
}

impl Work {
    /// `calls` counts it until nothing of it is left.
    pub(super) fn new(work: impl Future<Output = ()> + Send + 'static, calls: &TaskTracker) -> Self {
        Self { rest: Some(calls.track_future(work).boxed()), calls: calls.clone() }
    }

    /// Works until there is an answer; nothing if there is none.
    pub(super) async fn until<T>(mut self, mut answer: oneshot::Receiver<T>) -> Option<T> {
        if let Some(rest) = &mut self.rest {
            tokio::select! {
                biased;
                () = rest => self.rest = None,
                answer = &mut answer => return answer.ok(),
            }
        }
        answer.await.ok()
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // Without a runtime the process is ending, and its workers with it.
        if let (Some(rest), Ok(runtime)) = (self.rest.take(), Handle::try_current()) {
            self.calls.spawn_on(rest, &runtime);
        }
    }
}
