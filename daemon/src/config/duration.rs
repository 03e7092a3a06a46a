//! Lengths of time as people write them: `90`, `60s`, `1.5 hours`, `2 weeks`, `-1d`.

use std::time::Duration;

use jiff::SignedDuration;

/// A text that is no length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDuration {
    /// Not a number and a unit.
    #[error("`{0}` is no length of time")]
    Malformed(String),
    /// Nobody means this.
    #[error("`{0}` is longer than {MAX_YEARS} years")]
    TooLong(String),
    /// Only where it may not be negative.
    #[error("`{0}` is negative")]
    Negative(String),
}

impl InvalidDuration {
    /// What to try.
    pub fn hint(&self) -> Option<String> {
        Some("write seconds (90) or one number with a unit: 500ms, 60s, 5 min, 1.5h, 7 days, 2w, 1y".to_owned())
    }
}

/// Reads a length of time, which may be negative.
///
/// The grammar is that of the original: a number, blanks, and one unit, without regard to case; no sums
/// and no months. Beyond it, a bare number is seconds, as the original's help promised.
pub fn parse(text: &str) -> Result<SignedDuration, InvalidDuration> {
    let shown = || text.chars().take(MAX_TEXT).collect::<String>();
    let millis = milliseconds(text).ok_or_else(|| InvalidDuration::Malformed(shown()))?;
    if millis.abs() > MAX_YEARS as f64 * YEAR {
        return Err(InvalidDuration::TooLong(shown()));
    }
    Ok(SignedDuration::from_millis(millis.floor() as i64))
}

/// Reads a length of time that is not negative.
pub fn parse_unsigned(text: &str) -> Result<Duration, InvalidDuration> {
    let duration = parse(text)?;
    Duration::try_from(duration).map_err(|_| InvalidDuration::Negative(text.to_owned()))
}

/// Whole seconds, rounded down, also below zero: what tokens count in.
pub fn whole_seconds(duration: SignedDuration) -> i64 {
    duration.as_secs() - i64::from(duration.subsec_nanos() < 0)
}

fn milliseconds(text: &str) -> Option<f64> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, text),
    };
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    let (number, unit) = rest.split_at(end);
    // `f64` takes `1.` and `.`, the grammar does not.
    if number.is_empty() || number.ends_with('.') {
        return None;
    }
    let number: f64 = number.parse().ok()?;
    let unit = unit.trim_start_matches(' ');
    // Blanks that no unit follows are refused.
    if unit.is_empty() && end != rest.len() {
        return None;
    }
    Some(sign * number * unit_in_milliseconds(unit)?)
}

fn unit_in_milliseconds(unit: &str) -> Option<f64> {
    Some(match unit.to_ascii_lowercase().as_str() {
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 1.0,
        "" | "s" | "sec" | "secs" | "second" | "seconds" => 1_000.0,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000.0,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000.0,
        "d" | "day" | "days" => 86_400_000.0,
        "w" | "week" | "weeks" => 604_800_000.0,
        "y" | "yr" | "yrs" | "year" | "years" => YEAR,
        _ => return None,
    })
}

/// The longest text, in bytes; as in the original.
const MAX_TEXT: usize = 100;

/// The longest time: keeps every date that is computed from it within the calendar.
const MAX_YEARS: u32 = 1_000;

/// Milliseconds in a year of 365.25 days, as in the original.
const YEAR: f64 = 31_557_600_000.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_mean_what_they_meant_in_the_original() {
        for (text, seconds) in [
            ("60s", 60),
            ("60 s", 60),
            ("60  s", 60),
            ("1 sec", 1),
            ("2 secs", 2),
            ("1 second", 1),
            ("5 seconds", 5),
            ("1m", 60),
            ("1 min", 60),
            ("3 mins", 180),
            ("2 minutes", 120),
            ("1h", 3600),
            ("1 hr", 3600),
            ("2 hrs", 7200),
            ("1 hour", 3600),
            ("2 hours", 7200),
            ("1d", 86_400),
            ("1 day", 86_400),
            ("2 days", 172_800),
            ("20h", 72_000),
            ("1w", 604_800),
            ("2 weeks", 1_209_600),
            ("1y", 31_557_600),
            ("1 yr", 31_557_600),
            ("2 years", 63_115_200),
            ("100ms", 0),
            ("1500ms", 1),
            ("1 millisecond", 0),
            ("2 msecs", 0),
            ("1.5h", 5400),
            (".5d", 43_200),
            ("0.5 s", 0),
            ("1.9s", 1),
            ("-1d", -86_400),
            ("-1.5s", -2),
            ("-.5s", -1),
            ("1D", 86_400),
            ("1 Week", 604_800),
            ("5 MINUTES", 300),
        ] {
            assert_eq!(parse(text).map(whole_seconds), Ok(seconds), "{text:?}");
        }
    }

    #[test]
    fn c5_a_bare_number_is_seconds() {
        for (text, seconds) in [("0", 0), ("1", 1), ("60", 60), ("-60", -60), ("3600", 3600), ("1.5", 1)] {
            assert_eq!(parse(text).map(whole_seconds), Ok(seconds), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_length_of_time_is_refused() {
        let long = "1".repeat(101);
        for text in [
            "+1d",
            "1mo",
            "1 month",
            "1w2d",
            "1h30m",
            "d",
            "abc",
            " 1d",
            "1d ",
            "1\td",
            "1e3",
            "1,000",
            "0x10",
            "",
            "-",
            ".",
            "1.",
            "1.s",
            "..5s",
            "1.2.3s",
            "--1d",
            "- 1d",
            "60 ",
            "Infinity",
            "NaN",
            "1 fortnight",
            &long,
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(matches!(parse("9999y"), Err(InvalidDuration::TooLong(_))));
        assert!(matches!(parse_unsigned("-1s"), Err(InvalidDuration::Negative(_))));
        assert_eq!(parse_unsigned("250 ms"), Ok(Duration::from_millis(250)));
    }
}
