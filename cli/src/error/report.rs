use std::borrow::Cow;
use std::io;

use coattail::wire::{ErrorCode, Failure, Raw};
use serde::{Deserialize, Serialize};

use super::ExitStatus;
use crate::output::{Color, Format, Printer, visible};

/// What to try when whoever failed did not say.
pub(super) fn default_hint(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Failed => "`coattail action logs NAME` shows what it wrote, on the machine where it runs",
        ErrorCode::InvalidInput => "compare what was given with what `--help` of the command asks for",
        ErrorCode::UnknownMethod => "update the older of the two sides; `coattail version` shows this one",
        ErrorCode::NotPermitted => "ask the owner of the other instance for a token that allows it",
        ErrorCode::NotFound => "look for the right name with the `list` command of its kind",
        ErrorCode::Unreachable => {
            "check that the other instance runs and that its address is right: `coattail peer list`"
        }
        ErrorCode::Busy => "try again in a moment",
        ErrorCode::TooLarge => "send less at once, or pass on where the data is",
        ErrorCode::Lost => "find out whether it was done before you try again: it may have been",
        ErrorCode::Cancelled => "run the command again when you want it done",
        ErrorCode::TimedOut => "allow it more time with `--timeout`, or look at what it waits for",
        ErrorCode::StorageFull => "free some space on the disk of the instance, then try again",
        ErrorCode::StorageFailed => {
            "look at what the system says about the disk of the instance, then restart the service"
        }
        ErrorCode::UnsupportedVersion => "update the older of the two sides; `coattail version` shows this one",
        ErrorCode::AlreadyExists => "choose another name, or remove what is there",
        ErrorCode::ShuttingDown => "try again when the service runs again",
        ErrorCode::Internal => "look into the service's log; `--verbose` says more",
        ErrorCode::TokenRefused => "ask the owner of the other instance for a new token",
        ErrorCode::TokenRevoked => "ask the owner of the other instance for a new token",
        ErrorCode::TooManyHops => "look for receivers that publish to each other in a circle",
        ErrorCode::PluginBroken => "`coattail action list` shows what is wrong with it",
        ErrorCode::Rejected => "look at what the receiver expects: it will not take this one",
        ErrorCode::RetryLater => "try again later",
        ErrorCode::WrongPeer => "ask the owner of the other instance whether its keys have changed",
        ErrorCode::NotRunning => "start it with `coattail service start`",
        ErrorCode::Usage => "`coattail help` shows what there is",
        // A newer library has a code that this program does not know.
        _ => "",
    }
}

/// A failure whose first line says what failed and whose second says why.
pub(crate) fn because(code: ErrorCode, what: impl std::fmt::Display, why: impl std::fmt::Display) -> Failure {
    Failure::new(code, format!("{what}\n{why}"))
}

/// Prints a failure on stderr, and says what to exit with.
pub(crate) fn report(printer: &Printer, failure: &Failure) -> ExitStatus {
    match printer.format() {
        Format::Json => printer.say_json(&as_json(failure)),
        Format::Plain | Format::Table => printer.say(&as_lines(failure, Color::of(&io::stderr()))),
    }
    failure.code.into()
}

pub(super) fn hint(failure: &Failure) -> &str {
    failure.hint.as_deref().filter(|hint| !hint.is_empty()).unwrap_or_else(|| default_hint(failure.code))
}

/// What the action threw. Of the places at which a value does not fit a schema, the first is in the message.
fn thrown(failure: &Failure) -> Vec<String> {
    #[derive(Deserialize)]
    struct Misfit {
        pointer: String,
        #[serde(rename = "rule")]
        _rule: String,
        message: String,
    }
    let Some(data) = &failure.data else { return Vec::new() };
    match serde_json::from_str::<Vec<Misfit>>(data.get()) {
        Ok(misfits) => {
            misfits.into_iter().skip(1).map(|Misfit { pointer, message, .. }| format!("{pointer}: {message}"))
        }
        Err(_) => return vec![data.get().to_owned()],
    }
    .collect()
}

/// What failed, why (if there is more to say), what to try.
pub(super) fn as_lines(failure: &Failure, color: Color) -> String {
    let (what, why) = failure.message.split_once('\n').unwrap_or((&failure.message, ""));
    let thrown = thrown(failure);
    let why = why.lines().chain(thrown.iter().map(String::as_str));
    let why: Vec<Cow<'_, str>> = why.map(|line| visible(line.trim())).filter(|line| !line.is_empty()).collect();
    let mut lines = format!("{} {}\n", color.paint("1;31", "error:"), visible(what));
    if !why.is_empty() {
        lines += &format!("  {} {}\n", color.paint("1", "why:"), why.join(" | "));
    }
    let when = failure.retry_after_ms.map_or_else(String::new, |wait| format!(" (it can be tried again in {wait} ms)"));
    lines + &format!("  {} {}{when}\n", color.paint("1;36", "try:"), visible(hint(failure)))
}

pub(super) fn as_json(failure: &Failure) -> impl Serialize {
    #[derive(Serialize)]
    struct Outer {
        error: ShownError,
    }
    Outer { error: shown_error(failure) }
}

/// A failure, as programs are told of it.
#[derive(Serialize)]
pub(crate) struct ShownError {
    code: &'static str,
    message: String,
    hint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Raw>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

pub(crate) fn shown_error(failure: &Failure) -> ShownError {
    ShownError {
        code: failure.code.name(),
        message: failure.message.lines().map(str::trim).collect::<Vec<_>>().join(": "),
        hint: hint(failure).to_owned(),
        data: failure.data.clone(),
        retry_after_ms: failure.retry_after_ms,
    }
}
