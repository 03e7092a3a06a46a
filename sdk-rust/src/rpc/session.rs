use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tokio_util::codec::FramedRead;
use tokio_util::sync::CancellationToken;

use super::deadline::Deadline;
use super::encode::{encode, refusal};
use super::error::{CallError, Ended};
use super::frame::{Frame, NotAFrame, Waiting, classify, who_waits};
use super::gate::Admission;
use super::handlers::Handlers;
use super::heard::Heard;
use super::id::Id;
use super::line::next_line;
use super::outbox::{Gone, Outbox};
use super::pace::Pace;
use super::pending::Pending;
use super::service::{Answer, Request, Service, Stray};
use super::{Limit, Line, LineCodec, LineError};
use crate::wire::{ErrorCode, Failure, Method};

/// Frames that are read before those that came with them are worked on.
const READ_BATCH: usize = 128;

/// Bytes that are written under one time limit.
const PIECE: usize = 256 * 1024;

/// What a session takes and holds, at the most.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Bytes of a frame.
    pub frame: Limit,
    /// Requests of the other side that are worked on at once; one more is refused as busy.
    pub in_flight: Limit,
    /// Bytes that wait to be written. Whoever wants to send more waits.
    pub outgoing: usize,
    /// How long the other side may take to read what is written to it.
    pub stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame: Limit::new(8 * 1024 * 1024),
            in_flight: Limit::new(1024),
            outgoing: 16 * 1024 * 1024,
            stall: Duration::from_secs(30),
        }
    }
}

/// A two-way session. Cheap to clone; the last clone does not end it, its future does.
#[derive(Debug, Clone)]
pub struct Session {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    pending: Pending,
    outbox: Outbox,
    limits: Limits,
    /// Bytes of a frame that the other side takes, as far as it has said so.
    theirs: Limit,
    heard: Arc<AtomicU64>,
    // Replaced when the other side has authenticated; never held over an await.
    service: RwLock<Arc<Service>>,
    cancel: CancellationToken,
    drain: CancellationToken,
    ended: CancellationToken,
}

