//! Where in a log to begin, as an option.

use coattail::wire::places::Beginning;
use jiff::Timestamp;

use super::duration::parse_wait;

/// What `--from` takes, for its help.
pub(super) const FORMS: &str = "start|now|SEQUENCE|TIME";

/// Reads `start`, `now`, a sequence, a time, or how long ago that is.
pub(super) fn parse_beginning(text: &str) -> Result<Beginning, String> {
    read(text, Timestamp::now())
}

fn read(text: &str, now: Timestamp) -> Result<Beginning, String> {
    match text {
        "start" => return Ok(Beginning::Start),
        "now" => return Ok(Beginning::Now),
        _ => {}
    }
    if let Ok(sequence) = text.parse::<u64>() {
        return match sequence {
            0 => Err("the first publication has the number 1; `start` is the first that is kept".to_owned()),
            sequence => Ok(Beginning::Sequence(sequence)),
        };
    }
    let time = match text.parse::<Timestamp>() {
        Ok(time) => time,
        Err(_) => parse_wait(text).ok().and_then(|ago| now.checked_sub(ago).ok()).ok_or_else(|| {
            format!("`{text}` is no `start`, no `now`, no sequence (12), no time (2026-11-20T18:00:00Z), and no length of time ago (2h)")
        })?,
    };
    if time > now {
        return Err(format!("`{text}` is still to come; `now` begins with what is published next"));
    }
    Ok(Beginning::Time(time.as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_is_a_word_a_sequence_or_a_time() {
        let now: Timestamp = "2026-11-20T18:00:00Z".parse().expect("a time");
        let ago = |seconds: i64| Ok(Beginning::Time(now.as_millisecond() - seconds * 1000));
        for (text, expected) in [
            ("start", Ok(Beginning::Start)),
            ("now", Ok(Beginning::Now)),
            ("12", Ok(Beginning::Sequence(12))),
            ("2h", ago(7200)),
            ("1.5 days", ago(129_600)),
            ("2026-11-20T17:59:00Z", ago(60)),
            ("2026-11-20T18:59:00+01:00", ago(60)),
        ] {
            assert_eq!(read(text, now), expected, "{text}");
        }
        for (text, why) in [
            ("0", "the number 1"),
            ("2026-11-20T18:00:01Z", "still to come"),
            ("Start", "is no `start`"),
            ("-2h", "is no `start`"),
            ("", "is no `start`"),
            ("99999999999999999999", "is no `start`"),
        ] {
            assert!(read(text, now).is_err_and(|message| message.contains(why)), "{text}");
        }
    }
}
