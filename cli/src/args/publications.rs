use std::time::Duration;

use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use coattail::name::ActionName;

use super::Which;
use super::duration::parse_wait;
use crate::candidates;

/// `coattail publications`
#[derive(Debug, Subcommand)]
pub(crate) enum PublicationsCommand {
    /// List what was published and is still kept, the newest last
    #[command(after_help = "Examples:\n  coattail publications list --since 1h\n  \
                            coattail publications list backup --limit 20 --json")]
    List(ListPublications),
    /// Show a publication: what was published, when, what caused it, who signed it
    #[command(after_help = "Examples:\n  coattail publications show backup 12\n  coattail publications show ID")]
    Show(ShowPublication),
    /// Print the newest publications of an action, one in a line
    #[command(after_help = "Examples:\n  coattail publications tail backup -f\n  \
                            coattail publications tail backup --lines 5 --json")]
    Tail(TailPublications),
    /// List what is to be published later: `action publish --in` and `--at` make it
    Scheduled,
    /// Take back what is to be published later
    Unschedule(Which),
    /// Compute hash, path and signature of every publication anew; exits with 1 if one does not hold
    Verify(VerifyPublications),
}

/// `coattail publications list`
#[derive(Debug, Args)]
pub(crate) struct ListPublications {
    /// Of this action [default: of all]
    #[arg(value_name = "ACTION", add = ArgValueCompleter::new(candidates::actions))]
    pub(crate) action: Option<ActionName>,
    /// Only what was published in this time before now: 90 (seconds), 10m, 2 days [default: everything that is kept]
    #[arg(long, value_name = "DURATION", value_parser = parse_wait)]
    pub(crate) since: Option<Duration>,
    /// The newest, at most so many (and at most 10000)
    #[arg(long, value_name = "NUMBER", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
}

/// `coattail publications show`
#[derive(Debug, Args)]
pub(crate) struct ShowPublication {
    /// Its id, or its action
    #[arg(value_name = "ID|ACTION", add = ArgValueCompleter::new(candidates::actions))]
    pub(crate) which: String,
    /// Behind an action: its sequence there, or its id
    #[arg(value_name = "SEQUENCE|ID")]
    pub(crate) place: Option<String>,
}

/// `coattail publications tail`
#[derive(Debug, Args)]
pub(crate) struct TailPublications {
    /// Whose
    #[arg(value_name = "ACTION", add = ArgValueCompleter::new(candidates::actions))]
    pub(crate) action: ActionName,
    /// Go on until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many to begin with (at most 1000)
    #[arg(long, value_name = "NUMBER", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) lines: u32,
}

/// `coattail trace`
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// The publication: its id, or what that begins with (8 characters or more)
    #[arg(value_name = "ID")]
    pub(crate) id: String,
}

/// `coattail publications verify`
#[derive(Debug, Args)]
pub(crate) struct VerifyPublications {
    /// Of this action [default: of all]
    #[arg(value_name = "ACTION", add = ArgValueCompleter::new(candidates::actions))]
    pub(crate) action: Option<ActionName>,
}
