use clap::Args;

use super::duration::parse_seconds;

/// From when until when a new token is valid.
#[derive(Debug, Args)]
pub(super) struct Validity {
    /// When it begins to be valid, from now: 90 (seconds), 10m, 2 days [default: now]
    #[arg(short, long, value_name = "DURATION", value_parser = parse_seconds, allow_hyphen_values = true)]
    pub(super) not_before: Option<i64>,
    /// When it ends, from now [default: never]
    #[arg(short, long, value_name = "DURATION", value_parser = parse_seconds, allow_hyphen_values = true)]
    pub(super) expires_in: Option<i64>,
}
