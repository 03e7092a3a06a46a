//! Bearers, which come inside of tokens. What is written into a token is what was read, and matches the same.
//!
//! The first line is the bearer, the second the address of somebody who connects.
#![no_main]

use std::net::{IpAddr, Ipv4Addr};

use coattail_daemon::tokens::{Bearer, Evidence, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &str| {
    let (text, from) = input.split_once('\n').unwrap_or((input, ""));
    let from: IpAddr = from.parse().unwrap_or(Ipv4Addr::LOCALHOST.into());
    let bearer = Bearer::parse(text);
    let written = Bearer::parse(&bearer.to_string());
    assert_eq!(bearer, written);
    let satisfied = |bearer: &Bearer, source| bearer.is_satisfied_by(&Evidence::new(source, None));
    for source in [Source::Network(from), Source::Local] {
        assert_eq!(satisfied(&bearer, source), satisfied(&written, source), "{bearer}");
    }
    match bearer {
        Bearer::Unknown(_) => {
            assert!(!satisfied(&bearer, Source::Network(from)));
            assert!(text.parse::<Bearer>().is_err());
        }
        Bearer::Validation(_) => assert!(!satisfied(&bearer, Source::Network(from)), "nobody has proven a key"),
        Bearer::Network(_) => {}
    }
});
