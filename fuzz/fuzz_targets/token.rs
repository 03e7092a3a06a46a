//! Tokens of every kind. Nobody has signed what comes here, so nothing of it may be believed.
#![no_main]

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coattail_daemon::keys::{Identity, TokenKey};
use coattail_daemon::tokens::{inspect, validation, verify};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

static KEYS: LazyLock<(Identity, TokenKey)> =
    LazyLock::new(|| (Identity::generate(), TokenKey::from(Identity::generate())));

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    read(text);
    // As claims, behind a header that passes and with a signature that does not: so what is inside is reached, too.
    let (identity, signer) = &*KEYS;
    let claims = text.replace("ISSUER", &identity.issuer().to_string());
    for head in ["{\"alg\":\"EdDSA\"}".to_owned(), format!("{{\"alg\":\"EdDSA\",\"kid\":\"{}\"}}", signer.verifier().key_id())] {
        read(&format!("{}.{}.{}", encode(&head), encode(&claims), encode("not a signature")));
    }
    read(&format!("{}.{}.", encode("{\"alg\":\"none\"}"), encode(&claims)));
});

fn read(token: &str) {
    let (identity, signer) = &*KEYS;
    let now = Timestamp::from_second(1_700_000_000).expect("a time");
    assert!(verify(token, &[signer.verifier()], &[identity.issuer()], now).is_err(), "believed: {token}");
    if let Ok(read) = inspect(token) {
        let _ = format!("{:?}", read.claims());
    }
    let _ = (validation::read(token), validation::read_stored(token));
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}
