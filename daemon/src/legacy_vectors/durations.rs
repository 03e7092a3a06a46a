use coattail::wire::control::IssueToken;
use jiff::Timestamp;
use serde_json::json;

use super::data;
use crate::config::duration::{parse, whole_seconds};
use crate::tokens::Validity;

/// Text, seconds that we make of it, why. All other texts mean what they meant.
const OURS: [(&str, i64, &str); 6] =
    [("1", 1, C5), ("60", 60, C5), ("999", 999, C5), ("1000", 1_000, C5), ("1500", 1_500, C5), ("3600", 3_600, C5)];

const C5: &str = "C5: a bare number was milliseconds, and seconds said the help";

#[test]
fn texts_mean_what_they_meant_in_the_original() {
    let vectors = data::json("durations.json");
    let mut exceptions = 0;
    for case in data::list(&vectors, "strings") {
        let text = case["input"].as_str().unwrap();
        // None: refused.
        let original = case["seconds"].as_i64();
        assert_eq!(original.is_none(), case["error"] == true);
        let ours = OURS.iter().find(|(other, ..)| *other == text);
        exceptions += usize::from(ours.is_some());
        if let Some((_, seconds, reason)) = ours {
            assert_ne!(Some(*seconds), original, "no exception: {reason}");
        }
        let expected = ours.map_or(original, |(_, seconds, _)| Some(*seconds));
        assert_eq!(parse(text).ok().map(whole_seconds), expected, "{text:?}");
    }
    assert_eq!(exceptions, OURS.len(), "every exception is a case");
}

#[test]
fn numbers_are_whole_seconds_as_in_the_original() {
    let vectors = data::json("durations.json");
    let now = Timestamp::from_second(vectors["iat"].as_i64().unwrap()).unwrap();
    for case in data::list(&vectors, "numbers") {
        let input = &case["input"];
        let request = serde_json::from_value::<IssueToken>(json!({"not_before": input, "expires_in": input})).ok();
        let ours = request.map(|request| {
            let validity = Validity::starting(now, request.not_before.unwrap(), request.expires_in).unwrap();
            assert_eq!(validity.expires, Some(validity.not_before));
            validity.not_before.as_second() - now.as_second()
        });
        assert_eq!(ours, case["seconds"].as_i64(), "{input}");
    }
}
