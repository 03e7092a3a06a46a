use std::path::PathBuf;

use clap::{Args, ValueHint};

/// `coattail man`
#[derive(Debug, Args)]
pub(crate) struct Man {
    /// Write the pages of every command into this folder [default: print that of coattail itself]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
}
