use std::io;

use clap::error::ErrorKind;
use coattail::wire::{ErrorCode, Failure};

use super::ExitStatus;
use crate::output::{Color, Printer};

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
pub(super) fn usage_failure(said: &str) -> Failure {
    let what: Vec<&str> = said.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let (first, rest) = what.split_first().map_or(("wrong usage", &[][..]), |(first, rest)| (*first, rest));
    let what = first.strip_prefix("error: ").unwrap_or(first);
    let message = if rest.is_empty() { what.to_owned() } else { format!("{what} {}", rest.join(", ")) };
    let tip = said.lines().find_map(|line| line.trim().strip_prefix("tip: "));
    let hint = tip.map_or_else(|| format!("`{} --help` shows how it is used", used_command(said)), str::to_owned);
    Failure::new(ErrorCode::Usage, message).hint(hint)
}

/// The command in a `Usage:` line, without its arguments.
pub(super) fn used_command(said: &str) -> String {
    let usage = said.lines().find_map(|line| line.strip_prefix("Usage: ")).unwrap_or("coattail");
    let words: Vec<&str> = usage.split(' ').take_while(|word| !word.starts_with(['[', '<', '-', '('])).collect();
    words.join(" ")
}
