use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

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
}

/// A subscription of ours.
#[derive(Debug, Args)]
pub(crate) struct WhichHeld {
    /// The subscription, as `subscriptions list` shows it
    #[arg(value_name = "ID", add = ArgValueCompleter::new(candidates::held))]
    pub(crate) id: String,
}
