use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use coattail::id::CallId;
use coattail::rpc::{CallError, Ended, Limit, Limits, Service, Session, Stray};
use coattail::wire::plugin::{Cancel, Initialize, Initialized, Shutdown};
use coattail::wire::{ErrorCode, Failure, PROTOCOL, SOFTWARE};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::process::ChildStderr;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::call::{Answer, Job, Outcome, check_result};
use super::launch::launch;
use super::output::Output;
use super::process::{self, Exit, Exited, Guard, Pipes, Process};
use super::spec::Spec;
use super::{PluginId, Settings};

/// One warm process of a plugin, over JSON-RPC.
///
/// Its process is run by a future of its own, which [`start`](Self::start) returns beside it. This is the side that
/// calls it.
#[derive(Debug)]
pub(super) struct Worker {
    id: Arc<PluginId>,
    session: Session,
    output: Output,
    /// How long a cancelled call may take, and each step of a stop.
    grace: Duration,
    /// A token for each call under way; closed when no more may come.
    leases: TaskTracker,
    /// The guard of its process.
    guard: Option<u32>,
    /// When it was ready.
    since: jiff::Timestamp,
    /// Calls that it was given, and those of them that it has answered.
    given: AtomicU64,
    done: AtomicU64,
    /// Whether its process ended while calls were under way.
    left_calls: AtomicBool,
    // A std mutex: held for one assignment.
    last_used: Mutex<Instant>,
    /// Ends the process: TERM, then KILL.
    stop: CancellationToken,
    /// Why it was ended, if it has not ended by itself.
    reason: OnceLock<String>,
    /// It was ended because it had closed its stdout.
    fell_silent: AtomicBool,
    exit: watch::Sender<Option<Exit>>,
}

/// The right to give a worker one call. The worker is not stopped as idle for as long as it is held.
#[derive(Debug)]
pub(super) struct Lease {
    worker: Arc<Worker>,
    _token: TaskTrackerToken,
}

/// Whether a call reached the worker.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sent {
    /// The worker has answered the call.
    Answered,
    /// The call is over without an answer of the worker.
    Unanswered,
    /// The worker had ended before; another can have it.
    No,
}

impl Worker {
    /// Starts a process and waits until it has loaded the user's code. The future ends when nothing of it is left.
    pub(super) async fn start(
        settings: &Settings,
        spec: &Spec,
        host: Service,
        kill: CancellationToken,
    ) -> Result<(Arc<Self>, BoxFuture<'static, Exit>), Failure> {
        let broken = |message: String| Failure::new(ErrorCode::PluginBroken, message);
        let launch = launch(settings, spec, None).await?;
        let (process, exited, Pipes { stdin, stdout, stderr }) = Process::spawn(settings, &launch)
            .await
            .map_err(|error| broken(format!("{} could not be started: {error}", spec.id)))?;
        let (guard, start) = (process.guard(), spec.manifest.start.unwrap_or(settings.start));
        let output = Output::new(spec.id.clone(), settings);
        let printed = output.clone();
        let limits = Limits { frame: Limit::new(settings.frame), ..Limits::default() };
        let (session, serve) = Session::new(
            stdout,
            stdin,
            Service::new(),
            Stray::Line(Arc::new(move |line| printed.line(line))),
            limits,
            CancellationToken::new(),
        );
        // Nothing is read before the session is driven.
        session.serve(host.fact(PluginId::clone(&spec.id)).fact(session.clone()));
        let worker = Arc::new(Self {
            id: spec.id.clone(),
            session,
            output,
            grace: settings.grace,
            leases: TaskTracker::new(),
            guard,
            since: jiff::Timestamp::now(),
            given: AtomicU64::new(0),
            done: AtomicU64::new(0),
            left_calls: AtomicBool::new(false),
            last_used: Mutex::new(Instant::now()),
            stop: CancellationToken::new(),
            reason: OnceLock::new(),
            fell_silent: AtomicBool::new(false),
            exit: watch::Sender::new(None),
        });
        let mut run = worker.clone().run(process, exited, serve, stderr, kill).boxed();
        let hello = Initialize {
            protocol: PROTOCOL,
            software: SOFTWARE.to_owned(),
            kind: spec.id.kind,
            name: spec.id.name.clone(),
            instance: settings.instance.to_string_lossy().into_owned(),
            issuer: settings.issuer,
        };
        let mut ended = None;
        let welcome = tokio::select! {
            biased;
            welcome = timeout(start, worker.session.call(&hello)) => welcome,
            exit = &mut run => {
                ended = Some(exit);
                Ok(Err(CallError::Closed))
            }
        };
        let why = match welcome {
            Ok(Ok(Initialized { protocol: PROTOCOL, input, output, .. })) => {
                match spec.schemas.learn(spec.id.kind, input, output) {
                    Ok(()) => {
                        worker.touch();
                        return Ok((worker, run));
                    }
                    Err(why) => why,
                }
            }
            Ok(Ok(other)) => format!("it speaks protocol {}, not {PROTOCOL}", other.protocol),
            Ok(Err(CallError::Refused(failure))) => failure.message,
            Ok(Err(CallError::Lost { .. } | CallError::Closed)) => String::new(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it was not ready within {start:?}"),
        };
        worker.stop(&why);
        let exit = match ended {
            Some(exit) => exit,
            None => run.await,
        };
        let why = if why.is_empty() { worker.ending(&exit) } else { why };
        Err(broken(format!("{} does not start: {why}{}", worker.id, worker.output.last_words())))
    }

    /// The right to give it a call, unless it takes no more.
    pub(super) fn lease(self: &Arc<Self>) -> Option<Lease> {
        // Order: first the token, then the look. Whoever closes in between waits for the token.
        let lease = Lease { worker: self.clone(), _token: self.leases.token() };
        let is_open = !self.leases.is_closed() && !self.session.is_closed();
        is_open.then(|| {
            self.given.fetch_add(1, Ordering::Relaxed);
            lease
        })
    }

    /// Calls that are under way.
    pub(super) fn calls(&self) -> usize {
        self.leases.len()
    }

    /// Calls that it was given so far.
    pub(super) fn given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }

