use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use coattail::name::ReceiverName;

use crate::candidates;

/// `coattail dead-letters`
#[derive(Debug, Subcommand)]
pub(crate) enum DeadLettersCommand {
    /// List what receivers did not take, and why
    List(ListDeadLetters),
    /// Show one, with what was published and what the receiver printed
    Show(WhichDeadLetter),
    /// Have receivers called for them again, as if for the first time
    #[command(after_help = "Examples:\n  coattail dead-letters replay 7\n  \
                            coattail dead-letters replay --receiver keep --dry-run")]
    Replay(ChosenDeadLetters),
    /// Delete them for good
    #[command(after_help = "Examples:\n  coattail dead-letters drop 7\n  coattail dead-letters drop --all --yes")]
    Drop(ChosenDeadLetters),
}

/// `coattail dead-letters list`
#[derive(Debug, Args)]
pub(crate) struct ListDeadLetters {
    /// Those of one receiver only
    #[arg(short, long, value_name = "NAME", add = ArgValueCompleter::new(candidates::receivers))]
    pub(crate) receiver: Option<ReceiverName>,
    /// How many at most, those given up first first [default: 500]
    #[arg(long, value_name = "NUMBER")]
    pub(crate) limit: Option<u32>,
}

/// `coattail dead-letters show`
#[derive(Debug, Args)]
pub(crate) struct WhichDeadLetter {
    /// Its number, as `dead-letters list` shows it
    #[arg(value_name = "ID", add = ArgValueCompleter::new(candidates::dead_letters))]
    pub(crate) id: String,
}

/// `coattail dead-letters replay` and `drop`
#[derive(Debug, Args)]
pub(crate) struct ChosenDeadLetters {
    #[command(flatten)]
    pub(crate) which: WhichDeadLetters,
    /// Only tell how many they are
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// One, those of a receiver, or all.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhichDeadLetters {
    /// This one, by its number as `dead-letters list` shows it
    #[arg(value_name = "ID", add = ArgValueCompleter::new(candidates::dead_letters))]
    pub(crate) id: Option<String>,
    /// Those of this receiver
    #[arg(short, long, value_name = "NAME", add = ArgValueCompleter::new(candidates::receivers))]
    pub(crate) receiver: Option<ReceiverName>,
    /// All of them
    #[arg(long)]
    pub(crate) all: bool,
}
