use std::time::Duration;

use coattail::id::CallId;
use coattail::rpc::Service;
use coattail::wire::control::LogLine;
use coattail::wire::host::{Log, Performed};
use coattail::wire::jobs::{CancelJob, Job, JobLogs, JobProgress, JobState, ListJobs, ShowJob, StartJob, WaitForJob};
use coattail::wire::{Done, ErrorCode, Failure};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;

use super::{follow, ids, logs, performed};
use crate::args::{self, JobCommand, Which};
use crate::context::{Context, Daemon};
use crate::error::{ExitStatus, ShownError, report, shown_error};
use crate::output::{Field, Record, Row};

pub(super) fn run(context: &Context, command: JobCommand) -> Result<ExitStatus, Failure> {
    match command {
        JobCommand::List => list(context)?,
        JobCommand::Show(which) => context.printer.record(&Shown::from(&show(context, id(&which)?)?))?,
        JobCommand::Wait(args) => return wait(context, &args),
        JobCommand::Result(which) => return result(context, id(&which)?),
        JobCommand::Cancel(which) => cancel(context, id(&which)?)?,
        JobCommand::Logs(args) => show_logs(context, &args)?,
    }
    Ok(ExitStatus::Done)
}

/// Stores a job and answers with its id.
pub(super) fn start(context: &Context, call: &StartJob) -> Result<ExitStatus, Failure> {
    let job = context.talk(async |daemon| daemon.call(call).await)?;
    context.printer.value(&job.id.to_string(), &Shown::from(&job))?;
    context.printer.note(&format!("to wait for it: coattail job wait {}", job.id));
    Ok(ExitStatus::Done)
}

/// A job, as it is shown.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    job: Job,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ShownError>,
    #[serde(skip)]
    failure: Option<&'a Failure>,
}

impl<'a> From<&'a Job> for Shown<'a> {
    fn from(job: &'a Job) -> Self {
        let failure = job.error.as_ref();
        Self { job: Job { error: None, ..job.clone() }, error: failure.map(shown_error), failure }
    }
}

impl Row for Shown<'_> {
    const COLUMNS: &'static [&'static str] = &["id", "state", "action", "peer", "created", "key"];

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let job = &self.job;
        vec![
            job.id.to_string(),
            job.state.name().to_owned(),
            job.action.to_string(),
            or_dash(job.peer.map(|peer| peer.to_string())),
            job.created.clone(),
            or_dash(job.key.as_ref().map(ToString::to_string)),
        ]
    }
}

impl Record for Shown<'_> {
    fn fields(&self) -> Vec<Field> {
        let job = &self.job;
        let mut fields = vec![
            ("id", job.id.to_string()),
            ("action", job.action.to_string()),
            ("state", job.state.name().to_owned()),
            ("created", job.created.clone()),
        ];
        let more = [
            ("peer", job.peer.map(|peer| peer.to_string())),
            ("started", job.started.clone()),
            ("finished", job.finished.clone()),
            ("key", job.key.as_ref().map(ToString::to_string)),
            ("progress", job.progress.as_ref().map(told)),
            ("result", job.result.as_ref().map(|result| result.get().to_owned())),
            ("published", job.publication.as_ref().map(|published| published.id.to_string())),
            ("not published", job.publication_error.clone()),
            ("error", self.failure.map(|failure| format!("{}: {}", failure.code.name(), failure.message))),
            ("try", self.failure.and_then(|failure| failure.hint.clone())),
        ];
        fields.extend(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
        fields
    }
}

fn told(progress: &JobProgress) -> String {
    let percent = progress.fraction.map(|fraction| format!("{:.0} %", fraction * 100.0));
    let parts: Vec<_> = percent.into_iter().chain(progress.message.clone()).collect();
    parts.join(" ")
}

fn list(context: &Context) -> Result<(), Failure> {
    let jobs = context.talk(async |daemon| daemon.call(&ListJobs {}).await)?;
    let shown: Vec<Shown<'_>> = jobs.iter().map(Shown::from).collect();
    context.printer.list(&shown, "there are no jobs; `coattail action perform --detach` makes one")
}

