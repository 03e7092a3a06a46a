//! How long: the grammar of the original, except that a bare number is in seconds, as its help promised.

use std::time::Duration;

/// The longest text that is read.
const MAX_TEXT: usize = 100;

/// A span of time, which may lie in the past.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Span {
    millis: f64,
}

impl Span {
    /// Whole seconds, rounded down as the original did.
    pub(crate) fn seconds(self) -> i64 {
        #[expect(clippy::cast_possible_truncation, reason = "`parse` bounds it")]
        let seconds = (self.millis / 1000.0).floor() as i64;
        seconds
    }

    /// Reads `90`, `1.5h`, `-10 min`, `2 weeks`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no duration: expected a number and a unit, such as 30s, 10m, 1.5h, 7d");
        let (number, unit) = split(text).ok_or_else(wrong)?;
        let number: f64 = number.parse().map_err(|_| wrong())?;
        let millis = number * unit_millis(&unit.to_ascii_lowercase()).ok_or_else(wrong)?;
        // 1000 years; beyond it, times have no RFC 3339 form.
        if millis.abs() > 1000.0 * YEAR {
            return Err(format!("`{text}` is more than 1000 years"));
        }
        Ok(Self { millis })
    }
}

/// Reads how long to wait, which cannot be in the past.
pub(crate) fn parse_wait(text: &str) -> Result<Duration, String> {
    let span = Span::parse(text)?;
    if span.millis < 1.0 {
        return Err(format!("`{text}` is too short: at least 1 ms"));
    }
    Ok(Duration::from_secs_f64(span.millis / 1000.0))
}

/// The number and the unit of a text that follows the grammar.
fn split(text: &str) -> Option<(&str, &str)> {
    if text.len() > MAX_TEXT {
        return None;
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let sign = text.len() - digits.len();
    let end = sign + digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    let number = &text[..end];
    let fraction_is_whole = match number[sign..].split_once('.') {
        Some((_, fraction)) => !fraction.is_empty() && !fraction.contains('.'),
        None => end > sign,
    };
    fraction_is_whole.then(|| (number, text[end..].trim_start_matches(' ')))
}

const SECOND: f64 = 1000.0;
const MINUTE: f64 = 60.0 * SECOND;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;
const YEAR: f64 = 365.25 * DAY;

fn unit_millis(unit: &str) -> Option<f64> {
    Some(match unit {
        "ms" | "msec" | "msecs" | "millisecond" | "milliseconds" => 1.0,
        "" | "s" | "sec" | "secs" | "second" | "seconds" => SECOND,
        "m" | "min" | "mins" | "minute" | "minutes" => MINUTE,
        "h" | "hr" | "hrs" | "hour" | "hours" => HOUR,
        "d" | "day" | "days" => DAY,
        "w" | "week" | "weeks" => 7.0 * DAY,
        "y" | "yr" | "yrs" | "year" | "years" => YEAR,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn c5_a_bare_number_is_seconds() {
        for (text, seconds) in [
            ("60", 60),
            ("1.5", 1),
            ("0", 0),
            ("60s", 60),
            ("60  s", 60),
            ("1 Hour", 3600),
            (".5m", 30),
            ("-5 min", -300),
            ("-1ms", -1),
            ("1500ms", 1),
            ("2 weeks", 1_209_600),
            ("1y", 31_557_600),
        ] {
            assert_eq!(Span::parse(text).map(Span::seconds), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_is_refused() {
        for text in
            ["", "-", ".", "1.", "1.2.3s", "s", "1h30m", "1 month", " 1s", "1s ", "+1", "1e3", "--json", "1001y"]
        {
            assert!(Span::parse(text).is_err(), "{text:?}");
        }
        assert!(Span::parse(&format!("{}s", "0".repeat(100))).is_err());
        assert!(parse_wait("0").is_err());
        assert!(parse_wait("-1s").is_err());
        assert_eq!(parse_wait("250ms"), Ok(Duration::from_millis(250)));
    }
}
