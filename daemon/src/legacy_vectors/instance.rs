use std::collections::HashMap;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use coattail::name::{ActionName, ReceiverName};
use serde_json::{Value, json};

use super::data;
use crate::config::file::ConfigFile;
use crate::config::{Authentication, Config};
use crate::keys::{KeyError, TokenKey};
use crate::tokens::{Use, inspect, issue, validation, verify};

const ROOT: &str = "/srv/coattail/demo";

fn config() -> Config {
    let root = Path::new(ROOT);
    let file = ConfigFile::parse(&data::text("config.yml"), &root.join("config.yml")).unwrap();
    Config::resolve(file, root).unwrap()
}

#[test]
fn its_settings_are_read() {
    let config = config();
    assert_eq!(u64::from(config.port), data::json("instance.json")["port"].as_u64().unwrap());
    assert_eq!(config.tls, None);
    assert_eq!(config.validation.private, Path::new(ROOT).join("keys/vt-key.pem"));
    assert!(
        matches!(config.authentication, Authentication::Files(files) if files.public.ends_with("keys/auth-key.pub"))
    );
}

/// S9: the original left its private keys open to everyone, so that they are refused until somebody has closed them.
#[test]
fn its_keys_are_used_once_they_are_private() {
    let dir = tempfile::tempdir().unwrap();
    let exposed = dir.path().join("exposed.pem");
    crate::keys::file::write_public(&exposed, &data::text("keys/demo-vt-key.pem")).unwrap();
    let mut files = data::pair(dir.path(), "demo-vt-key");
    let private = std::mem::replace(&mut files.private, exposed);
    assert!(matches!(files.load(), Err(KeyError::Exposed { .. })));

    files.private = private;
    let identity = files.load().unwrap();
    assert_eq!(identity.issuer().to_string(), data::json("instance.json")["issuer"]);
    let Ok(TokenKey::Pair(signer)) = Authentication::Files(data::pair(dir.path(), "demo-auth-key")).load() else {
        panic!("a pair of the original")
    };
    assert_ne!(signer.issuer(), identity.issuer());
}

#[test]
fn its_names_are_names() {
    let instance = data::json("instance.json");
    for name in data::list(&instance, "actions") {
        ActionName::new(name.as_str().unwrap()).unwrap();
    }
    for name in data::list(&instance, "receivers") {
        ReceiverName::new(name.as_str().unwrap()).unwrap();
    }
}

/// Of every kind of row, the claims that ours are made of; `data.db` itself is for whoever imports it.
#[test]
fn its_rows_say_what_they_said() {
    let instance = data::json("instance.json");
    let rows = &instance["rows"];
    // To read claims without the signature that belongs to them; nothing here believes them.
    let unsigned = |claims: &Value| {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(claims))
    };
    let mut seen = HashMap::new();
    for kind in ["peers", "issued", "subscriptions"] {
        for row in data::list(rows, kind) {
            let claims = inspect(&unsigned(&row["claims"])).unwrap().into_claims();
            assert_eq!(claims.id.to_string(), row["claims"]["jti"]);
            assert_eq!(claims.issuer.to_string(), row["claims"]["iss"]);
            // At a publisher, the id of a row is not that of the token.
            assert_eq!(row["id"] == row["claims"]["jti"], kind == "issued", "{row}");
            *seen.entry((kind, matches!(claims.usage, Use::Authentication(_)))).or_insert(0) += 1;
        }
    }
    let expected = [(("peers", true), 1), (("issued", true), 4), (("issued", false), 1), (("subscriptions", false), 1)];
    assert_eq!(seen, HashMap::from(expected));
    for row in data::list(rows, "validations") {
        let token = validation::read_unsigned_of_original(&unsigned(&row["claims"])).unwrap();
        assert_eq!(token.issuer().to_string(), row["claims"]["iss"]);
    }
}

#[test]
fn tokens_that_it_issues_now_are_of_the_same_kind() {
    let signer = TokenKey::from(data::identity("demo-auth-key"));
    let tokens = data::json("tokens.json");
    let original = &tokens["tokens"]["authentication_default"];
    let claims = inspect(original["jwt"].as_str().unwrap()).unwrap().into_claims();
    let token = issue(&claims, &signer).unwrap();
    let part = |n| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(n).unwrap()).unwrap()).unwrap()
    };
    assert_eq!(part(0), json!({"alg": "RS256", "typ": "JWT", "kid": signer.verifier().key_id()}));
    let mut body = part(1);
    body.as_object_mut().unwrap().remove("addresses");
    assert_eq!(body, original["claims"]);
    let now = claims.validity.issued;
    assert_eq!(verify(&token, &[signer.verifier()], &[claims.issuer], now), Ok(claims));
}