    /// Calls that it has answered so far.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// When it was ready.
    pub(super) fn since(&self) -> jiff::Timestamp {
        self.since
    }

    /// The number of its process, if it has not ended.
    pub(super) fn pid(&self) -> Option<u32> {
        process::child_of(self.guard?)
    }

    /// Takes no more calls, finishes those under way, then ends.
    pub(super) fn retire(&self) {
        self.leases.close();
    }

    /// Since when it has had nothing to do; `None` while it has.
    pub(super) fn idle_since(&self) -> Option<Instant> {
        self.leases.is_empty().then(|| *self.last_used.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn touch(&self) {
        *self.last_used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Whether it was told to end, rather than having ended by itself.
    pub(super) fn was_stopped(&self) -> bool {
        let has_finished = self.leases.is_closed() && !self.left_calls.load(Ordering::Relaxed);
        has_finished || self.stop.is_cancelled()
    }

    fn stop(&self, why: &str) {
        // The first reason is the true one.
        let _ = self.reason.set(why.to_owned());
        self.leases.close();
        self.stop.cancel();
    }

    /// Tells those who wait for the end of their calls how it ended. To be called last: they may come again at once.
    pub(super) fn tell_exit(&self, exit: Exit) {
        self.exit.send_replace(Some(exit));
    }

    /// Runs the process until nothing of it is left.
    async fn run(
        self: Arc<Self>,
        process: Process,
        mut exited: Exited,
        serve: impl Future<Output = Ended>,
        stderr: ChildStderr,
        kill: CancellationToken,
    ) -> Exit {
        let session_over = CancellationToken::new();
        let serve = async {
            let ended = serve.await;
            if !matches!(ended, Ended::Closed | Ended::Cancelled) {
                let _ = self.reason.set(format!("its connection broke: {ended}"));
            }
            session_over.cancel();
        };
        let io = async { tokio::join!(serve, self.output.drain(stderr)) };
        let ended = async {
            let never = async {
                self.end(&process, &session_over, &kill).await;
                std::future::pending().await
            };
            tokio::select! { biased; exit = exited.wait() => exit, exit = never => exit }
        };
        let exit = {
            tokio::pin!(io, ended);
            tokio::select! {
                biased;
                exit = &mut ended => {
                    // What it wrote before it ended is still read: its last answers and its last words.
                    if timeout(self.grace, &mut io).await.is_err() {
                        self.session.close();
                    }
                    exit
                }
                _ = &mut io => ended.await,
            }
        };
        Guard::again(process, exited).dismiss().await;
        // Order: before those are told who wait for the end of their calls.
        self.left_calls.store(!self.leases.is_empty(), Ordering::Relaxed);
        exit
    }

    /// Waits for a reason to end the process, and ends it step by step.
    async fn end(&self, process: &Process, session_over: &CancellationToken, kill: &CancellationToken) {
        tokio::select! {
            biased;
            () = kill.cancelled() => return process.kill(),
            () = self.stop.cancelled() => {}
            // 1. Retired, and no call is under way: ask it to end. The end of its stdin asks again.
            () = self.leases.wait() => {
                let goodbye = self.session.call_within(self.grace, &Shutdown {});
                tokio::select! { _ = goodbye => {}, () = kill.cancelled() => return process.kill() }
                self.session.drain();
                tokio::select! { () = sleep(self.grace) => {}, () = kill.cancelled() => return process.kill() }
            }
            // It has closed its stdout: nothing can be had from it any more. One that is ending closes it, too: then how
            // it ends says more.
            () = session_over.cancelled() => {
                tokio::select! { () = sleep(ENDING) => {}, () = kill.cancelled() => return process.kill() }
                self.fell_silent.store(true, Ordering::Relaxed);
            }
        }
        // 2. TERM to its group.
        process.terminate();
        tokio::select! { () = sleep(self.grace) => {}, () = kill.cancelled() => {} }
        // 3. KILL to all that it has started.
        process.kill();
    }

    /// The last lines that it printed, to end a message with.
    pub(super) fn last_words(&self) -> String {
        self.output.last_words()
    }

    /// Why it has ended.
    pub(super) fn ending(&self, exit: &Exit) -> String {
        match self.reason.get().filter(|reason| !reason.is_empty()) {
            Some(reason) => reason.clone(),
            None if self.fell_silent.load(Ordering::Relaxed) && exit.was_ended() => {
                "it closed its stdout, and was stopped".to_owned()
            }
            None => format!("its process ended: {exit}"),
        }
    }
}

impl Lease {
    /// Does one call. The answer is given as soon as it is known; this returns when the worker has ended the call,
    /// or has itself been ended because it did not.
    pub(super) async fn perform(
        self,
        job: &Job,
        unwanted: impl Future<Output = Failure> + Unpin,
        answer: &mut Answer,
    ) -> Sent {
        let worker = &*self.worker;
        answer.begin();
        let _under_way = worker.output.during(job.call());
        let reply = worker.send(job);
        tokio::pin!(reply);
        tokio::select! {
            biased;
            reply = &mut reply => {
                if matches!(reply, Err(CallError::Closed)) {
                    return Sent::No;
                }
                if matches!(reply, Err(CallError::Lost { .. })) {
                    // Apart, as is what follows: the calls that go well do not carry the room that it needs.
                    answer.give(Err(Box::pin(worker.lost()).await));
                    return Sent::Unanswered;
                }
                answer.give(worker.judge(reply));
                worker.done.fetch_add(1, Ordering::Relaxed);
                Sent::Answered
            }
            why = unwanted => {
                answer.give(Err(why));
                Box::pin(worker.end_call(job.call(), reply)).await;
                Sent::Unanswered
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.worker.touch();
    }
}

impl Worker {
    async fn send(&self, job: &Job) -> Result<Option<coattail::wire::Raw>, CallError> {
        match job {
            Job::Perform(perform) => Ok(self.session.call(perform).await?.output),
            Job::Receive(receive) => self.session.call(receive).await.map(|_| None),
        }
    }

    /// Tells it that a call is not wanted any more. If it does not end it, it is ended itself.
    async fn end_call(&self, call: CallId, reply: impl Future) {
        let _ = timeout(self.grace, self.session.notify(&Cancel { call })).await;
        if timeout(self.grace, reply).await.is_err() {
            self.stop("it was stopped because another call had not ended when it was cancelled");
            self.exited().await;
        }
    }

    /// What a reply means for the caller.
    fn judge(&self, reply: Result<Option<coattail::wire::Raw>, CallError>) -> Outcome {
        match reply {
            Ok(output) => check_result(&self.id, output),
            // A plugin speaks for itself only: it cannot say that a token was refused or that a disk is full.
            Err(CallError::Refused(failure)) => Err(match failure.code {
                ErrorCode::InvalidInput | ErrorCode::Rejected | ErrorCode::RetryLater => self.said(failure),
                _ => self.said(Failure { code: ErrorCode::Failed, ..failure }),
            }),
            Err(error @ CallError::TooLarge { .. }) => Err(error.into()),
            Err(CallError::Nonsense { source, .. }) => {
                Err(Failure::new(ErrorCode::Failed, format!("the answer of {} makes no sense: {source}", self.id)))
            }
            Err(error @ (CallError::Lost { .. } | CallError::Closed)) => Err(error.into()),
        }
    }

    /// What it means that it has ended with a call.
    async fn lost(&self) -> Failure {
        let exit = self.exited().await;
        let why = exit.map_or_else(|| "its process does not end".to_owned(), |exit| self.ending(&exit));
        let message = format!("{} was lost: {why}{}", self.id, self.output.last_words());
        Failure::new(ErrorCode::Lost, message).hint("it may or may not have been done: look before you try again")
    }

    /// A failure with a message, also if the plugin has given it none.
    fn said(&self, mut failure: Failure) -> Failure {
        if failure.message.trim().is_empty() {
            failure.message = format!("{} failed and did not say why", self.id);
        }
        failure
    }

    /// How it ended, once it has. Bounded: all steps of a stop, and what reading its last words may take.
    async fn exited(&self) -> Option<Exit> {
        let mut exit = self.exit.subscribe();
        let ended = exit.wait_for(Option::is_some);
        timeout(STOP_STEPS * self.grace + GUARD_TIME, ended).await.ok()?.ok()?.clone()
    }
}

/// From the end of a process's stdout to its own, if it is about to end.
const ENDING: Duration = Duration::from_millis(100);

/// Steps of a stop that each take a grace: goodbye, the end of stdin, TERM, and the reading of what is left.
const STOP_STEPS: u32 = 4;

/// How long the guard may take to end what a plugin has left behind, with some time to spare.
const GUARD_TIME: Duration = Duration::from_secs(15);
