use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory as _;
use clap_mangen::Man;
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
            let mut page = Vec::new();
            Man::new(root())
                .render(&mut page)
                .map_err(|error| because(ErrorCode::Internal, "the page could not be made", error))?;
            context.printer.answer(&String::from_utf8_lossy(&page))?;
        }
    }
    Ok(ExitStatus::Done)
}

/// A page for each command. Returns how many.
fn write(folder: &Path) -> io::Result<usize> {
    fs::create_dir_all(folder)?;
    clap_mangen::generate_to(root(), folder)?;
    Ok(count(&root()))
}

/// The commands as they are typed, with what else there is to know at the end of the first page.
fn root() -> clap::Command {
    let topics: Vec<&str> = TOPICS.iter().map(|(_, text)| *text).collect();
    Cli::command().after_long_help(topics.join("\n"))
}

fn count(command: &clap::Command) -> usize {
    1 + command.get_subcommands().filter(|command| !command.is_hide_set()).map(count).sum::<usize>()
}
