use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use coattail::wire::places::Beginning;

use super::beginning::{FORMS, parse_beginning};
use crate::candidates;

/// `coattail subscriptions`
#[derive(Debug, Subcommand)]
pub(crate) enum SubscriptionsCommand {
    /// List what this instance is subscribed to, and how its receivers keep up
    List,
    /// Call the receiver no more until it is resumed; what comes is stored
    Pause(WhichHeld),
    /// Call the receiver again, first for what waits
    Resume(WhichHeld),
    /// Go on from elsewhere in the publisher's log: what lies beyond is handled, again if it was before
    #[command(after_help = "Examples:\n  coattail subscriptions reset ID --from start\n  \
                            coattail subscriptions reset ID --from 2h --dry-run\n  \
                            coattail subscriptions reset ID --from now --yes")]
    Reset(ResetHeld),
}

/// `coattail subscriptions reset`
#[derive(Debug, Args)]
pub(crate) struct ResetHeld {
    #[command(flatten)]
    pub(crate) which: WhichHeld,
    /// Where to go on: with the first publication that is kept, with the next, with this one, or with the first since
    /// this time, such as 2026-11-20T18:00:00Z or 2h (ago)
    #[arg(long, value_name = FORMS, value_parser = parse_beginning)]
    pub(crate) from: Beginning,
    /// Only tell how many would be handled again, or skipped
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// A subscription of ours.
#[derive(Debug, Args)]
pub(crate) struct WhichHeld {
    /// The subscription, as `subscriptions list` shows it
    #[arg(value_name = "ID", add = ArgValueCompleter::new(candidates::held))]
    pub(crate) id: String,
}
