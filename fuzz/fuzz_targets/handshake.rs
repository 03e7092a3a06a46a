//! The two messages that a stranger may send, and what one who is dialled may answer: the key, the nonce, the token and
//! the proof in them.
#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coattail::wire::peer::{Authenticate, Authenticated, Hello, Welcome};
use coattail_daemon::keys::{Domain, PublicIdentity};
use coattail_daemon::tokens;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(hello) = serde_json::from_slice::<Hello>(bytes) {
        let _ = STANDARD.decode(&hello.nonce);
        if let Ok(key) = PublicIdentity::from_pem(&hello.identity) {
            // Names one key, whatever else the text says.
            assert_eq!(key.issuer(), PublicIdentity::from_pem(key.pem()).expect("its own text").issuer());
            assert!(key.verify(Domain::new("fuzz"), b"nobody has signed this", bytes).is_err());
        }
    }
    if let Ok(login) = serde_json::from_slice::<Authenticate>(bytes) {
        let _ = STANDARD.decode(&login.proof);
        let _ = tokens::inspect(login.token.reveal());
    }
    if let Ok(welcome) = serde_json::from_slice::<Welcome>(bytes) {
        let _ = (STANDARD.decode(&welcome.nonce), STANDARD.decode(&welcome.proof));
        let _ = PublicIdentity::from_pem(&welcome.identity);
    }
    let _ = serde_json::from_slice::<Authenticated>(bytes);
    // A key alone: it is seldom found inside of JSON.
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = PublicIdentity::from_pem(text);
    }
});
