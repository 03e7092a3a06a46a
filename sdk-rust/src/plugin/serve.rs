use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::calls::Calls;
use super::handler::{Handler, HandlerResult};
use super::until_eof::UntilEof;
use super::{Context, Plugin};
use crate::api::Followers;
use crate::id::CallId;
use crate::rpc::{Ended, Facts, Limits, Service, Session, Stray, claim_stdio};
use crate::wire::plugin::{Cancel, Initialize, Initialized, Kind, Output, Perform, Receive, Shutdown, Source};
use crate::wire::{self, Done, ErrorCode, Failure, PROTOCOL, SOFTWARE};

/// How long calls under way may take when the daemon wants the program to end. The daemon waits no longer than
/// its own shutdown, which is as long.
const FINISH: Duration = Duration::from_secs(30);

/// How long a cancelled handler may take before it is dropped. Less than the daemon waits for the answer.
const CANCEL_GRACE: Duration = Duration::from_secs(2);

impl Plugin {
    /// Serves the daemon over stdin and stdout until it says that it is enough. Whatever the program prints goes
    /// to stderr from here on.
    ///
    /// # Errors
    /// If the program was not started by a daemon, or if the connection to it broke.
    pub fn serve(self) -> crate::Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::new(ErrorCode::Internal, format!("could not start the runtime: {error}")))?;
        let ended: crate::Result<Ended> = runtime.block_on(async {
            let stdio = claim_stdio().map_err(|error| {
                Failure::new(ErrorCode::Usage, format!("stdin and stdout do not lead to a daemon: {error}"))
                    .hint("put the program into `actions/` or `receivers/` of an instance and perform it by its name")
            })?;
            // Not by this thread, which is none of those that handlers run on: each call would wake two threads.
            let serving = TaskTracker::new().spawn(self.serve_over(stdio.reader, stdio.writer));
            serving.await.map_err(|error| Failure::new(ErrorCode::Internal, format!("the connection broke: {error}")))
        });
        // Blocking work of a handler that was dropped is not waited for.
        runtime.shutdown_background();
        match ended? {
            Ended::Closed | Ended::Cancelled => Ok(()),
            broken => Err(Failure::new(ErrorCode::Lost, format!("the connection to the daemon broke: {broken}"))),
        }
    }

    /// As [`serve`](Self::serve), over any stream and on the caller's runtime.
    pub(crate) async fn serve_over<R, W>(self, reader: R, writer: W) -> Ended
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let (reader, eof) = UntilEof::new(reader);
        let limits = Limits::default();
        // Served once the session exists: handlers need it. Nothing is read before `run` is polled.
        let (session, run) =
            Session::new(reader, writer, Service::new(), Stray::Close, limits, CancellationToken::new());
        let (calls, handlers, followers) = (Calls::default(), TaskTracker::new(), Arc::default());
        let worker = Arc::new(Worker { plugin: self, session: session.clone(), calls, handlers, followers, eof });
        session.serve(worker.service());
        tokio::pin!(run);
        tokio::select! {
            ended = &mut run => return ended,
            () = worker.eof.cancelled() => session.drain(),
        }
        match timeout(FINISH, &mut run).await {
            Ok(ended) => ended,
            Err(_) => {
                session.close();
                run.await
            }
        }
    }
}

struct Worker {
    plugin: Plugin,
    session: Session,
    calls: Calls,
    /// Where handlers run.
    handlers: TaskTracker,
    /// The calls that handlers make, and follow.
    followers: Arc<Followers>,
    /// Cancelled at the end of stdin, and by `shutdown`, which means the same.
    eof: CancellationToken,
}

impl Worker {
    fn service(self: &Arc<Self>) -> Service {
        Service::new()
            .on_in_order(self, |worker: &Worker, _: Facts, hello: Initialize| worker.initialize(&hello))
            .on(self, |worker: Arc<Worker>, _, perform: Perform| async move {
                let handler = worker.handler(Kind::Action)?;
                let run = worker.run(handler, perform.call, perform.input, None, perform.context);
                Ok(Output { output: run.await? })
            })
            .on(self, |worker: Arc<Worker>, _, receive: Receive| async move {
                let handler = worker.handler(Kind::Receiver)?;
                let source = Some(receive.publication);
                worker.run(handler, receive.call, Some(receive.input), source, receive.context).await?;
                Ok(Done {})
            })
            .on_in_order(self, |worker: &Worker, _, cancel: Cancel| {
                worker.calls.cancel(cancel.call);
                Ok(Done {})
            })
            .on_in_order(self, |worker: &Worker, _, _: Shutdown| {
                worker.eof.cancel();
                Ok(Done {})
            })
            .with(self.followers.service())
    }

    fn initialize(&self, hello: &Initialize) -> Result<Initialized, Failure> {
        if hello.protocol != PROTOCOL {
            return Err(Failure::new(
                ErrorCode::UnsupportedVersion,
                format!("the daemon speaks protocol {}, this program speaks {PROTOCOL}", hello.protocol),
            )
            .hint("build the program with the SDK of the daemon's version"));
        }
        let handler = self.handler(hello.kind)?;
        Ok(Initialized {
            protocol: PROTOCOL,
            software: Some(format!("{SOFTWARE} (rust)")),
            description: self.plugin.description.clone(),
            input: handler.input.clone(),
            output: handler.output.clone(),
        })
    }

    fn handler(&self, kind: Kind) -> Result<&Handler, Failure> {
        let (handler, folder) = match kind {
            Kind::Action => (&self.plugin.action, "receivers"),
            Kind::Receiver => (&self.plugin.receiver, "actions"),
        };
        handler.as_ref().ok_or_else(|| {
            Failure::new(ErrorCode::InvalidInput, format!("this program is no {}", kind.as_str()))
                .hint(format!("it belongs into `{folder}/`"))
        })
    }

    async fn run(
        &self,
        handler: &Handler,
        call: CallId,
        input: Option<wire::Raw>,
        source: Option<Source>,
        circumstances: wire::plugin::Context,
    ) -> HandlerResult {
        let running = self.calls.begin(call);
        let cancel = running.cancel.clone();
        let context = Context {
            session: self.session.clone(),
            followers: self.followers.clone(),
            call,
            caller: circumstances.caller,
            source,
            cancel: cancel.clone(),
        };
        // Handlers may compute, so each has a task of its own. It ends with the call.
        let work = AbortOnDropHandle::new(self.handlers.spawn((handler.run)(input, context)));
        let work =
            work.map(|done| done.unwrap_or_else(|error| Err(Failure::new(ErrorCode::Failed, error.to_string()))));
        tokio::pin!(work);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = cancel.cancelled() => {}
        }
        let late = || Err(Failure::new(ErrorCode::Cancelled, "cancelled"));
        timeout(CANCEL_GRACE, work).await.unwrap_or_else(|_| late())
    }
}

#[cfg(test)]
mod tests;
