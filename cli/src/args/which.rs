use clap::Args;
use clap_complete::engine::ArgValueCompleter;

use crate::candidates;

/// One thing, named by its id; the original took it both ways.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Which {
    /// Its id, as `list` shows it
    #[arg(value_name = "ID", add = ArgValueCompleter::new(candidates::ids))]
    positional: Option<String>,
    /// As ID
    #[arg(long = "id", value_name = "ID", add = ArgValueCompleter::new(candidates::ids))]
    named: Option<String>,
}

impl Which {
    /// The id, whichever way it was given.
    pub(crate) fn id(&self) -> &str {
        self.positional.as_deref().or(self.named.as_deref()).expect("clap asks for one of the two")
    }
}

/// One thing to end, or only to look at what would go with it.
#[derive(Debug, Args)]
pub(crate) struct Ended {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Only tell what would go with it
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// One thing to show, with its token or without.
#[derive(Debug, Args)]
pub(crate) struct Shown {
    #[command(flatten)]
    pub(crate) which: Which,
    /// Print nothing but the token itself, which is a secret
    #[arg(long)]
    pub(crate) print_raw_token: bool,
}
