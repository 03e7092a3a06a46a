use std::time::Duration;

use clap::{Args, ValueEnum};
use coattail::wire::host::Level;

use super::duration::parse_wait;

/// `coattail log`
#[derive(Debug, Args)]
pub(crate) struct Log {
    /// How important it is
    #[arg(long, value_enum, default_value = "info")]
    pub(crate) level: LogLevel,
    /// What to say
    #[arg(value_name = "MESSAGE", required = true, allow_hyphen_values = true, trailing_var_arg = true)]
    pub(crate) words: Vec<String>,
}

/// How important a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogLevel {
    /// For whoever looks for a fault
    Debug,
    /// What happens
    Info,
    /// Not as it should be
    Warn,
    /// Something failed
    Error,
}

impl From<LogLevel> for Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Debug => Self::Debug,
            LogLevel::Info => Self::Info,
            LogLevel::Warn => Self::Warn,
            LogLevel::Error => Self::Error,
        }
    }
}

/// `coattail progress`
#[derive(Debug, Args)]
pub(crate) struct Progress {
    /// How far it has got, from 0 to 100
    #[arg(value_name = "PERCENT", value_parser = parse_percent)]
    pub(crate) percent: f64,
    /// What is being done
    #[arg(value_name = "MESSAGE")]
    pub(crate) words: Vec<String>,
}

/// `coattail retry-after`
#[derive(Debug, Args)]
pub(crate) struct RetryAfter {
    /// How long to wait until it is tried again, such as 30s or 5m
    #[arg(value_name = "DURATION", value_parser = parse_wait)]
    pub(crate) after: Duration,
}

fn parse_percent(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix('%').unwrap_or(text).parse::<f64>();
    number.ok().filter(|percent| (0.0..=100.0).contains(percent)).ok_or_else(|| "it must be from 0 to 100".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_from_0_to_100() {
        for (text, percent) in [
            ("0", Some(0.0)),
            ("12.5", Some(12.5)),
            ("100%", Some(100.0)),
            ("101", None),
            ("-1", None),
            ("NaN", None),
            ("half", None),
        ] {
            assert_eq!(parse_percent(text).ok(), percent, "{text}");
        }
    }
}
