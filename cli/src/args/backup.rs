use std::path::PathBuf;

use clap::{Args, ValueHint};

/// `coattail backup`
#[derive(Debug, Args)]
pub(crate) struct Backup {
    /// The file to write; one that is there is replaced with `--force` only
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// With the folders of actions and receivers
    #[arg(long)]
    pub(crate) all: bool,
}

/// `coattail restore`
#[derive(Debug, Args)]
pub(crate) struct Restore {
    /// What `coattail backup` has written
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) file: PathBuf,
    /// The folder: an instance whose service does not run, or empty, or not there [default: that of `--instance`, else the
    /// working directory]
    #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) folder: Option<PathBuf>,
}
