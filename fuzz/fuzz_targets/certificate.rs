//! Certificates: those in tokens and in what others say of where they are, and the one that whoever was dialled presents.
#![no_main]

use coattail_daemon::keys::tls::{certificate, fingerprint, rsa_bits};
use libfuzzer_sys::fuzz_target;
use x509_parser::parse_x509_certificate;

fuzz_target!(|bytes: &[u8]| {
    read(bytes);
    // As text: what is pinned has one name, whatever stands around it.
    if let Some(pinned) = std::str::from_utf8(bytes).ok().and_then(|text| certificate(text).ok()) {
        assert_eq!(fingerprint(&pinned).len(), 32);
        read(&pinned);
    }
});

/// As a certificate is looked at before its key verifies anything.
fn read(der: &[u8]) {
    if let Ok((_, parsed)) = parse_x509_certificate(der) {
        let _ = rsa_bits(&parsed);
        let (from, until) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        let _ = (from..=until).contains(&1_700_000_000);
        assert!(parsed.public_key().raw.len() <= der.len());
    }
}
