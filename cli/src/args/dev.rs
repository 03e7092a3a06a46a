use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};
use clap_complete::engine::ArgValueCompleter;
use coattail::name::{ActionName, ReceiverName};

use super::Input;
use super::duration::parse_wait;
use crate::candidates;

/// `coattail action test`
#[derive(Debug, Args)]
pub(crate) struct TestAction {
    /// What to test, as its files are now
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(candidates::actions))]
    pub(crate) name: String,
    /// NAME is a receiver
    #[arg(short, long)]
    pub(crate) receiver: bool,
    /// What to give to it: JSON, @FILE, or - for stdin [default: nothing]
    #[arg(short, long, value_name = "JSON", allow_hyphen_values = true, conflicts_with = "fixtures")]
    pub(crate) data: Option<Input>,
    /// Run every *.json in this folder: {"input", "output"?, "error"?, "publication"?}
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) fixtures: Option<PathBuf>,
    /// How long a call may take, such as 30s or 5m [default: what the configuration says]
    #[arg(long, value_name = "DURATION", value_parser = parse_wait)]
    pub(crate) timeout: Option<Duration>,
}

/// `coattail record`
#[derive(Debug, Args)]
pub(crate) struct Record {
    #[command(flatten)]
    pub(crate) of: Recorded,
    /// The folder to write them to; it is made if it is not there
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) to: PathBuf,
    /// How many at most, the last ones [default: 20; with --follow no end]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) count: Option<u32>,
    /// Go on with those that come, until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
}

/// Whose publications are recorded.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Recorded {
    /// What this action has published
    #[arg(short, long, value_name = "NAME", add = ArgValueCompleter::new(candidates::actions))]
    pub(crate) action: Option<ActionName>,
    /// What waits for this receiver, or was given up
    #[arg(short, long, value_name = "NAME", add = ArgValueCompleter::new(candidates::receivers))]
    pub(crate) receiver: Option<ReceiverName>,
}

/// `coattail dev`
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// A folder with `actions` or `receivers` in it, or with plugins [default: the working directory]
    #[arg(value_name = "DIR", default_value = ".", value_hint = ValueHint::DirPath)]
    pub(crate) folder: PathBuf,
    /// The plugins that lie in DIR itself are receivers, not actions
    #[arg(long)]
    pub(crate) receivers: bool,
    /// Begin with this action, or receiver
    #[arg(long, value_name = "NAME")]
    pub(crate) perform: Option<String>,
    /// What to give to it: JSON, @FILE, or - for stdin [default: nothing]
    #[arg(short, long, value_name = "JSON", allow_hyphen_values = true, requires = "perform")]
    pub(crate) data: Option<Input>,
    /// Repeat the last call when files have changed
    #[arg(long)]
    pub(crate) replay: bool,
}
