use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use coattail::wire::{ErrorCode, Failure};
use futures::FutureExt as _;
use serde::Serialize;
use tokio::time::sleep;

use super::check::{self, Counted};
use super::narrate::Narrator;
use super::stage::Stage;
use super::story;
use crate::args::Demo;
use crate::context::Context;
use crate::error::ExitStatus;
use crate::interrupt::Interrupt;
use crate::output::Format;

/// How long after a failure it may turn out that it was an interruption.
const NOTICE: Duration = Duration::from_millis(100);

/// The end of the story, as programs are told of it.
#[derive(Serialize)]
struct Ending<'a> {
    seconds: f64,
    folder: &'a Path,
    kept: bool,
    counts: &'a [Counted],
}

pub(crate) fn run(context: &Context, args: &Demo) -> Result<ExitStatus, Failure> {
    let narrator = Narrator::new(context.printer.clone());
    let mut stage = Stage::set(args.folder.as_deref())?;
    let told = context.block_on(async |interrupt: &mut Interrupt| {
        let mut told = interrupt.or(Box::pin(story::tell(&mut stage, &narrator))).await;
        if told.is_err() {
            // Ctrl-C on a terminal reaches everything that we have started, and may have been noticed there first.
            told = interrupt.or(sleep(NOTICE).then(async |()| told)).await;
        }
        stage.stop().await;
        told
    });
    let ended = told.and_then(|counted| conclude(context, &stage, &narrator, args.keep, &counted));
    ended.map(|()| ExitStatus::Done).or_else(|failure| {
        if failure.code == ErrorCode::Cancelled && !args.keep {
            stage.remove()?;
            return Err(failure);
        }
        let root = stage.root().display();
        Err(failure.hint(format!("the folders are kept, look at the logs: `{root}/*/service.log`")))
    })
}

/// Shows the counts, fails if one is off, and leaves the folders or removes them.
fn conclude(
    context: &Context,
    stage: &Stage,
    narrator: &Narrator,
    keep: bool,
    counted: &[Counted],
) -> Result<(), Failure> {
    let printer = &context.printer;
    match printer.format() {
        Format::Json => {
            let ending = Ending { seconds: narrator.seconds(), folder: stage.root(), kept: keep, counts: counted };
            printer.value("", &ending)?;
        }
        Format::Plain => printer.list(counted, "")?,
        Format::Table => {
            printer.answer("\n")?;
            printer.list(counted, "")?;
            printer.answer("\n")?;
        }
    }
    check::compare(counted)?;
    if !keep {
        stage.remove()?;
    }
    if printer.format() == Format::Json {
        return Ok(());
    }
    narrator.say("every count is exact: nothing was lost, nothing was stored twice")?;
    if keep {
        return printer.answer(&what_to_try(stage));
    }
    narrator.say("the services are stopped and the folders removed; with --keep they stay, to look at")
}

fn what_to_try(stage: &Stage) -> String {
    let root = stage.root().display();
    let board = stage.desk.folder().join("board.html");
    let page = if board.exists() { format!("The board: file://{}\n", board.display()) } else { String::new() };
    format!(
        "
The services are stopped, the folders kept: {root}
{page}Try on them:
{path}  cd '{root}'
  for name in site office desk; do coattail service start --headless --instance $name; done
  coattail service status
  coattail action perform --instance site --action machine --notify
  coattail action perform --instance office --action 'Health Score' --data '{{\"disk\":{{\"used_percent\":91}}}}'
  coattail subscribers list --instance site
  coattail peer list --instance desk
  for name in site office desk; do coattail service stop --instance $name; done
",
        path = path_to_this().map(|path| format!("  PATH='{}':$PATH\n", path.display())).unwrap_or_default(),
    )
}

/// The folder of this program, if it is not on the path.
fn path_to_this() -> Option<PathBuf> {
    let folder = env::current_exe().ok()?.parent()?.to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    (!env::split_paths(&path).any(|known| known == folder)).then_some(folder)
}
