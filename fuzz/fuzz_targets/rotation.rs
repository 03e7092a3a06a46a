//! Statements that one identity replaces another, as they come with the first message of a stranger. Nobody has signed
//! what comes here, so it leads nowhere.
//!
//! `OLD` and `NEW` stand for the keys of two instances, which hold still: so the signatures are reached, too.
#![no_main]

use std::sync::LazyLock;

use coattail::wire::peer::Rotation;
use coattail_daemon::keys::rotation::{follow, former};
use coattail_daemon::keys::{Identity, PublicIdentity};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

static KEYS: LazyLock<[Identity; 2]> = LazyLock::new(|| [Identity::generate(), Identity::generate()]);

fuzz_target!(|text: &str| {
    let [old, new] = &*KEYS;
    let in_json = |key: &Identity| key.public_pem().replace('\n', "\\n");
    let text = text.replace("OLD", &in_json(old)).replace("NEW", &in_json(new));
    let Ok(chain) = serde_json::from_str::<Vec<Rotation>>(&text) else { return };
    let now = Timestamp::from_second(1_700_000_000).expect("a time");
    assert!(former(&chain, new.public(), now).is_empty(), "believed: {text}");
    assert!(follow(&chain, old.issuer(), new.public(), now).is_err(), "followed: {text}");
    // Their own keys: here the chain may be whole, as that of a seed is, and then each link leads to the next.
    let Some(presented) = chain.last().and_then(|last| PublicIdentity::from_pem(&last.new).ok()) else { return };
    let links = former(&chain, &presented, now);
    assert!(links.len() <= chain.len());
    assert!(links.last().is_none_or(|last| last.new.issuer() == presented.issuer()));
    for pair in links.windows(2) {
        assert_eq!(pair[0].new.issuer(), pair[1].old.issuer());
    }
});