impl Session {
    /// A session over a stream of bytes. The caller owns the future: it spawns it, and waits for it.
    pub fn new<R, W>(
        reader: R,
        writer: W,
        service: Service,
        stray: Stray,
        limits: Limits,
        cancel: CancellationToken,
    ) -> (Self, impl Future<Output = Ended> + use<R, W>)
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let shared = Arc::new(Shared {
            pending: Pending::default(),
            outbox: Outbox::new(limits.outgoing),
            limits,
            theirs: Limit::new(usize::MAX),
            heard: Arc::default(),
            service: RwLock::new(Arc::new(service)),
            cancel,
            drain: CancellationToken::new(),
            ended: CancellationToken::new(),
        });
        let session = Self { shared: shared.clone() };
        (session, run(shared, reader, writer, stray))
    }

    /// Calls a method of the other side. There is no time limit: dropping the future forgets the call.
    pub async fn call<M: Method>(&self, params: &M) -> Result<M::Reply, CallError> {
        let method = M::NAME;
        let mut waiting = self.shared.pending.begin().ok_or(CallError::Closed)?;
        let frame = encode(Some(waiting.id), params);
        self.shared.check_size(method, &frame)?;
        self.shared.outbox.send(&frame).await.map_err(|Gone| CallError::Closed)?;
        let answer = (&mut waiting.answer).await.map_err(|_| CallError::Lost { method })?;
        let raw = answer.map_err(|error| CallError::Refused(error.into()))?;
        serde_json::from_str(raw.get()).map_err(|source| CallError::Nonsense { method, source })
    }

    /// As [`call`](Self::call), for at most so long.
    pub async fn call_within<M: Method>(&self, limit: Duration, params: &M) -> Result<M::Reply, Failure> {
        match timeout(limit, self.call(params)).await {
            Ok(answer) => answer.map_err(Failure::from),
            Err(_) => {
                Err(Failure::new(ErrorCode::TimedOut, format!("`{}` was not answered within {limit:?}", M::NAME)))
            }
        }
    }

    /// As [`call`](Self::call), until a deadline that may be moved.
    pub async fn call_until<M: Method>(&self, deadline: &Deadline, params: &M) -> Result<M::Reply, Failure> {
        tokio::select! {
            biased;
            answer = self.call(params) => answer.map_err(Failure::from),
            () = deadline.passed() => {
                let limit = deadline.limit();
                Err(Failure::new(ErrorCode::TimedOut, format!("`{}` was not answered within {limit:?}", M::NAME)))
            }
        }
    }

    /// Tells the other side something that is not answered.
    pub async fn notify<M: Method>(&self, params: &M) -> Result<(), CallError> {
        let frame = encode(None, params);
        self.shared.check_size(M::NAME, &frame)?;
        self.shared.outbox.send(&frame).await.map_err(|Gone| CallError::Closed)
    }

    /// As [`notify`](Self::notify), from where nothing can be awaited. What finds no room is dropped: only for what
    /// can be lost. Returns whether there was room.
    pub fn try_notify<M: Method>(&self, params: &M) -> bool {
        self.shared.outbox.try_send(&encode(None, params)).is_ok()
    }

    /// Serves other methods from the next frame on. Nothing is served any more once the session has ended.
    pub fn serve(&self, service: Service) {
        let mut served = self.shared.service.write().unwrap_or_else(PoisonError::into_inner);
        if !self.shared.ended.is_cancelled() {
            *served = Arc::new(service);
        }
    }

    /// Takes longer frames and more requests at once, from the next frame on.
    pub fn raise_limits(&self, frame: usize, in_flight: usize) {
        self.shared.limits.frame.set(frame);
        self.shared.limits.in_flight.set(in_flight);
    }

    /// The other side takes no longer frames than this: what is longer is refused here, instead of ending the session.
    pub fn set_longest(&self, frame: usize) {
        self.shared.theirs.set(frame);
    }

    /// Takes no more requests, finishes those under way, then ends.
    pub fn drain(&self) {
        self.shared.drain.cancel();
    }

    /// Ends the session now. Requests under way are dropped.
    pub fn close(&self) {
        self.shared.cancel.cancel();
    }

    /// Resolves when the session has ended.
    pub async fn closed(&self) {
        self.shared.ended.cancelled().await;
    }

    /// Whether the session has ended.
    pub fn is_closed(&self) -> bool {
        self.shared.ended.is_cancelled() || self.shared.cancel.is_cancelled()
    }

    /// Grows with whatever comes from the other side. Whoever is heard of is there, even if its answers wait behind what
    /// else it has sent, or come slowly.
    pub fn heard(&self) -> u64 {
        self.shared.heard.load(Ordering::Relaxed)
    }

    /// How many of our calls wait for an answer.
    pub fn waiting_calls(&self) -> usize {
        self.shared.pending.len()
    }

    /// Whether two handles are of one session.
    pub fn is_same(&self, other: &Session) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Shared {
    /// Bytes of a frame that may be sent.
    fn longest(&self) -> usize {
        self.limits.frame.get().min(self.theirs.get())
    }

    fn check_size(&self, method: &'static str, frame: &str) -> Result<(), CallError> {
        let limit = self.longest();
        if frame.len() > limit { Err(CallError::TooLarge { method, size: frame.len(), limit }) } else { Ok(()) }
    }

    /// Lets the other side wait, unless the session is to end.
    async fn rest(&self, rest: Duration) {
        if !rest.is_zero() {
            tokio::select! {
                biased;
                () = self.cancel.cancelled() => {}
                () = self.drain.cancelled() => {}
                () = sleep(rest) => {}
            }
        }
    }

    fn service(&self) -> Arc<Service> {
        self.service.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn run<R, W>(shared: Arc<Shared>, reader: R, writer: W, stray: Stray) -> Ended
where
    R: AsyncRead + Unpin + Send + 'static,
    W: AsyncWrite + Unpin + Send + 'static,
{
    let handlers = Handlers::default();
    // The writer has a token of its own: it outlives the reader until the last answers are out.
    let stop_writing = CancellationToken::new();
    let writing = write(&shared, writer, &stop_writing);
    let reading = async {
        let ended = read(&shared, reader, &handlers, &stray).await;
        // Answers under way are still written if the end was wished for; a lost connection ends the work.
        if !matches!(ended, Ended::Cancelled) || !shared.drain.is_cancelled() {
            shared.cancel.cancel();
        }
        handlers.close();
        ended
    };
    let working = shared.cancel.run_until_cancelled(handlers.run());
    let ended = {
        tokio::pin!(writing);
        // Order: what was read is worked on, and what that has come to is written, each time that the task is woken.
        let serving = async {
            let (ended, _) = tokio::join!(biased; reading, working);
            stop_writing.cancel();
            ended
        };
        tokio::select! {
            biased;
            ended = serving => {
                // What is queued is written, for as long as the other side reads.
                let _ = timeout(shared.limits.stall, writing).await;
                ended
            }
            failed = &mut writing => failed.map_or_else(|ended| ended, |()| Ended::Cancelled),
        }
    };
    // Order: nobody can add work, and the work under way was dropped; then those who wait are told.
    shared.ended.cancel();
    shared.cancel.cancel();
    shared.outbox.close();
    shared.pending.close();
    // Handlers often know the session that they serve: what holds itself would never go.
    *shared.service.write().unwrap_or_else(PoisonError::into_inner) = Arc::default();
    ended
}

async fn read<R>(shared: &Arc<Shared>, reader: R, handlers: &Handlers, stray: &Stray) -> Ended
where
    R: AsyncRead + Unpin,
{
    let reader = Heard { reader, heard: shared.heard.clone() };
    let mut frames = FramedRead::new(reader, LineCodec::new(shared.limits.frame.clone()));
    let mut pace = Pace::new();
    // Waited for once, not again at each frame.
    let stopped = async {
        tokio::select! { () = shared.cancel.cancelled() => {}, () = shared.drain.cancelled() => {} }
    };
    tokio::pin!(stopped);
    let mut count = 0;
    loop {
        count += 1;
        if count % READ_BATCH == 0 {
            yield_now().await;
        }
        if shared.cancel.is_cancelled() || shared.drain.is_cancelled() {
            return Ended::Cancelled;
        }
        let line = tokio::select! {
            biased;
            // Cancel-safe: what was read stays in the buffer of `frames`.
            line = next_line(&mut frames) => match line {
                Some(Ok(line)) => line,
                Some(Err(error)) => {
                    if matches!(stray, Stray::Close) && !matches!(error, LineError::Io(_) | LineError::Torn { .. }) {
                        let code = match error { LineError::TooLong { .. } => ErrorCode::TooLarge, _ => ErrorCode::InvalidInput };
                        refuse_and_close(shared, Failure::new(code, error.to_string())).await;
                    }
                    return error.into();
                }
                None => return Ended::Closed,
            },
            () = &mut stopped => return Ended::Cancelled,
        };
        shared.heard.fetch_add(1, Ordering::Relaxed);
        crate::kill_point!("rpc.received");
        let sorted = match &line {
            Line::Text(text) => classify(text),
            Line::Garbled(_) => Err(NotAFrame::Malformed("not UTF-8".to_owned())),
        };
        match sorted {
            Ok(Frame::Response { id, outcome }) => {
                if let Err(count) = shared.pending.settle(id, outcome) {
                    tracing::debug!(id, count, "dropped an answer that nobody waits for");
                    let Admission { rest, .. } = shared.service().admit(None);
                    shared.rest(rest).await;
                }
            }
            Ok(Frame::Request { id, method, params }) => {
                let service = shared.service();
                let Admission { refusal: refused, rest } = service.admit(Some(&method));
                let most = shared.limits.in_flight.get();
                let refused = refused.or_else(|| {
                    let busy = || format!("{most} requests are under way on this connection, that is the limit");
                    (handlers.len() >= most).then(|| Failure::busy(busy()))
                });
                let (longest, of) = (shared.longest(), id.clone().into_owned());
                let answer = match refused {
                    Some(failure) => Answer::Now(refusal(&id, failure)),
                    None => service.answer(&method, Request { id, params, longest }),
                };
                match answer {
                    Answer::Now(answer) => {
                        if shared.outbox.send(&answer).await.is_err() {
                            return Ended::Cancelled;
                        }
                    }
                    Answer::Later(work) => {
                        let shared = shared.clone();
                        handlers.add(async move {
                            // Whoever waits for one that panics is told, and the others go on.
                            let done = AssertUnwindSafe(work).catch_unwind().await;
                            let panicked =
                                || Failure::new(ErrorCode::Internal, "the call failed: a fault of the program");
                            let answer = done.unwrap_or_else(|_| refusal(&of, panicked()));
                            crate::kill_point!("rpc.before-answer");
                            // The session has ended: nobody waits for it any more.
                            let _ = shared.outbox.send(&answer).await;
                        });
                    }
                }
                // After the answer: whoever sends too fast is told so at once.
                shared.rest(rest).await;
            }
            Ok(Frame::Notification { method, params }) => {
                let service = shared.service();
                let Admission { refusal: refused, rest } = service.admit(Some(&method));
                let request = Request { id: Id::Null, params, longest: shared.longest() };
                if refused.is_none()
                    && let Answer::Later(work) = service.answer(&method, request)
                    && handlers.len() < shared.limits.in_flight.get()
                {
                    handlers.add(async move { _ = AssertUnwindSafe(work).catch_unwind().await });
                }
                shared.rest(rest).await;
            }
            Err(error) => match stray {
                Stray::Line(pass_on) => {
                    let (Line::Text(text) | Line::Garbled(text)) = &line;
                    let too_deep = matches!(error, NotAFrame::TooDeep);
                    match too_deep.then(|| who_waits(text)).flatten() {
                        None => {
                            pass_on(text);
                            pace.keep(text.len()).await;
                        }
                        Some(Waiting::We(id)) => {
                            let failure = Failure::new(ErrorCode::Failed, format!("the answer is {error}"));
                            if let Err(count) = shared.pending.settle(id, Err(failure.into())) {
                                tracing::debug!(id, count, "dropped an answer that nobody waits for");
                            }
                        }
                        Some(Waiting::They(id)) => {
                            let failure = Failure::new(ErrorCode::InvalidInput, format!("the request is {error}"));
                            if shared.outbox.send(&refusal(&id, failure)).await.is_err() {
                                return Ended::Cancelled;
                            }
                        }
                    }
                }
                Stray::Close => {
                    refuse_and_close(shared, Failure::new(ErrorCode::InvalidInput, error.to_string())).await;
                    return error.into();
                }
            },
        }
    }
}

async fn refuse_and_close(shared: &Shared, failure: Failure) {
    // The other side is gone already: then there is nobody to tell.
    let _ = shared.outbox.send(&refusal(&Id::Null, failure)).await;
}

async fn write<W>(shared: &Shared, mut writer: W, stop: &CancellationToken) -> Result<(), Ended>
where
    W: AsyncWrite + Unpin,
{
    let (mut lines, stall) = (Vec::new(), shared.limits.stall);
    let stopped = stop.cancelled();
    tokio::pin!(stopped);
    loop {
        let share = tokio::select! {
            // What waits first: it is written before the stop is obeyed.
            biased;
            share = shared.outbox.take(&mut lines) => share,
            () = &mut stopped => {
                let _ = timeout(stall, writer.shutdown()).await;
                return Ok(());
            }
        };
        crate::kill_point!("rpc.before-send");
        for piece in lines.chunks(PIECE) {
            let work = async {
                writer.write_all(piece).await?;
                writer.flush().await
            };
            match timeout(stall, work).await {
                Ok(written) => written.map_err(Ended::Write)?,
                Err(_) => return Err(Ended::Stalled(stall)),
            }
        }
        crate::kill_point!("rpc.sent");
        // Only now is there room for more.
        shared.outbox.give_back(share);
        lines.shrink_to(64 * 1024);
    }
}

#[cfg(test)]
mod tests;
