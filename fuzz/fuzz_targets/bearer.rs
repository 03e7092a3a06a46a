//! Bearers, which come inside of tokens. What is written into a token is what was read, and matches the same.
#![no_main]

use std::net::IpAddr;

use coattail_daemon::tokens::{Bearer, Evidence, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, IpAddr)| {
    let (text, from) = input;
    let bearer = Bearer::parse(text);
    let written = Bearer::parse(&bearer.to_string());
    let satisfied = |bearer: &Bearer, source| bearer.is_satisfied_by(&Evidence::new(source, None));
    for source in [Source::Network(from), Source::Local] {
        assert_eq!(satisfied(&bearer, source), satisfied(&written, source), "{bearer}");
    }
    assert_eq!(bearer, written);
    match bearer {
        Bearer::Unknown(_) => {
            assert!(!satisfied(&bearer, Source::Network(from)));
            assert!(text.parse::<Bearer>().is_err());
        }
        Bearer::Validation(_) => assert!(!satisfied(&bearer, Source::Network(from)), "nobody has proven a key"),
        Bearer::Network(_) => {}
    }
});
