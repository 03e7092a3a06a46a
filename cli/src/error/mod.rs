//! What a failure looks like, and what the program exits with.

use std::borrow::Cow;
use std::io;
use std::panic::PanicHookInfo;
use std::process::ExitCode;

use clap::error::ErrorKind;
use coattail::wire::{ErrorCode, Failure, Raw};
use serde::Serialize;

use crate::output::{Color, Format, Printer, visible};

/// What the program exits with; `coattail help exit-codes` explains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// Done.
    Done = 0,
    /// Failed; also: the action failed.
    Failed = 1,
    /// The command was used in a wrong way.
    Usage = 2,
    /// The service is not running.
    NotRunning = 3,
    /// Not permitted, or the token was refused.
    NotPermitted = 4,
    /// No instance, action, peer, token or subscription of that name.
    NotFound = 5,
    /// The peer could not be reached.
    Unreachable = 6,
    /// Accepted but not finished.
    Unfinished = 75,
    /// Not done in time.
    TimedOut = 124,
    /// Ended from the keyboard.
    Interrupted = 130,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        ExitCode::from(status as u8)
    }
}

impl From<ErrorCode> for ExitStatus {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Usage | ErrorCode::InvalidInput => Self::Usage,
            ErrorCode::NotRunning => Self::NotRunning,
            ErrorCode::NotPermitted | ErrorCode::TokenRefused | ErrorCode::TokenRevoked => Self::NotPermitted,
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::Unreachable | ErrorCode::WrongPeer => Self::Unreachable,
            ErrorCode::TimedOut => Self::TimedOut,
            ErrorCode::Cancelled => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}

/// What to try when whoever failed did not say.
fn default_hint(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::Failed => "look at what the action wrote: its log is in the service's log",
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

fn hint(failure: &Failure) -> &str {
    failure.hint.as_deref().filter(|hint| !hint.is_empty()).unwrap_or_else(|| default_hint(failure.code))
}

/// What failed, why (if there is more to say), what to try.
fn as_lines(failure: &Failure, color: Color) -> String {
    let (what, why) = failure.message.split_once('\n').unwrap_or((&failure.message, ""));
    let thrown = failure.data.as_ref().map_or("", |data| data.get());
    let why: Vec<Cow<'_, str>> =
        why.lines().chain([thrown]).map(|line| visible(line.trim())).filter(|line| !line.is_empty()).collect();
    let mut lines = format!("{} {}\n", color.paint("1;31", "error:"), visible(what));
    if !why.is_empty() {
        lines += &format!("  {} {}\n", color.paint("1", "why:"), why.join(" | "));
    }
    let when = failure.retry_after_ms.map_or_else(String::new, |wait| format!(" (it can be tried again in {wait} ms)"));
    lines + &format!("  {} {}{when}\n", color.paint("1;36", "try:"), visible(hint(failure)))
}

fn as_json(failure: &Failure) -> impl Serialize {
    #[derive(Serialize)]
    struct Outer {
        error: Inner,
    }
    #[derive(Serialize)]
    struct Inner {
        code: &'static str,
        message: String,
        hint: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        data: Option<Raw>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    }
    Outer {
        error: Inner {
            code: failure.code.name(),
            message: failure.message.lines().map(str::trim).collect::<Vec<_>>().join(": "),
            hint: hint(failure).to_owned(),
            data: failure.data.clone(),
            retry_after_ms: failure.retry_after_ms,
        },
    }
}

/// Answers a command line that could not be parsed: help and version are answers, the rest is wrong usage.
pub(crate) fn explain_usage(printer: &Printer, unparsed: &clap::Error) -> Result<ExitStatus, Failure> {
    let rendered = unparsed.render();
    match unparsed.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            let color = Color::of(&io::stdout()).is_on();
            let text = if color { rendered.ansi().to_string() } else { rendered.to_string() };
            printer.answer(&text).map(|()| ExitStatus::Done)
        }
        _ => Err(usage_failure(&rendered.to_string())),
    }
}

/// Takes apart what clap says: a paragraph of what is wrong, `tip:` lines, and a `Usage:` line.
fn usage_failure(said: &str) -> Failure {
    let what: Vec<&str> = said.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let (first, rest) = what.split_first().map_or(("wrong usage", &[][..]), |(first, rest)| (*first, rest));
    let what = first.strip_prefix("error: ").unwrap_or(first);
    let message = if rest.is_empty() { what.to_owned() } else { format!("{what} {}", rest.join(", ")) };
    let tip = said.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let hint = tip.map_or_else(|| format!("`{} --help` shows how it is used", used_command(said)), str::to_owned);
    Failure::new(ErrorCode::Usage, message).hint(hint)
}

/// The command in a `Usage:` line, without its arguments.
fn used_command(said: &str) -> String {
    let usage = said.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or("coattail");
    let words: Vec<&str> = usage.split(' ').take_while(|word| !word.starts_with(['[', '<', '-', '('])).collect();
    words.join(" ")
}

/// A fault of this program is told in two lines, not in a page of addresses.
pub(crate) fn install_panic_hook() {
    let default = std::panic::take_hook();
    let debug = std::env::var_os("COATTAIL_DEBUG").is_some_and(|value| !value.is_empty());
    std::panic::set_hook(Box::new(move |panic| {
        Printer::new(Format::Table).say(&fault(panic));
        if debug {
            default(panic);
        }
    }));
}

fn fault(panic: &PanicHookInfo<'_>) -> String {
    let cause = panic.payload_as_str().unwrap_or("unknown");
    let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    format!(
        "error: coattail has a fault: {}{place}\n  try: run it again with COATTAIL_DEBUG=1, and report what it prints\n",
        visible(cause)
    )
}

#[cfg(test)]
mod tests;