fn show(context: &Context, job: CallId) -> Result<Job, Failure> {
    context.talk(async |daemon| daemon.call(&ShowJob { job }).await)
}

fn wait(context: &Context, args: &args::WaitForJob) -> Result<ExitStatus, Failure> {
    let timeout_ms = args.timeout.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
    let call = WaitForJob { job: id(&args.which)?, timeout_ms, follow: follow::is_wanted(context, args.follow) };
    let job = context.talk(async |daemon| {
        // The daemon ends the wait; a job may take as long as it takes.
        let _ = follow::listen(daemon, context, None);
        daemon.session().call(&call).await.map_err(Failure::from)
    })?;
    if job.error.is_none() {
        context.printer.record(&Shown::from(&job))?;
    }
    Ok(conclude(context, &job))
}

fn result(context: &Context, id: CallId) -> Result<ExitStatus, Failure> {
    let job = show(context, id)?;
    if job.state != JobState::Succeeded {
        return Ok(conclude(context, &job));
    }
    let Job { result, publication, publication_error, .. } = job;
    performed::answer(context, &Performed { call: id, result, publication, publication_error }, None)
}

/// What a program that waited for a job exits with.
fn conclude(context: &Context, job: &Job) -> ExitStatus {
    match &job.error {
        Some(failure) => report(&context.printer, failure),
        None if job.state.is_final() => ExitStatus::Done,
        None => {
            context.printer.note(&format!("the job is {}: it has not ended", job.state.name()));
            ExitStatus::Unfinished
        }
    }
}

fn cancel(context: &Context, job: CallId) -> Result<(), Failure> {
    let job = context.talk(async |daemon| daemon.call(&CancelJob { job }).await)?;
    context.printer.record(&Shown::from(&job))?;
    if job.state != JobState::Cancelled {
        context.printer.note("it had ended before");
    }
    Ok(())
}

fn show_logs(context: &Context, args: &args::JobLogs) -> Result<(), Failure> {
    let (job, printer) = (id(&args.which)?, &context.printer);
    let ask = JobLogs { job, follow: args.follow };
    if !args.follow {
        let lines = context.talk(async |daemon| daemon.call(&ask).await)?.lines;
        if lines.is_empty() {
            printer.note("the job has logged nothing");
        }
        return logs::show_all(printer, &lines);
    }
    match context.talk(async |daemon| follow_logs(context, daemon, &ask).await) {
        // That is how it is ended.
        Err(failure) if failure.code == ErrorCode::Cancelled => Ok(()),
        outcome => outcome,
    }
}

async fn follow_logs(context: &Context, daemon: &Daemon, ask: &JobLogs) -> Result<(), Failure> {
    let (queue, mut heard) = mpsc::channel(QUEUE);
    let queue = std::sync::Arc::new(queue);
    let service = Service::new().on_in_order(&queue, |queue: &mpsc::Sender<LogLine>, _, log: Log| {
        let Log { call, level, message } = log;
        // Whoever reads us is too slow: the file has the line.
        let _ = queue.try_send(LogLine { time: Timestamp::now().to_string(), level, message, call });
        Ok(Done {})
    });
    daemon.session().serve(service);
    for line in daemon.call(ask).await?.lines {
        logs::show(&context.printer, &line)?;
    }
    let end = WaitForJob { job: ask.job, timeout_ms: None, follow: false };
    let ended = daemon.session().call(&end);
    tokio::pin!(ended);
    loop {
        tokio::select! {
            biased;
            // `recv` is cancel-safe.
            Some(line) = heard.recv() => logs::show(&context.printer, &line)?,
            ended = &mut ended => return ended.map(drop).map_err(Failure::from),
        }
    }
}

/// Lines that wait to be printed.
const QUEUE: usize = 1_024;

fn id(which: &Which) -> Result<CallId, Failure> {
    ids::parse(which.id(), "job", "job list")
}

/// In the form of the wire.
pub(super) fn milliseconds(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
}
