//! The command line of Coattail.
//!
//! argv → `args` → one file of `commands` → one call of the daemon's API, through `context` → a
//! typed answer → `output`. The answer is on stdout and everything else that is said on stderr;
//! `error` alone decides what a failure looks like and what the program exits with.

mod args;
mod candidates;
mod clipboard;
mod commands;
mod context;
mod error;
mod interrupt;
mod local;
mod output;
mod types;

use std::ffi::OsString;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::Cli;
use crate::context::Context;
use crate::error::ExitStatus;
use crate::output::{Format, Printer};

/// The mode in which a process watches over the plugins of a daemon; never typed by a person.
const GUARD: &str = "__guard";

/// Runs the program with these arguments, the first of which is its own name.
pub fn run(argv: impl IntoIterator<Item = OsString>) -> ExitCode {
    let argv: Vec<OsString> = argv.into_iter().collect();
    // Before anything else: the guard must not depend on what is parsed or printed here.
    if argv.get(1).is_some_and(|first| first == GUARD) {
        return local::guard_main();
    }
    error::install_panic_hook();
    catch_unwind(AssertUnwindSafe(|| start(argv))).unwrap_or(ExitStatus::Failed).into()
}

fn start(argv: Vec<OsString>) -> ExitStatus {
    if let Some(answered) = candidates::answer_shell(&argv) {
        return answered;
    }
    // Wrong usage is reported in the format that was asked for, although it cannot be parsed.
    let wants_json = argv.iter().any(|argument| argument == "--json");
    let printer = match Format::choose(wants_json, std::env::var_os("COATTAIL_OUTPUT").as_deref()) {
        Ok(format) => Printer::new(format),
        Err(failure) => return error::report(&Printer::new(Format::Table), &failure),
    };
    let outcome = match Cli::try_parse_from(argv) {
        Ok(cli) => commands::run(&Context::new(cli.global, printer.clone()), cli.command),
        Err(unparsed) => error::explain_usage(&printer, &unparsed),
    };
    outcome.unwrap_or_else(|failure| error::report(&printer, &failure))
}
