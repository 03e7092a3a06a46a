use coattail::id::IssuerHash;
use jiff::Timestamp;

use super::compact::Compact;
use super::wire::{RawClaims, parse};
use super::{Claims, TokenError};
use crate::keys::TokenVerifier;

/// Reads a token of this instance that somebody presents.
///
/// `keys` are those whose signatures count: the present one, and older ones until their end. `issuers` are the
/// identities that the instance has, or had when it issued tokens. Whether the token has a row, and whether its bearer
/// presents it, is for the caller to check.
pub fn verify(
    token: &str,
    keys: &[TokenVerifier],
    issuers: &[IssuerHash],
    now: Timestamp,
) -> Result<Claims, TokenError> {
    let compact = Compact::parse(token)?;
    // Not believed, only compared: it tells a token of somebody else from one that was tampered with.
    let said: Issuer = compact.unverified()?;
    let said = parse(said.iss.as_deref(), "iss")?;
    if !issuers.contains(&said) {
        return Err(TokenError::ForeignIssuer { issuer: said });
    }
    let mut keys = keys.iter().filter(|key| key.counts_at(now));
    match compact.key_id() {
        Some(id) => {
            let key = keys.find(|key| key.key_id() == id).ok_or(TokenError::UnknownKey)?;
            compact.verify(&key.jwt_verifier())?;
        }
        // The original names no key.
        None => keys
            .map(|key| compact.verify(&key.jwt_verifier()))
            .reduce(Result::or)
            .unwrap_or(Err(TokenError::UnknownKey))?,
    }
    // Whoever issues a token issues it for itself. Ours and the original's always say so.
    if compact.unverified::<Audience>()?.aud.is_some_and(|aud| aud.parse() != Ok(said)) {
        return Err(TokenError::Malformed { claim: "aud" });
    }
    let claims = Claims::try_from(compact.unverified::<RawClaims>()?)?;
    claims.validity.check(now)?;
    Ok(claims)
}

#[derive(serde::Deserialize)]
struct Issuer {
    iss: Option<String>,
}

#[derive(serde::Deserialize)]
struct Audience {
    aud: Option<String>,
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use coattail::id::{PeerId, TokenId};
    use coattail::name::{ActionName, ReceiverName};
    use jiff::SignedDuration;
    use serde_json::{Value, json};

    use super::super::{Bearer, Grants, SubscriptionGrant, Use, Validity, inspect, issue};
    use super::*;
    use crate::keys::{Identity, SharedSecret, TokenKey};
    use crate::legacy_vectors::data;

    struct Issuing {
        identity: Identity,
        signer: TokenKey,
        now: Timestamp,
    }

    impl Issuing {
        fn new() -> Self {
            let now = Timestamp::from_second(1_700_000_000).unwrap();
            Self { identity: Identity::generate(), signer: Identity::generate().into(), now }
        }

        fn claims(&self) -> Claims {
            let all = &["*".to_owned()];
            Claims {
                id: TokenId::new(),
                issuer: self.identity.issuer(),
                validity: Validity::starting(self.now, 0, Some(3600)).unwrap(),
                addresses: vec!["net:127.0.0.1:49365~tls".parse().unwrap(), "net:[::1]:1".parse().unwrap()],
                certificate: Some("PEM".to_owned()),
                bearers: Bearer::everyone(),
                usage: Use::Authentication(Grants::parse(&["My Action".to_owned()], &[], all).unwrap()),
            }
        }

        fn public_pem(&self) -> &str {
            let TokenKey::Pair(pair) = &self.signer else { unreachable!("made of a pair") };
            pair.public_pem()
        }

        fn verify(&self, token: &str) -> Result<Claims, TokenError> {
            self.verify_at(token, self.now)
        }

        fn verify_at(&self, token: &str, now: Timestamp) -> Result<Claims, TokenError> {
            verify(token, &[self.signer.verifier()], &[self.identity.issuer()], now)
        }

        fn signed(&self, claims: &Value) -> String {
            super::super::issue::sign(claims, self.signer.jwt_signer()).unwrap()
        }
    }

