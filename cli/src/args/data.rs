use clap::{Args, Subcommand, ValueEnum};

/// `coattail data`
#[derive(Debug, Subcommand)]
pub(crate) enum DataCommand {
    /// Bring the database to another version
    Migrate(Migrate),
}

/// `coattail data migrate`
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct Migrate {
    /// Which way
    #[arg(value_name = "ACTION")]
    positional: Option<Migration>,
    /// As ACTION
    #[arg(short = 'a', long = "action", value_name = "ACTION")]
    named: Option<Migration>,
}

impl Migrate {
    /// Which way, however it was given.
    pub(crate) fn migration(&self) -> Migration {
        self.positional.or(self.named).expect("clap asks for one of the two")
    }
}

/// Which way to migrate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Migration {
    /// To the version of this program
    Latest,
    /// One version up
    Up,
    /// One version down; what only the newer one could hold is lost
    Down,
    /// Undo the last migration that was run
    Rollback,
}

impl Migration {
    /// Whether it can lose what is stored.
    pub(crate) fn destroys(self) -> bool {
        matches!(self, Self::Down | Self::Rollback)
    }
}
