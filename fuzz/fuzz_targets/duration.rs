//! Lengths of time.
#![no_main]

use coattail_daemon::config::duration::{parse, parse_unsigned, whole_seconds};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match parse(text) {
        Ok(length) => {
            let _ = whole_seconds(length);
            assert_eq!(parse_unsigned(text).is_ok(), !length.is_negative(), "{text}");
        }
        Err(error) => {
            assert!(parse_unsigned(text).is_err(), "{text}");
            assert!(error.to_string().len() < 1_000 && error.hint().is_some());
        }
    }
});
