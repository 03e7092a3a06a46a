//! How long, as an option: one grammar for the command line and for `config.yml`.

use std::time::Duration;

use coattail_daemon::config::duration::{InvalidDuration, parse, parse_unsigned, whole_seconds};

/// Reads a time from now in whole seconds, rounded down as the original did; it may lie in the past.
pub(super) fn parse_seconds(text: &str) -> Result<i64, String> {
    parse(text).map(whole_seconds).map_err(explain)
}

/// Reads how long to wait, which is at least a millisecond.
pub(super) fn parse_wait(text: &str) -> Result<Duration, String> {
    match parse_unsigned(text) {
        Ok(wait) if wait < Duration::from_millis(1) => Err(format!("`{text}` is too short: at least 1 ms")),
        wait => wait.map_err(explain),
    }
}

/// Reads how long an overlap is, in whole seconds; it may be nothing.
pub(super) fn parse_overlap(text: &str) -> Result<u64, String> {
    parse_unsigned(text).map(|overlap| overlap.as_secs()).map_err(explain)
}

fn explain(error: InvalidDuration) -> String {
    let hint = error.hint().map(|hint| format!("; {hint}"));
    format!("{error}{}", hint.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_a_bare_number_is_seconds() {
        assert_eq!(parse_seconds("60"), Ok(60));
        assert_eq!(parse_seconds("-1ms"), Ok(-1));
        assert!(parse_seconds("1h30m").is_err_and(|why| why.contains("1.5h")));
    }

    #[test]
    fn an_overlap_may_be_nothing_but_not_less() {
        assert_eq!((parse_overlap("7d"), parse_overlap("0")), (Ok(604_800), Ok(0)));
        assert!(parse_overlap("-1s").is_err());
    }

    #[test]
    fn a_wait_is_longer_than_nothing() {
        assert_eq!(parse_wait("250ms"), Ok(Duration::from_millis(250)));
        assert!(parse_wait("0").is_err() && parse_wait("-1s").is_err());
    }
}