    fn payload(token: &str) -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1).unwrap()).unwrap()).unwrap()
    }

    fn forge(header: &Value, claims: &Value, signature: &str) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.{signature}", part(header), part(claims))
    }

    #[test]
    fn both_kinds_of_token_are_read_as_they_were_issued() {
        let issuing = Issuing::new();
        let subscription = Claims {
            usage: Use::PublisherAuthentication(SubscriptionGrant {
                action: ActionName::new("Daily Report").unwrap(),
                receiver: ReceiverName::new("on-report").unwrap(),
                authentication_token: TokenId::new(),
                peer: Some(PeerId::new()),
            }),
            certificate: None,
            ..issuing.claims()
        };
        for claims in [issuing.claims(), subscription] {
            let token = issue(&claims, &issuing.signer).unwrap();
            assert_eq!(issuing.verify(&token), Ok(claims.clone()));
            assert_eq!(inspect(&format!(" {token}\n")).unwrap().claims(), &claims);
        }
    }

    #[test]
    fn tokens_have_the_claims_of_the_original() {
        let issuing = Issuing::new();
        let claims = issuing.claims();
        let issuer = issuing.identity.issuer().to_string();
        let written = payload(&issue(&claims, &issuing.signer).unwrap());
        let expected = json!({
            "host": "127.0.0.1", "port": 49365, "tls": true, "cert": "PEM", "use": "Authentication",
            "validBearers": ["ipv4://0.0.0.0/0", "ipv6://::/0"],
            "performable": ["My Action"], "publishable": [], "subscribable": ["*"],
            "addresses": ["net:127.0.0.1:49365~tls", "net:[::1]:1"],
            "iat": 1_700_000_000, "nbf": 1_700_000_000, "exp": 1_700_003_600,
            "aud": issuer, "iss": issuer, "jti": claims.id.to_string(),
        });
        assert_eq!(written, expected);
    }

    #[test]
    fn a_token_of_the_original_can_be_inspected() {
        let claims = json!({
            "host": "127.0.0.1", "port": 29402, "tls": false, "validBearers": ["ipv4://127.0.0.1"],
            "performable": ["*"], "publishable": ["*"], "subscribable": ["*"], "iat": 1709294408, "nbf": 1709294408,
            "aud": "HiR9Dl61sUo5ZANeDnq0SH/R3Neu3hot6sM4PuGren0=", "iss": "HiR9Dl61sUo5ZANeDnq0SH/R3Neu3hot6sM4PuGren0=",
            "jti": "045e0a60-3039-420b-8627-a8952ca9954e"
        });
        let token = forge(&json!({"alg": "RS256", "typ": "JWT"}), &claims, "AAAA");
        let read = inspect(&token).unwrap().into_claims();
        assert_eq!(read.addresses, ["net:127.0.0.1:29402".parse().unwrap()]);
        assert!(matches!(read.usage, Use::Authentication(_)), "a token without `use` is for authentication");
    }

    #[test]
    fn what_is_no_token_of_ours_is_refused_and_why_is_said() {
        let issuing = Issuing::new();
        let claims = issuing.claims();
        let token = issue(&claims, &issuing.signer).unwrap();
        let parts: Vec<_> = token.split('.').collect();
        let body = payload(&token);
        let changed = |key: &str, value: Value| {
            let mut body = body.clone();
            body[key] = value;
            body
        };
        let kid = issuing.signer.verifier().key_id();
        let head = |alg: &str| json!({"alg": alg, "typ": "JWT", "kid": kid});
        let stranger = Identity::generate();
        let foreign = Claims { issuer: stranger.issuer(), ..claims.clone() };
        let others = |key: &Identity| super::super::issue::sign(&RawClaims::from(&claims), key.jwt_signer()).unwrap();
        // HMAC with the public key as its secret: works where the token chooses the algorithm.
        let confused = {
            let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
            header.kid = Some(kid.clone());
            let secret = jsonwebtoken::EncodingKey::from_secret(issuing.public_pem().as_bytes());
            jsonwebtoken::encode(&header, &body, &secret).unwrap()
        };
        let algorithm = |found: &str| TokenError::Algorithm { found: found.to_owned(), expected: "EdDSA" };
        let malformed = |claim| TokenError::Malformed { claim };
        let raw = |claims: &Value| issuing.signed(claims);
        for (name, token, expected) in [
            ("nothing", String::new(), TokenError::Garbage),
            ("text", "hello".to_owned(), TokenError::Garbage),
            ("two parts", parts[..2].join("."), TokenError::Garbage),
            ("four parts", format!("{token}.x"), TokenError::Garbage),
            ("no base64", format!("{}.{}!.{}", parts[0], parts[1], parts[2]), TokenError::Garbage),
            ("no JSON", format!("{}.{}.{}", parts[0], "AAAA", parts[2]), TokenError::Garbage),
            ("no claims", raw(&json!([])), TokenError::Garbage),
            ("alg none", forge(&json!({"alg": "none"}), &body, ""), algorithm("none")),
            ("alg none, named key", forge(&head("none"), &body, ""), algorithm("none")),
            ("alg None", forge(&head("None"), &body, ""), algorithm("None")),
            ("HMAC confusion", confused, algorithm("HS256")),
            ("RS256", forge(&head("RS256"), &body, parts[2]), algorithm("RS256")),
            ("no signature", forge(&head("EdDSA"), &body, ""), TokenError::BadSignature),
            (
                "changed",
                forge(&head("EdDSA"), &changed("performable", json!(["*"])), parts[2]),
                TokenError::BadSignature,
            ),
            ("no kid, other signer", forge(&json!({"alg": "EdDSA"}), &body, parts[2]), TokenError::BadSignature),
            ("other signer", others(&stranger), TokenError::UnknownKey),
            ("identity key", others(&issuing.identity), TokenError::UnknownKey),
            ("path as kid", forge(&json!({"alg": "EdDSA", "kid": "../../x"}), &body, parts[2]), TokenError::UnknownKey),
            (
                "foreign",
                issue(&foreign, &issuing.signer).unwrap(),
                TokenError::ForeignIssuer { issuer: stranger.issuer() },
            ),
            ("crit", forge(&json!({"alg": "EdDSA", "crit": ["x"]}), &body, parts[2]), malformed("crit")),
            ("no iss", raw(&changed("iss", Value::Null)), malformed("iss")),
            ("other audience", raw(&changed("aud", json!(stranger.issuer()))), malformed("aud")),
            ("several audiences", raw(&changed("aud", json!([issuing.identity.issuer()]))), TokenError::Garbage),
            ("no jti", raw(&changed("jti", Value::Null)), malformed("jti")),
            ("jti no id", raw(&changed("jti", json!("../x"))), malformed("jti")),
            ("no iat", raw(&changed("iat", Value::Null)), malformed("iat")),
            ("late", raw(&changed("exp", json!(i64::MAX))), malformed("exp")),
            ("exp no number", raw(&changed("exp", json!("never"))), TokenError::Garbage),
            ("other use", raw(&changed("use", json!("Admin"))), malformed("use")),
            ("no receiver", raw(&changed("use", json!("Publisher Authentication"))), malformed("subscribedTo")),
            ("validation", raw(&changed("publicKey", json!("PEM"))), TokenError::IsValidation),
        ] {
            assert_eq!(issuing.verify(&token), Err(expected), "{name}");
        }
    }

    #[test]
    fn s13_a_path_in_a_list_voids_the_token() {
        let issuing = Issuing::new();
        let mut body = payload(&issue(&issuing.claims(), &issuing.signer).unwrap());
        body["performable"] = json!(["../x"]);
        assert!(matches!(issuing.verify(&issuing.signed(&body)), Err(TokenError::Malformed { .. })));
    }

    #[test]
    fn s8_a_large_token_is_not_parsed_and_not_made() {
        let issuing = Issuing::new();
        let large = "x".repeat(super::super::MAX_TOKEN + 1);
        assert_eq!(issuing.verify(&large), Err(TokenError::TooLarge { bytes: large.len() }));
        assert_eq!(inspect(&large), Err(TokenError::TooLarge { bytes: large.len() }));
        let claims = Claims { certificate: Some(large), ..issuing.claims() };
        assert!(matches!(issue(&claims, &issuing.signer), Err(TokenError::TooLarge { .. })));
    }

    #[test]
    fn times_are_those_of_the_given_clock() {
        let issuing = Issuing::new();
        let token = issue(&issuing.claims(), &issuing.signer).unwrap();
        let at = |second: i64| issuing.verify_at(&token, Timestamp::from_second(1_700_000_000 + second).unwrap());
        for second in [-60, 0, 3600, 3659] {
            assert!(at(second).is_ok(), "{second}");
        }
        for second in [-61, -1_700_000_000] {
            assert!(matches!(at(second), Err(TokenError::NotYetValid { .. })), "{second}");
        }
        assert!(matches!(at(3660), Err(TokenError::Expired { .. })));
    }

    #[test]
    fn keys_can_be_replaced_with_an_overlap() {
        let issuing = Issuing::new();
        let new = TokenKey::from(Identity::generate());
        let issuer = issuing.identity.issuer();
        let keys = [new.verifier(), issuing.signer.verifier()];
        for signer in [&issuing.signer, &new] {
            let token = issue(&issuing.claims(), signer).unwrap();
            assert!(verify(&token, &keys, &[issuer], issuing.now).is_ok());
            assert_eq!(verify(&token, &[], &[issuer], issuing.now), Err(TokenError::UnknownKey));
        }
        let old = issue(&issuing.claims(), &issuing.signer).unwrap();
        assert_eq!(verify(&old, &keys[..1], &[issuer], issuing.now), Err(TokenError::UnknownKey));
        // A key that was replaced counts up to its end, and not then.
        let ends =
            |second| [new.verifier(), issuing.signer.verifier().until(issuing.now + SignedDuration::from_secs(second))];
        assert!(verify(&old, &ends(1), &[issuer], issuing.now).is_ok());
        assert_eq!(verify(&old, &ends(0), &[issuer], issuing.now), Err(TokenError::UnknownKey));
    }

    #[test]
    fn a_reader_ignores_what_it_does_not_know() {
        let issuing = Issuing::new();
        let claims = issuing.claims();
        let mut body = payload(&issue(&claims, &issuing.signer).unwrap());
        body["later"] = json!({"x": 1});
        body["addresses"] = json!(["wss:example.org", "net:127.0.0.1:49365~tls", "net:[::1]:1"]);
        assert_eq!(issuing.verify(&issuing.signed(&body)), Ok(claims));
    }

    /// Every kind of key with every algorithm: that of the original's family holds, whoever signed with the right key.
    #[test]
    fn the_kind_of_the_key_fixes_the_algorithms() {
        use jsonwebtoken::{Algorithm, EncodingKey, Header};

        let identity = data::identity("demo-vt-key");
        let rsa = TokenKey::from(data::identity("demo-auth-key"));
        let secret = TokenKey::Secret(SharedSecret::new("hunter2").unwrap());
        let ed25519 = TokenKey::from(Identity::generate());
        let signers = [
            ("RSA", rsa.jwt_signer().key, vec!["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]),
            ("secret", secret.jwt_signer().key, vec!["HS256", "HS384", "HS512"]),
            ("Ed25519", ed25519.jwt_signer().key, vec!["EdDSA"]),
            // An HMAC with a public key as its secret: works where the token chooses the algorithm.
            (
                "public PEM",
                EncodingKey::from_secret(data::text("keys/demo-auth-key.pub").as_bytes()),
                vec!["HS256", "HS512"],
            ),
        ];
        let issuing = Issuing { identity, signer: rsa, now: Timestamp::from_second(1_700_000_000).unwrap() };
        let claims = issuing.claims();
        let check = |token: &str, key: &TokenKey| verify(token, &[key.verifier()], &[claims.issuer], issuing.now);
        for (signed_by, signer, algorithms) in &signers {
            for name in algorithms {
                let algorithm: Algorithm = name.parse().unwrap();
                let token = jsonwebtoken::encode(&Header::new(algorithm), &RawClaims::from(&claims), signer).unwrap();
                for (key, verifying) in [("RSA", &issuing.signer), ("secret", &secret), ("Ed25519", &ed25519)] {
                    let verified = check(&token, verifying);
                    let case = format!("{name} of {signed_by} with {key}: {verified:?}");
                    match verified {
                        Ok(read) => assert!(key == *signed_by && read == claims, "{case}"),
                        Err(TokenError::Algorithm { found, .. }) => {
                            assert!(key != *signed_by && found == *name, "{case}")
                        }
                        // The right family, and the wrong secret.
                        Err(error) => {
                            assert_eq!(error, TokenError::BadSignature, "{case}");
                            assert_eq!((*signed_by, key), ("public PEM", "secret"));
                        }
                    }
                }
                // Several keys, as while one is replaced.
                let all = [issuing.signer.verifier(), secret.verifier(), ed25519.verifier()];
                assert_eq!(
                    verify(&token, &all, &[claims.issuer], issuing.now).is_ok(),
                    *signed_by != "public PEM",
                    "{name}"
                );
            }
        }
        let body = serde_json::to_value(RawClaims::from(&claims)).unwrap();
        for key in [&issuing.signer, &secret, &ed25519] {
            for none in ["none", "None", "NONE", "nOnE"] {
                let error = check(&forge(&json!({"alg": none}), &body, ""), key).unwrap_err();
                assert!(matches!(error, TokenError::Algorithm { .. }), "{none}: {error:?}");
            }
            // Ours are read again, and say which key made them.
            assert_eq!(check(&issue(&claims, key).unwrap(), key), Ok(claims.clone()));
        }
        // Another secret, and another pair of the same kind.
        let by = |key: &TokenKey| {
            jsonwebtoken::encode(&Header::new(key.jwt_signer().kind.signs_with()), &body, &key.jwt_signer().key)
                .unwrap()
        };
        let others = [
            (TokenKey::Secret(SharedSecret::new("hunter3").unwrap()), &secret),
            (TokenKey::from(data::identity("other-vt-key")), &issuing.signer),
        ];
        for (other, key) in others {
            assert_eq!(check(&by(&other), key), Err(TokenError::BadSignature));
        }
    }
}
