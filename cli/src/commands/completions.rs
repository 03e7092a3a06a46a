use clap_complete::env::Shells;
use coattail::wire::{ErrorCode, Failure};

use crate::args::Completions;
use crate::candidates;
use crate::context::Context;
use crate::error::{ExitStatus, because};

/// The program that a shell asks: whichever `coattail` is found then, so that the answer fits an upgrade, too.
const PROGRAM: &str = "coattail";

pub(super) fn run(context: &Context, args: &Completions) -> Result<ExitStatus, Failure> {
    let shells = Shells::builtins();
    let shell = shells.completer(args.shell.name()).expect("every shell that can be named is known");
    let mut script = Vec::new();
    shell
        .write_registration(candidates::VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)
        .map_err(|error| because(ErrorCode::Internal, "the script could not be written", error))?;
    context.printer.answer(&String::from_utf8_lossy(&script))?;
    Ok(ExitStatus::Done)
}
