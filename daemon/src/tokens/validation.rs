//! Validation tokens: they carry the public key of an instance, so that tokens can be bound to it.
//!
//! Ours are signed by that very key, which proves that whoever made one has the private half. Those of the
//! original are not signed; they are read by a function of their own.

use coattail::id::{IssuerHash, ValidationId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::compact::Compact;
use super::issue::sign;
use super::wire::{parse, validity};
use super::{TokenError, Validity};
use crate::keys::{Identity, PublicIdentity};

/// What a validation token says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationToken {
    /// The key.
    pub key: PublicIdentity,
    /// When it may be used. Not checked when it is read, so that one that has expired can still be
    /// listed and removed.
    pub validity: Validity,
}

impl ValidationToken {
    /// Names the instance whose key it is.
    pub fn issuer(&self) -> IssuerHash {
        self.key.issuer()
    }
}

/// Makes a validation token of this instance.
pub fn issue(identity: &Identity, validity: Validity) -> Result<String, TokenError> {
    let issuer = identity.issuer().to_string();
    let claims = RawValidation {
        key_type: Some(FILE.to_owned()),
        public_key: Some(identity.public_pem().to_owned()),
        iat: Some(validity.issued.as_second()),
        nbf: Some(validity.not_before.as_second()),
        exp: validity.expires.map(Timestamp::as_second),
        aud: issuer.clone(),
        iss: Some(issuer),
    };
    sign(&claims, identity.jwt_signer())
}

/// Reads a validation token that is signed by the key that it carries.
pub fn read(token: &str) -> Result<ValidationToken, TokenError> {
    let compact = Compact::parse(token.trim())?;
    let validation = ValidationToken::try_from(compact.unverified::<RawValidation>()?)?;
    compact.verify(&validation.key.jwt_verifier())?;
    Ok(validation)
}

/// Reads an unsigned validation token, as the original made them. It proves nothing: the owner who adds
/// it vouches for it. Never to be called with what came over a wire.
pub fn read_unsigned_of_original(token: &str) -> Result<ValidationToken, TokenError> {
    let compact = Compact::parse(token.trim())?;
    if !compact.is_unsigned() {
        return Err(TokenError::NotValidation);
    }
    compact.unverified::<RawValidation>()?.try_into()
}

/// Reads a validation token that its owner has stored: signed, or one of the original.
pub fn read_stored(token: &str) -> Result<ValidationToken, TokenError> {
    if Compact::parse(token.trim())?.is_unsigned() { read_unsigned_of_original(token) } else { read(token) }
}

