use std::path::PathBuf;

use clap::Args;

/// `coattail demo`
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Keep the folders of the instances, to look at and to try commands on
    #[arg(long)]
    pub(crate) keep: bool,
    /// Make them in this folder; it is made, or must be empty [default: a temporary one]
    #[arg(long, value_name = "DIR")]
    pub(crate) folder: Option<PathBuf>,
}
