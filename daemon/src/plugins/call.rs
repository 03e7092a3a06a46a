use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coattail::id::{CallId, IssuerHash};
use coattail::rpc::{Deadline, MAX_DEPTH, is_deeper_than};
use coattail::wire::plugin::{Context, Perform, Receive, Source};
use coattail::wire::{ErrorCode, Failure, Raw};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::PluginId;
use crate::feeds::Sink;

/// How deep a result may be nested, so that every frame that will carry it stays within [`MAX_DEPTH`].
const RESULT_DEPTH: usize = MAX_DEPTH - 8;

/// One call of an action.
#[derive(Debug)]
pub struct PerformCall {
    /// Names it.
    pub call: CallId,
    /// What to give to it.
    pub input: Option<Raw>,
    /// Who asked; absent for this instance itself.
    pub caller: Option<IssuerHash>,
    /// How long the caller waits; the sidecar's limit holds all the same.
    pub timeout: Option<Duration>,
    /// How long until a worker has to have begun with it.
    pub start_timeout: Option<Duration>,
    /// Who follows it from its beginning.
    pub follower: Option<Sink>,
    /// Ends the call as cancelled.
    pub cancel: CancellationToken,
    /// What has to be done when its turn has come and before a worker is given it. Its time limit starts then.
    pub begin: Option<Begin>,
}

/// Done before a call is given to a worker, such as to write down that it was. If it fails, the call is refused with
/// that.
pub struct Begin(BoxFuture<'static, Result<(), Failure>>);

impl Begin {
    /// Does this.
    pub fn new(work: impl Future<Output = Result<(), Failure>> + Send + 'static) -> Self {
        Self(work.boxed())
    }

    /// Does it, then starts the time limit.
    pub(super) fn announced(self) -> (Self, oneshot::Receiver<()>) {
        let (begun, begins) = oneshot::channel();
        let work = async move {
            self.0.await?;
            // The call may have been given up meanwhile.
            let _ = begun.send(());
            Ok(())
        };
        (Self::new(work), begins)
    }

    pub(super) async fn run(self) -> Result<(), Failure> {
        self.0.await
    }
}

impl fmt::Debug for Begin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Begin")
    }
}

/// One publication for a receiver.
#[derive(Debug)]
pub struct ReceiveCall {
    /// Names the call.
    pub call: CallId,
    /// What was published.
    pub input: Raw,
    /// Where it came from.
    pub source: Source,
    /// How long it may take; the sidecar's limit holds all the same.
    pub timeout: Option<Duration>,
    /// Who follows it from its beginning.
    pub follower: Option<Sink>,
    /// Ends the call as cancelled.
    pub cancel: CancellationToken,
}

/// What a call ends with.
pub(super) type Outcome = Result<Option<Raw>, Failure>;

/// What a plugin is asked to do, in the form in which a worker takes it.
#[derive(Debug)]
pub(super) enum Job {
    Perform(Perform),
    Receive(Receive),
}

impl Job {
    pub(super) fn perform(call: PerformCall, limit: Duration) -> Self {
        let context = Context { caller: call.caller, timeout_ms: milliseconds(limit) };
        Self::Perform(Perform { call: call.call, input: call.input, context })
    }

    pub(super) fn receive(call: ReceiveCall, limit: Duration) -> Self {
        let context = Context { caller: Some(call.source.issuer), timeout_ms: milliseconds(limit) };
        Self::Receive(Receive { call: call.call, input: call.input, publication: call.source, context })
    }

    pub(super) fn call(&self) -> CallId {
        match self {
            Job::Perform(perform) => perform.call,
            Job::Receive(receive) => receive.call,
        }
    }

    pub(super) fn input(&self) -> Option<&Raw> {
        match self {
            Job::Perform(perform) => perform.input.as_ref(),
            Job::Receive(receive) => Some(&receive.input),
        }
    }
}

/// Until when a call is wanted.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) id: Arc<PluginId>,
    pub(super) deadline: Deadline,
    /// If the limit starts only when the call's turn has come: tells that it has.
    pub(super) begins: Option<oneshot::Receiver<()>>,
    /// Until when it has to have begun, and whether it has.
    pub(super) start: Option<(Instant, Duration)>,
    pub(super) begun: Begun,
    pub(super) cancel: CancellationToken,
    /// Cancelled when the daemon stops.
    pub(super) closing: CancellationToken,
}

impl Wanted {
    /// Resolves when the call is no longer wanted, with what it is answered.
    pub(super) async fn ended(self) -> Failure {
        let Self { id, deadline, begins, start, begun, cancel, closing } = self;
        let expired = async {
            match begins {
                None => {}
                Some(begins) => match begins.await {
                    Ok(()) => deadline.prolong(),
                    // It will not begin, and is answered with why.
                    Err(_) => std::future::pending().await,
                },
            }
            deadline.passed().await;
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => Failure::new(ErrorCode::Cancelled, format!("{id} was cancelled")),
            () = closing.cancelled() => {
                Failure::new(ErrorCode::ShuttingDown, format!("{id} was stopped because the service is stopping"))
            }
            limit = not_begun(start, &begun) => {
                Failure::new(ErrorCode::TimedOut, format!("{id} had not begun within {limit:?}: nothing was done"))
                    .hint("try again later, or let it wait longer for its turn")
            }
            () = expired => {
                let limit = deadline.limit();
                Failure::new(ErrorCode::TimedOut, format!("{id} was not done within {limit:?}"))
                    .hint("raise `timeout` in its sidecar file, or give the call more time")
            }
        }
    }
}

/// Resolves when a call that has not begun by then should have.
async fn not_begun(start: Option<(Instant, Duration)>, begun: &Begun) -> Duration {
    if let Some((at, limit)) = start {
        tokio::time::sleep_until(at).await;
        if !begun.0.load(Ordering::Acquire) {
            return limit;
        }
    }
    std::future::pending().await
}

/// Whether a worker has been given the call. All clones are the same.
#[derive(Debug, Clone, Default)]
pub(super) struct Begun(Arc<AtomicBool>);

/// The one answer of a call, and its place among the calls of the plugin. What is given first is heard.
#[derive(Debug)]
pub(super) struct Answer {
    waiting: Option<(oneshot::Sender<Outcome>, OwnedSemaphorePermit)>,
    begun: Begun,
}

impl Answer {
    pub(super) fn new(sender: oneshot::Sender<Outcome>, place: OwnedSemaphorePermit, begun: Begun) -> Self {
        Self { waiting: Some((sender, place)), begun }
    }

    /// From now on the work may have been done in part.
    pub(super) fn begin(&self) {
        self.begun.0.store(true, Ordering::Release);
    }

    pub(super) fn give(&mut self, outcome: Outcome) {
        if let Some((sender, place)) = self.waiting.take() {
            // Order: whoever hears the answer finds the place free.
            drop(place);
            // The caller may have gone: then nobody wants to know.
            let _ = sender.send(outcome);
        }
    }
}

/// Refuses a result that no frame could carry on.
pub(super) fn check_result(id: &PluginId, result: Option<Raw>) -> Outcome {
    match result {
        Some(raw) if is_deeper_than(RESULT_DEPTH, raw.get()) => Err(Failure::new(
            ErrorCode::Failed,
            format!("the result of {id} is nested deeper than {RESULT_DEPTH} levels"),
        )),
        result => Ok(result),
    }
}

fn milliseconds(limit: Duration) -> Option<u64> {
    u64::try_from(limit.as_millis()).ok()
}
