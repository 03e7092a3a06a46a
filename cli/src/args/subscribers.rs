use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;

use crate::candidates;

/// `coattail subscribers`
#[derive(Debug, Subcommand)]
pub(crate) enum SubscribersCommand {
    /// List who is subscribed to this instance
    List,
    /// End a subscription that another instance holds here
    Revoke(RevokeSubscriber),
    /// Deliver nothing for a subscription until it is resumed
    Pause(WhichSubscription),
    /// Deliver again, from where it was
    Resume(WhichSubscription),
}

/// `coattail subscribers revoke`
#[derive(Debug, Args)]
pub(crate) struct RevokeSubscriber {
    #[command(flatten)]
    pub(crate) which: WhichSubscription,
    /// Only tell what would go with it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// A subscription that was named one way or the other.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhichSubscription {
    /// The subscription, as `subscribers list` shows it
    #[arg(value_name = "ID", add = ArgValueCompleter::new(candidates::subscriptions))]
    positional: Option<String>,
    /// As ID
    #[arg(short = 's', long = "subscription", visible_alias = "id", value_name = "ID", add = ArgValueCompleter::new(candidates::subscriptions))]
    named: Option<String>,
}

impl WhichSubscription {
    /// The id, whichever way it was given.
    pub(crate) fn id(&self) -> &str {
        self.positional.as_deref().or(self.named.as_deref()).expect("clap asks for one of the two")
    }
}
