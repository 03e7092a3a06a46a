use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use coattail::wire::{ErrorCode, Failure};
use serde::Serialize;

use super::help::TOPICS;
use crate::args::{self, Cli};
use crate::context::Context;
use crate::error::{ExitStatus, because};
use crate::output::{Field, Record};

/// What was written.
#[derive(Serialize)]
struct Written {
    folder: String,
    pages: usize,
}

impl Record for Written {
    fn fields(&self) -> Vec<Field> {
        vec![("folder", self.folder.clone()), ("pages", self.pages.to_string())]
    }
}

pub(super) fn run(context: &Context, args: &args::Man) -> Result<ExitStatus, Failure> {
    match &args.folder {
        Some(folder) => {
            let pages = write(folder).map_err(|error| {
                because(ErrorCode::Failed, format!("the pages could not be written to `{}`", folder.display()), error)
                    .hint("check that the folder can be written to, and that its disk is not full")
            })?;
            context.printer.record(&Written { folder: folder.display().to_string(), pages })?;
        }
        None => {
            let page =
                first_page().map_err(|error| because(ErrorCode::Internal, "the page could not be made", error))?;
            context.printer.answer(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(ExitStatus::Done)
}

/// A page for each command. Returns how many.
fn write(folder: &Path) -> io::Result<usize> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(Cli::command(), folder)?;
    fs::write(folder.join("coattail.1"), first_page()?)?;
    let mut root = Cli::command();
    root.build();
    Ok(count(&root))
}

/// The page of the program itself, with the topics of `coattail help` at its end.
fn first_page() -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(Cli::command()).render(&mut page)?;
    for (name, text) in TOPICS {
        Roff::new()
            .control("SH", [name.replace('-', " ").to_uppercase().as_str()])
            .control("nf", [])
            .text([roman(text)])
            .control("fi", [])
            .to_writer(&mut page)?;
    }
    Ok(page)
}

fn count(command: &clap::Command) -> usize {
    1 + command.get_subcommands().filter(|command| !command.is_hide_set()).map(count).sum::<usize>()
}
