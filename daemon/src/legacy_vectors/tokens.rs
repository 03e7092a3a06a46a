use coattail::id::IssuerHash;
use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::Value;

use super::data;
use crate::keys::{PublicIdentity, TokenVerifier};
use crate::tokens::{Claims, TokenError, Use, inspect, validation, verify};

/// What becomes of a token at the instance that issued it.
enum Ours {
    /// Its signature and times hold; the row and the bearer decide.
    Verified,
    /// For this many seconds, and not an hour later. The original allowed clocks no difference, we allow a minute.
    VerifiedFor(i64),
    /// Read by whoever adds it by hand, and by nothing that comes over a wire.
    UnsignedValidation,
    /// S6: a signature that holds for ever, at every host. Nothing takes one.
    Refused(TokenError),
}

/// Name, whether the original takes it, and what we do.
fn cases() -> [(&'static str, bool, Ours); 10] {
    [
        ("authentication_vt", true, Ours::Verified),
        ("authentication_default", true, Ours::Verified),
        ("authentication_limited", true, Ours::VerifiedFor(14 * 24 * 3600)),
        // It has no row any more: the store's affair, at both.
        ("authentication_revoked", false, Ours::Verified),
        ("authentication_expired", false, Ours::VerifiedFor(1)),
        ("authentication_for_demo", true, Ours::Verified),
        ("publisher_authentication", true, Ours::Verified),
        ("validation_other", true, Ours::UnsignedValidation),
        ("validation_from_demo", true, Ours::UnsignedValidation),
        ("signature_of_other", true, Ours::Refused(TokenError::Malformed { claim: "iss" })),
    ]
}

fn key(path: &str) -> PublicIdentity {
    let name = path.rsplit_once('/').unwrap().1;
    let name = if name.starts_with("other-") { name.to_owned() } else { format!("demo-{name}") };
    PublicIdentity::from_pem(&data::text(&format!("keys/{name}"))).unwrap()
}

#[test]
fn tokens_of_the_original_are_taken() {
    let vectors = data::json("tokens.json");
    assert_eq!(vectors["tokens"].as_object().unwrap().len(), cases().len(), "every token is a case");
    for (name, _, ours) in cases() {
        let token = &vectors["tokens"][name];
        let jwt = token["jwt"].as_str().unwrap();
        let issuer: IssuerHash =
            vectors["issuers"][token["issued_by"].as_str().unwrap()].as_str().unwrap().parse().unwrap();
        let keys: Vec<TokenVerifier> = token["verify_with"].as_str().map(key).into_iter().map(Into::into).collect();
        let issued = Timestamp::from_second(token["claims"]["iat"].as_i64().unwrap()).unwrap();
        let at = |seconds| verify(jwt, &keys, &[issuer], issued + SignedDuration::from_secs(seconds));
        match ours {
            Ours::Verified => {
                check_claims(name, &at(10 * 365 * 24 * 3600).unwrap(), &token["claims"]);
                assert_eq!(at(-3600), Err(TokenError::NotYetValid { from: issued }), "{name}");
            }
            Ours::VerifiedFor(seconds) => {
                check_claims(name, &at(seconds - 1).unwrap(), &token["claims"]);
                assert!(matches!(at(seconds + 3600), Err(TokenError::Expired { .. })), "{name}");
            }
            Ours::UnsignedValidation => {
                let read = validation::read_unsigned_of_original(jwt).unwrap();
                assert_eq!((read.issuer(), read.key.pem()), (issuer, token["claims"]["publicKey"].as_str().unwrap()));
                assert!(matches!(validation::read(jwt), Err(TokenError::Algorithm { .. })), "{name}");
                assert!(at(0).is_err() && verify(jwt, &[read.key.into()], &[issuer], issued).is_err(), "{name}");
            }
            Ours::Refused(error) => {
                assert_eq!(at(0), Err(error), "{name}");
                assert_eq!(validation::read(jwt), Err(TokenError::NotValidation));
                assert_eq!(validation::read_unsigned_of_original(jwt), Err(TokenError::NotValidation));
                // Though it is intact.
                let pem = key(token["verify_with"].as_str().unwrap()).pem().to_owned();
                let mut only_signature = Validation::new(Algorithm::RS256);
                only_signature.required_spec_claims.clear();
                only_signature.validate_exp = false;
                let key = DecodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
                jsonwebtoken::decode::<Value>(jwt, &key, &only_signature).unwrap();
            }
        }
    }
}

/// Of another instance, of another key, changed: as in the original.
#[test]
fn what_the_original_refused_is_refused() {
    let vectors = data::json("tokens.json");
    let jwt = |name: &str| vectors["tokens"][name]["jwt"].as_str().unwrap();
    let issuer = |name: &str| -> IssuerHash { vectors["issuers"][name].as_str().unwrap().parse().unwrap() };
    let now = Timestamp::from_second(1_709_294_500).unwrap();
    let demo = [key("x/auth-key.pub").into()];
    let wrong = [key("x/vt-key.pub").into()];
    let check = |token: &str, keys: &[TokenVerifier]| verify(token, keys, &[issuer("demo")], now).map(drop);
    let good = jwt("authentication_default");
    assert_eq!(check(good, &demo), Ok(()));
    assert_eq!(check(good, &wrong), Err(TokenError::BadSignature));
    assert_eq!(check(good, &[]), Err(TokenError::UnknownKey));
    // The one among several that made it.
    assert_eq!(check(good, &[wrong[0].clone(), demo[0].clone()]), Ok(()));
    let foreign = TokenError::ForeignIssuer { issuer: issuer("other") };
    assert_eq!(check(jwt("authentication_for_demo"), &demo), Err(foreign));
    let (start, signature) = good.rsplit_once('.').unwrap();
    let (_, other) = jwt("authentication_vt").rsplit_once('.').unwrap();
    assert_eq!(check(&format!("{start}.{other}"), &demo), Err(TokenError::BadSignature));
    assert_eq!(check(&format!("{start}.{}", &signature[4..]), &demo), Err(TokenError::BadSignature));
    assert_eq!(check(&format!("{start}."), &demo), Err(TokenError::BadSignature));
}

fn check_claims(name: &str, claims: &Claims, original: &Value) {
    let list = |name: &str| -> Vec<String> { serde_json::from_value(original[name].clone()).unwrap() };
    assert_eq!(claims.id.to_string(), original["jti"], "{name}");
    assert_eq!(claims.issuer.to_string(), original["iss"], "{name}");
    assert_eq!(claims.validity.not_before.as_second(), original["nbf"], "{name}");
    assert_eq!(claims.validity.expires.map(Timestamp::as_second), original["exp"].as_i64(), "{name}");
    assert_eq!(claims.bearers.iter().map(ToString::to_string).collect::<Vec<_>>(), list("validBearers"), "{name}");
    let [address] = &claims.addresses[..] else { panic!("{name}: one address") };
    assert_eq!((address.host.as_str(), u64::from(address.port)), ("127.0.0.1", original["port"].as_u64().unwrap()));
    match &claims.usage {
        Use::Authentication(grants) => {
            assert_eq!(grants.performable.to_strings(), list("performable"), "{name}");
            assert_eq!(grants.publishable.to_strings(), list("publishable"), "{name}");
            assert_eq!(grants.subscribable.to_strings(), list("subscribable"), "{name}");
        }
        Use::PublisherAuthentication(grant) => {
            assert_eq!([grant.action.to_string()], list("subscribedTo")[..], "{name}");
            assert_eq!(grant.receiver.to_string(), original["receiver"], "{name}");
            assert_eq!(grant.authentication_token.to_string(), original["authenticationTokenId"], "{name}");
        }
    }
    assert_eq!(
        inspect(&crate::tokens::issue(claims, &data::identity("demo-auth-key").into()).unwrap()).unwrap().claims(),
        claims
    );
}
