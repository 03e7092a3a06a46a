//! Addresses of peers, which come inside of tokens.
#![no_main]

use coattail::address::PeerAddress;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(address) = text.parse::<PeerAddress>() {
        let written = address.to_string();
        assert_eq!(written.parse::<PeerAddress>().as_ref(), Ok(&address), "{written}");
    }
});