/// Which of the stored validation tokens vouch for a key that was proven: the bearers `vt://ID` that a
/// connection satisfies. One that is expired, or of another key, concerns only itself.
pub fn proven<'a>(
    key: &PublicIdentity,
    stored: impl IntoIterator<Item = (ValidationId, &'a ValidationToken)>,
    now: Timestamp,
) -> Vec<ValidationId> {
    stored
        .into_iter()
        .filter(|(_, token)| token.key.is_same_key(key) && token.validity.check(now).is_ok())
        .map(|(id, _)| id)
        .collect()
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawValidation {
    key_type: Option<String>,
    public_key: Option<String>,
    iat: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<i64>,
    #[serde(skip_deserializing)]
    aud: String,
    iss: Option<String>,
}

impl TryFrom<RawValidation> for ValidationToken {
    type Error = TokenError;

    fn try_from(raw: RawValidation) -> Result<Self, TokenError> {
        let Some(public_key) = raw.public_key else { return Err(TokenError::NotValidation) };
        match raw.key_type.as_deref() {
            Some(FILE) => {}
            Some("string") => return Err(TokenError::SharedSecret),
            _ => return Err(TokenError::Malformed { claim: "keyType" }),
        }
        let key = PublicIdentity::from_pem(&public_key).map_err(|_| TokenError::UnusableKey)?;
        // Whoever it names must be whose key it is.
        if parse::<IssuerHash>(raw.iss.as_deref(), "iss")? != key.issuer() {
            return Err(TokenError::Malformed { claim: "iss" });
        }
        Ok(Self { key, validity: validity(raw.iat, raw.nbf, raw.exp)? })
    }
}

/// The only kind of key there is here; the other one of the original is a shared secret.
const FILE: &str = "file";

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use serde_json::{Value, json};

    use super::super::{Bearer, Evidence, Source};
    use super::*;
    use crate::legacy_vectors::data;

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    fn body(identity: &Identity) -> Value {
        let issuer = identity.issuer().to_string();
        json!({"keyType": "file", "publicKey": identity.public_pem(), "iat": 1, "nbf": 1, "aud": issuer, "iss": issuer})
    }

    fn unsigned(claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&json!({"alg": "none", "typ": "JWT"})), part(claims))
    }

    #[test]
    fn a_validation_token_is_signed_by_the_key_it_carries() {
        let identity = Identity::generate();
        let validity = Validity::starting(now(), 0, Some(60)).unwrap();
        let token = issue(&identity, validity).unwrap();
        let read = read(&token).unwrap();
        assert_eq!((read.issuer(), read.validity), (identity.issuer(), validity));
        assert_eq!(read.key.pem(), identity.public_pem());
    }

    #[test]
    fn s6_a_key_without_its_private_half_is_not_believed() {
        let (victim, attacker) = (Identity::generate(), Identity::generate());
        let malformed = |claim| TokenError::Malformed { claim };
        let changed = |key: &str, value: Value| {
            let mut claims = body(&victim);
            claims[key] = value;
            sign(&claims, victim.jwt_signer()).unwrap()
        };
        // Signatures as the original sent them, which anyone who saw one could replay.
        let signature = sign(&json!({"iat": 1}), victim.jwt_signer()).unwrap();
        for (name, token, expected) in [
            ("signed by another", sign(&body(&victim), attacker.jwt_signer()).unwrap(), TokenError::BadSignature),
            (
                "unsigned",
                unsigned(&body(&victim)),
                TokenError::Algorithm { found: "none".to_owned(), expected: "EdDSA" },
            ),
            ("names another", changed("iss", json!(attacker.issuer().to_string())), malformed("iss")),
            ("names nobody", changed("iss", Value::Null), malformed("iss")),
            ("no key", changed("publicKey", json!("")), TokenError::UnusableKey),
            ("other type", changed("keyType", json!("x")), malformed("keyType")),
            ("signature", signature, TokenError::NotValidation),
            ("garbage", "x".to_owned(), TokenError::Garbage),
        ] {
            assert_eq!(read(&token), Err(expected), "{name}");
        }
    }

    #[test]
    fn s10_a_shared_secret_is_refused() {
        let mut claims = body(&Identity::generate());
        claims["keyType"] = json!("string");
        claims["publicKey"] = json!("hunter2");
        let error = read_unsigned_of_original(&unsigned(&claims)).unwrap_err();
        assert_eq!(error, TokenError::SharedSecret);
        assert!(!format!("{error:?} {error}").contains("hunter2"));
    }

    #[test]
    fn unsigned_tokens_are_read_only_where_they_are_asked_for() {
        let identity = Identity::generate();
        let token = unsigned(&body(&identity));
        assert_eq!(read_unsigned_of_original(&token).unwrap().issuer(), identity.issuer());
        assert!(read(&token).is_err());
        // Not a way around a signature that is there and wrong.
        assert_eq!(read_unsigned_of_original(&format!("{token}AAAA")), Err(TokenError::NotValidation));
        let signed = issue(&identity, Validity::endless(now())).unwrap();
        assert_eq!(read_unsigned_of_original(&signed), Err(TokenError::NotValidation));
    }

    #[test]
    fn r8_an_expired_validation_token_concerns_only_its_own_bearer() {
        let identity = Identity::generate();
        let hour_ago = Timestamp::from_second(now().as_second() - 3600).unwrap();
        let expired = issue(&identity, Validity::starting(hour_ago, 0, Some(60)).unwrap()).unwrap();
        // It is still read, so that it can be listed and removed.
        let expired = read(&expired).unwrap();
        let valid = read(&issue(&identity, Validity::endless(now())).unwrap()).unwrap();
        let foreign = read(&issue(&Identity::generate(), Validity::endless(now())).unwrap()).unwrap();
        let ids = [ValidationId::new(), ValidationId::new(), ValidationId::new()];
        let stored = ids.into_iter().zip([&expired, &foreign, &valid]);

        let mut evidence = Evidence::new(Source::Local, Some(identity.public().clone()));
        evidence.validations = proven(identity.public(), stored, now());
        let satisfied = ids.map(|id| Bearer::Validation(id).is_satisfied_by(&evidence));
        assert_eq!(satisfied, [false, false, true]);
        // Found, but by a connection that has proven nothing.
        evidence.key = None;
        assert!(!Bearer::Validation(ids[2]).is_satisfied_by(&evidence));
    }

    #[test]
    fn an_rsa_identity_signs_its_validation_token_and_is_proven_by_one() {
        let identity = data::identity("other-vt-key");
        let token = issue(&identity, Validity::endless(now())).unwrap();
        let read = read(&token).unwrap();
        assert_eq!(read.issuer(), identity.issuer());
        let unsigned = read_unsigned_of_original(&unsigned(&body(&identity))).unwrap();
        let ids = [ValidationId::new(), ValidationId::new()];
        let found = |key: &PublicIdentity| proven(key, ids.into_iter().zip([&read, &unsigned]), now());
        assert_eq!(found(identity.public()), ids);
        assert_eq!(found(data::identity("demo-vt-key").public()), []);
        let attacker = sign(&body(&identity), data::identity("demo-vt-key").jwt_signer()).unwrap();
        assert_eq!(super::read(&attacker), Err(TokenError::BadSignature));
        let attacker = sign(&body(&identity), Identity::generate().jwt_signer()).unwrap();
        assert!(matches!(super::read(&attacker), Err(TokenError::Algorithm { .. })));
    }
}
