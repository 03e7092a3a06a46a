use std::path::Path;

use coattail::wire::doctor::{Finding, Level};
use jiff::Timestamp;

use super::expiry::Ending;
use super::finding::Area;
use crate::config::{Authentication, Config, KeyFiles, TlsFiles};
use crate::keys::TlsIdentity;

const AREA: Area = Area("keys");

/// Modes and halves of each pair, and the end of the certificate.
pub(super) fn check(config: &Config, now: Timestamp) -> Vec<Finding> {
    let mut findings = vec![pair(&config.validation), authentication(&config.authentication)];
    if let Some(tls) = &config.tls {
        findings.extend(certificate(tls, now));
    } else {
        let message = "TLS is off: others on the way can read what is sent";
        findings.push(AREA.warning("TLS", message, "set `service.tls.enabled` to true in config.yml"));
    }
    findings
}

fn pair(files: &KeyFiles) -> Finding {
    match files.load() {
        Ok(_) => AREA.ok(name(&files.private), "only its owner can read it, and its halves belong together"),
        Err(error) => AREA.failed(name(&files.private), error),
    }
}

fn authentication(key: &Authentication) -> Finding {
    match key {
        Authentication::Files(files) => pair(files),
        Authentication::Secret(secret) if secret.is_short() => {
            let message = "it is so short that it can be guessed from any token";
            AREA.warning(SECRET, message, "use a key pair, or at least 32 random bytes")
        }
        Authentication::Secret(_) => AREA.ok(SECRET, "it is long enough"),
    }
}

fn certificate(TlsFiles { key, cert }: &TlsFiles, now: Timestamp) -> Vec<Finding> {
    let tls = match TlsIdentity::load(key, cert) {
        Ok(tls) => tls,
        Err(error) => return vec![AREA.failed(name(key), error)],
    };
    let ok = match tls.short_rsa_bits() {
        None => AREA.ok(name(key), "only its owner can read it, and it belongs to the certificate"),
        Some(bits) => AREA.warning(name(key), format!("is an RSA key of {bits} bits, which can be factored"), RENEW),
    };
    let Some((from, until)) = tls.chain.first().and_then(|first| validity(first)) else {
        return vec![ok, AREA.failure(name(cert), "its dates make no sense", RENEW)];
    };
    if from > now {
        return vec![
            ok,
            AREA.failure(name(cert), format!("is valid from {from} on"), "check the clock of this machine"),
        ];
    }
    let ending = Ending { area: AREA, ended: Level::Warning, hint: RENEW };
    vec![
        ok,
        ending
            .check(name(cert), Some(until), now)
            .unwrap_or_else(|| AREA.ok(name(cert), format!("is valid until {until}"))),
    ]
}

fn validity(certificate: &[u8]) -> Option<(Timestamp, Timestamp)> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let at = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    Some((at(parsed.validity().not_before)?, at(parsed.validity().not_after)?))
}

/// The name of a file, without the folders that everybody knows.
fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

/// A secret stands in the settings themselves.
const SECRET: &str = "the secret of `authentication`";

/// Tokens pin the certificate, and so does whoever added a peer before.
const RENEW: &str = "`coattail keys rotate tls` makes a new pair, and tells those who expect this one";

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::instance::NewInstance;
    use crate::keys::Identity;
    use crate::legacy_vectors::data;

    fn levels(findings: &[Finding]) -> Vec<(&str, Level)> {
        findings.iter().map(|finding| (finding.subject.as_str(), finding.level)).collect()
    }

    #[test]
    fn a_key_of_the_originals_manual_is_warned_of() {
        let dir = tempfile::tempdir().unwrap();
        let half = |half| data::private(dir.path(), &format!("tls/rsa1024-{half}.pem"));
        let files = TlsFiles { key: half("key"), cert: half("cert") };
        let found = certificate(&files, Timestamp::now());
        assert_eq!((found[0].level, found[0].subject.as_str()), (Level::Warning, "rsa1024-key.pem"));
        assert!(found[0].message.contains("1024 bits"), "{:?}", found[0]);
    }

    #[test]
    fn each_fault_of_a_key_is_found_and_hinted_at() {
        let dir = tempfile::tempdir().unwrap();
        let instance = NewInstance::default().create(&dir.path().join("i"), |_| Ok::<_, std::io::Error>(())).unwrap();
        let config = Config::load(instance.root()).unwrap();
        let now = Timestamp::now();
        let well = [
            ("vt-key.pem", Level::Ok),
            ("auth-key.pem", Level::Ok),
            ("tls-key.pem", Level::Ok),
            ("tls-cert.pem", Level::Ok),
        ];
        assert_eq!(levels(&check(&config, now)), well);

        fs::set_permissions(&config.validation.private, Permissions::from_mode(0o644)).unwrap();
        Identity::generate().save(&dir.path().join("other"), &instance.keys().join("auth-key.pub")).unwrap();
        let in_ten_years = now + jiff::SignedDuration::from_hours(24 * 365 * 10 - 24 * 5);
        let found = check(&config, in_ten_years);
        assert_eq!(
            levels(&found),
            [
                ("vt-key.pem", Level::Failure),
                ("auth-key.pem", Level::Failure),
                ("tls-key.pem", Level::Ok),
                ("tls-cert.pem", Level::Warning)
            ]
        );
        assert!(found[0].hint.as_ref().unwrap().starts_with("chmod 600 "), "{:?}", found[0]);
        assert!(found.iter().filter(|finding| finding.level != Level::Ok).all(|finding| finding.hint.is_some()));

        fs::remove_file(&config.tls.as_ref().unwrap().cert).unwrap();
        assert_eq!(levels(&check(&config, now))[2..], [("tls-key.pem", Level::Failure)]);
    }
}
