use clap::{Args, Subcommand};
use clap_complete::engine::ArgValueCompleter;
use coattail::wire::places::Beginning;

use super::beginning::{FORMS, parse_beginning};
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
    /// Have a subscriber go on from elsewhere in the log here, as soon as it can be told
    #[command(after_help = "Examples:\n  coattail subscribers reset ID --from 12\n  \
                            coattail subscribers reset ID --from '2 days' --dry-run")]
    Reset(ResetSubscriber),
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

/// `coattail subscribers reset`
#[derive(Debug, Args)]
pub(crate) struct ResetSubscriber {
    #[command(flatten)]
    pub(crate) which: WhichSubscription,
    /// Where to go on: with the first publication that is kept, with the next, with this one, or with the first since
    /// this time, such as 2026-11-20T18:00:00Z or 2h (ago)
    #[arg(long, value_name = FORMS, value_parser = parse_beginning)]
    pub(crate) from: Beginning,
    /// Only tell how many would be delivered again, or skipped
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
