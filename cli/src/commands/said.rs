use coattail::id::CallId;
use coattail::wire::host::{Log, Progress, RetryAfter, Working};
use coattail::wire::{Done, ErrorCode, Failure, Method};

use crate::args;
use crate::context::Context;
use crate::error::ExitStatus;

pub(super) fn log(context: &Context, args: &args::Log) -> Result<ExitStatus, Failure> {
    let call = Some(call(context)?);
    say(context, &Log { call, level: args.level.into(), message: args.words.join(" ") })
}

pub(super) fn progress(context: &Context, args: &args::Progress) -> Result<ExitStatus, Failure> {
    let message = (!args.words.is_empty()).then(|| args.words.join(" "));
    say(context, &Progress { call: call(context)?, fraction: Some(args.percent / 100.0), message })
}

pub(super) fn working(context: &Context) -> Result<ExitStatus, Failure> {
    say(context, &Working { call: call(context)? })
}

/// Exits as the script is to exit, so that `exec coattail retry-after 5m` is its last line.
pub(super) fn retry_after(context: &Context, args: &args::RetryAfter) -> Result<ExitStatus, Failure> {
    let after_ms = u64::try_from(args.after.as_millis()).unwrap_or(u64::MAX);
    say(context, &RetryAfter { call: call(context)?, after_ms })?;
    Ok(ExitStatus::Unfinished)
}

fn say<M: Method<Reply = Done>>(context: &Context, what: &M) -> Result<ExitStatus, Failure> {
    context.talk(async |daemon| daemon.call(what).await)?;
    Ok(ExitStatus::Done)
}

fn call(context: &Context) -> Result<CallId, Failure> {
    context.parent_call().ok_or_else(|| {
        Failure::new(ErrorCode::Usage, "no call is being handled: COATTAIL_CALL names none")
            .hint("use it in a script in `actions/` or `receivers/`, which is told its call")
    })
}
