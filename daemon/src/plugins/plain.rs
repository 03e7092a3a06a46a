use std::sync::Arc;
use std::time::Duration;

use coattail::rpc::Pace;
use coattail::wire::raw::one_line;
use coattail::wire::{ErrorCode, Failure, Raw};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout};
use tokio_util::sync::CancellationToken;

use super::call::{Answer, Job, Outcome, check_result};
use super::launch::launch;
use super::output::{BUFFER, Output};
use super::process::{Exit, Pipes, Process};
use super::spare::Spares;
use super::spec::Spec;
use super::{PluginId, Settings};

/// The receiver will never take this publication, or the action this input: `EX_DATAERR`.
const REJECT: i32 = 65;
/// Try again later: `EX_TEMPFAIL`.
const RETRY_LATER: i32 = 75;

/// How much of an output that is no JSON is shown, in characters.
const SHOWN: usize = 60;

/// Runs a plugin once: input on stdin, output on stdout, the exit status says how it ended. Returns when nothing
/// of it is left; the answer is given as soon as it is known.
pub(super) async fn run(
    settings: &Settings,
    spares: &Arc<Spares>,
    spec: &Spec,
    job: &Job,
    unwanted: impl Future<Output = Failure>,
    answer: &mut Answer,
    kill: &CancellationToken,
) {
    let launched = async {
        let launch = launch(settings, spec, Some(job)).await?;
        spares.spawn(&launch).await.map_err(|error| {
            Failure::new(ErrorCode::PluginBroken, format!("{} could not be started: {error}", spec.id))
        })
    };
    let (process, mut exited, Pipes { stdin, stdout, stderr }) = match launched.await {
        Ok(launched) => launched,
        Err(failure) => return answer.give(Err(failure)),
    };
    answer.begin();
    let output = Output::new(spec.id.clone(), settings);
    let _under_way = output.during(job.call());
    let work = async {
        let read = async {
            let read = read_output(stdout, settings.frame).await;
            if read.is_none() {
                process.kill();
            }
            read
        };
        let (exit, (), read, ()) =
            tokio::join!(exited.wait(), write_input(stdin, job.input()), read, output.drain(stderr));
        outcome(&spec.id, &exit, read.as_deref(), &output, settings.frame)
    };
    let outcome = see_through(work, &process, settings.grace, unwanted, answer, kill).await;
    // Order: whoever hears the answer finds the guard free.
    spares.keep(process, exited);
    answer.give(outcome);
}

/// Waits for the outcome of the work. Once that is not wanted any more, why is the answer, and the process is ended.
async fn see_through(
    work: impl Future<Output = Outcome>,
    process: &Process,
    grace: Duration,
    unwanted: impl Future<Output = Failure>,
    answer: &mut Answer,
    kill: &CancellationToken,
) -> Outcome {
    tokio::pin!(work, unwanted);
    tokio::select! {
        biased;
        outcome = &mut work => return outcome,
        why = &mut unwanted => answer.give(Err(why)),
        () = kill.cancelled() => {}
    }
    process.terminate();
    tokio::select! {
        biased;
        outcome = &mut work => return outcome,
        () = kill.cancelled() => {}
        () = tokio::time::sleep(grace) => {}
    }
    process.kill();
    work.await
}

async fn write_input(mut stdin: ChildStdin, input: Option<&Raw>) {
    if let Some(input) = input {
        // A program need not read its input.
        let _ = stdin.write_all(input.get().as_bytes()).await;
        let _ = stdin.write_all(b"\n").await;
    }
}

/// All of stdout, or nothing if it is more than may be.
async fn read_output(stdout: ChildStdout, limit: usize) -> Option<Vec<u8>> {
    let (mut bytes, mut pace) = (Vec::with_capacity(BUFFER), Pace::new());
    let mut stdout = stdout.take(limit as u64 + 1);
    // A broken pipe is an end, too.
    while let Ok(count @ 1..) = stdout.read_buf(&mut bytes).await {
        pace.keep(count).await;
        bytes.reserve(BUFFER);
    }
    (bytes.len() <= limit).then_some(bytes)
}

fn outcome(id: &PluginId, exit: &Exit, stdout: Option<&[u8]>, output: &Output, limit: usize) -> Outcome {
    let Some(stdout) = stdout else {
        return Err(Failure::new(ErrorCode::Failed, format!("{id} wrote more than {limit} bytes to stdout"))
            .hint("write the result to a file, and return its path"));
    };
    let code = match exit {
        Exit::Code(0) => return check_result(id, parse(id, stdout)?),
        Exit::Code(REJECT) => ErrorCode::Rejected,
        Exit::Code(RETRY_LATER) => ErrorCode::RetryLater,
        Exit::NotStarted(_) => ErrorCode::PluginBroken,
        Exit::GuardLost => ErrorCode::Lost,
        Exit::Code(_) | Exit::Signal(_) => ErrorCode::Failed,
    };
    let what = match code {
        ErrorCode::Rejected => "rejected it",
        ErrorCode::RetryLater => "asks to retry later",
        ErrorCode::PluginBroken => "cannot be run",
        ErrorCode::Lost => "was lost",
        _ => "failed",
    };
    Err(Failure::new(code, format!("{id} {what}: {exit}{}", output.last_words())))
}

fn parse(id: &PluginId, stdout: &[u8]) -> Result<Option<Raw>, Failure> {
    if stdout.trim_ascii().is_empty() {
        return Ok(None);
    }
    serde_json::from_slice::<Raw>(stdout).map(|raw| Some(one_line(raw))).map_err(|error| {
        let start = String::from_utf8_lossy(&stdout[..stdout.len().min(4 * SHOWN)]);
        let start: String = start.chars().take(SHOWN).collect();
        Failure::new(ErrorCode::Failed, format!("the output of {id} is no JSON ({error}); it begins with {start:?}"))
            .hint("write JSON to stdout and everything else to stderr")
    })
}
