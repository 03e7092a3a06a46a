//! Where others say that they are, in an answer to a login or in a message of its own.
#![no_main]

use coattail::wire::peer::{Authenticated, Whereabouts};
use coattail_daemon::keys::tls::certificate;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let alone = serde_json::from_slice::<Whereabouts>(bytes).ok();
    let within = serde_json::from_slice::<Authenticated>(bytes).ok().and_then(|answer| answer.whereabouts);
    for stated in [alone, within].into_iter().flatten() {
        let written = serde_json::to_vec(&stated).expect("plain data");
        assert_eq!(serde_json::from_slice::<Whereabouts>(&written).ok().as_ref(), Some(&stated));
        let _ = stated.certificate.as_deref().map(certificate);
    }
});
