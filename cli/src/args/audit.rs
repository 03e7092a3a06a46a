use std::time::Duration;

use clap::Args;

use super::duration::parse_wait;

/// `coattail audit`
#[derive(Debug, Args)]
pub(crate) struct Audit {
    /// Only what happened in this time before now: 90 (seconds), 10m, 2 days [default: everything that is kept]
    #[arg(long, value_name = "DURATION", value_parser = parse_wait)]
    pub(crate) since: Option<Duration>,
    /// The newest entries, at most so many (and at most 10000)
    #[arg(long, value_name = "NUMBER", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
}
