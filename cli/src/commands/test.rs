use coattail::id::CallId;
use coattail::wire::dev::{TestPlugin, Tested};
use coattail::wire::plugin::Kind;
use coattail::wire::{Failure, Raw};
use serde::Serialize;

use super::{fixtures, follow, input};
use crate::args::TestAction;
use crate::context::Context;
use crate::error::ExitStatus;

/// Runs the present files of a plugin, once or once for each fixture.
pub(super) fn run(context: &Context, args: &TestAction) -> Result<ExitStatus, Failure> {
    let test = TestPlugin {
        kind: if args.receiver { Kind::Receiver } else { Kind::Action },
        name: args.name.clone(),
        input: args.data.as_ref().map(input::read_json).transpose()?,
        publication: None,
        timeout_ms: args.timeout.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
        // As it runs for whoever writes it, there is always somebody who wants to know.
        follow: follow::is_wanted(context, true),
    };
    match &args.fixtures {
        Some(folder) => fixtures::run(context, &test, folder),
        None => once(context, &test),
    }
}

/// What a test answers to programs.
#[derive(Serialize)]
struct Answer {
    call: CallId,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    load_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call_ms: Option<f64>,
}

fn once(context: &Context, test: &TestPlugin) -> Result<ExitStatus, Failure> {
    let tested = context.talk(async |daemon| {
        let deadline = follow::listen(daemon, context, None);
        daemon.session().call_until(&deadline, test).await
    })?;
    let times = times(&tested);
    let Tested { call, result, error, load_ms, call_ms } = tested;
    if let Some(failure) = error {
        context.printer.note(&times);
        return Err(failure);
    }
    let answer = Answer { call, result, load_ms, call_ms };
    context.printer.result(answer.result.as_ref(), &answer)?;
    context.printer.note(&times);
    Ok(ExitStatus::Done)
}

/// How long it took, in words.
pub(super) fn times(tested: &Tested) -> String {
    match (tested.load_ms, tested.call_ms) {
        (Some(load), Some(call)) => format!("loaded in {}, done in {}", milliseconds(load), milliseconds(call)),
        (Some(load), None) => format!("loaded in {}", milliseconds(load)),
        (None, Some(call)) => format!("done in {}", milliseconds(call)),
        (None, None) => "it was not loaded".to_owned(),
    }
}

/// A length of time, for people.
pub(super) fn milliseconds(time: f64) -> String {
    format!("{time:.1} ms")
}
