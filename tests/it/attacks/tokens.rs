//! A hundred thousand tokens that nobody has issued. The right key has signed some of them, as a fault of ours might:
//! what they say is refused all the same, or opens nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use coattail::id::IssuerHash;
use coattail::name::ActionName;
use coattail_daemon::keys::{Identity, TokenKey};
use coattail_daemon::tokens::{Claims, Evidence, Operation, Source, authorize, inspect, verify};
use coattail_tests::{Instance, Random};
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::raw_peer::{RawPeer, issue, keys_of, plain_service, rand_nonce, token_id};

/// How many are made, and which of them the daemon gets to see as well.
const TOKENS: usize = 100_000;
const EACH_OF: usize = 50;

/// To sign with RSA is slow.
const RSA_TOKENS: usize = 4_000;

/// The key with which an instance signs its tokens.
fn signer_of(instance: &Instance) -> Identity {
    Identity::load(&instance.path("keys/auth-key.pem"), &instance.path("keys/auth-key.pub")).expect("keys")
}

/// A token of an instance with other claims, signed as it would sign them.
pub(super) fn resigned(issuer: &Instance, token: &str, change: impl FnOnce(&mut Claims)) -> String {
    let mut claims = inspect(token).expect("a token").into_claims();
    change(&mut claims);
    coattail_daemon::tokens::issue(&claims, &TokenKey::from(signer_of(issuer))).expect("small enough")
}

#[test]
fn of_a_hundred_thousand_tokens_that_nobody_issued_none_is_accepted() {
    none_is_accepted(&plain_service("issuer", ""), TOKENS);
}

/// With keys of the original, every algorithm of which is another.
#[test]
fn of_the_tokens_of_an_rsa_key_that_nobody_issued_none_is_accepted() {
    let mut issuer = plain_service("issuer", "");
    issuer.stop();
    for half in ["pem", "pub"] {
        let key = fs::read(original(&format!("demo-auth-key.{half}"))).expect("a key");
        // Over the file that is there, which keeps its mode.
        fs::write(issuer.path(&format!("keys/auth-key.{half}")), key).expect("written");
    }
    issuer.start();
    none_is_accepted(&issuer, RSA_TOKENS);
}

/// A key that the original has made.
fn original(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../daemon/tests-data/legacy/keys").join(name)
}

fn none_is_accepted(issuer: &Instance, tokens: usize) {
    let good = issue(issuer, &["--performable", "none", "--publishable", "none", "--subscribable", "none"]);
    let forger = Forger::new(issuer, &good);
    let (keys, id) = ([TokenKey::from(signer_of(issuer)).verifier()], keys_of(issuer).issuer());
    let attacker = Identity::generate();
    let now = Timestamp::now();
    let claims = verify(&good, &keys, &[id], now).expect("the control: the good one is good");
    assert!(opens_nothing(&claims));
    let mut random = Random::new(23);
    let mut made: BTreeMap<&str, usize> = BTreeMap::new();
    for number in 0..tokens {
        let (kind, token) = forger.token(&mut random);
        *made.entry(kind).or_default() += 1;
        match (kind, verify(&token, &keys, &[id], now)) {
            (_, Err(_)) => {}
            // The right key has signed a name, so it is believed; but it is the name of nothing that there is.
            (HARMLESS, Ok(claims)) => assert!(opens_nothing(&claims), "{kind}: {token}"),
            (_, Ok(_)) => panic!("{kind} was accepted: {token}"),
        }
        if number % EACH_OF == 0 && kind != HARMLESS {
            let mut peer = RawPeer::connect(issuer.port());
            let proof = peer.greet(&attacker, rand_nonce()).proof(&attacker, &forger.id);
            let login = json!({"token": token, "proof": proof});
            assert!(peer.call("session.authenticate", &login).is_err(), "{kind} has logged in: {token}");
        }
    }
    assert!(made.len() >= 14 && made.values().all(|&count| count > tokens / 100), "{made:?}");
    // The control: this is how one logs in, and the service still lives.
    let _ = RawPeer::log_in(issuer.port(), &attacker, &good);
    assert_eq!(issuer.json(&["token", "list"]).as_array().map(Vec::len), Some(1));
    assert!(!issuer.log().contains("panicked"));
}

/// The kind of token that is believed and of no use.
const HARMLESS: &str = "a name that looks like another, signed";

/// Whether a token grants nothing of the actions that an instance could have.
fn opens_nothing(claims: &Claims) -> bool {
    let evidence = Evidence::new(Source::Local, Some(Identity::generate().public().clone()));
    ["echo", "report", "Daily Report"].iter().all(|name| {
        let name = ActionName::new(name).expect("a name");
        [
            Operation::Perform(&name),
            Operation::Publish(&name),
            Operation::PerformAndPublish(&name),
            Operation::Subscribe(&name),
            Operation::ListAction(&name),
        ]
        .iter()
        .all(|operation| authorize(claims, &evidence, operation).is_err())
    })
}

/// Knows everything that an attacker may know, and the key of the issuer, too.
struct Forger {
    good: Vec<String>,
    claims: Value,
    id: String,
    kid: String,
    algorithm: Algorithm,
    /// Signs for the issuer.
    right: EncodingKey,
    /// Signs, but no tokens.
    wrong: EncodingKey,
    stranger: IssuerHash,
    /// What is public of the issuer's keys, in every form that a careless reader could take for a secret.
    public: Vec<Vec<u8>>,
}

impl Forger {
    fn new(issuer: &Instance, good: &str) -> Self {
        let pem = |name: &str| fs::read_to_string(issuer.path(name)).expect("a key");
        let private = pem("keys/auth-key.pem");
        let (algorithm, right, wrong) = match EncodingKey::from_ed_pem(private.as_bytes()) {
            Ok(right) => (Algorithm::EdDSA, right, EncodingKey::from_ed_pem(pem("keys/vt-key.pem").as_bytes())),
            Err(_) => {
                let other = fs::read(original("demo-vt-key.pem")).expect("a key");
                let right = EncodingKey::from_rsa_pem(private.as_bytes()).expect("a key of one kind or the other");
                (Algorithm::RS256, right, EncodingKey::from_rsa_pem(&other))
            }
        };
        let mut secrets = vec![Vec::new(), b"secret".to_vec()];
        for text in [pem("keys/auth-key.pub"), pem("keys/vt-key.pub")] {
            let inner: String = text.lines().filter(|line| !line.starts_with('-')).collect();
            let der = STANDARD.decode(&inner).expect("base64");
            secrets.push(der[der.len() - 32..].to_vec());
            secrets.extend([der, inner.into_bytes(), text.trim().as_bytes().to_vec(), text.into_bytes()]);
        }
        let claims = good.split('.').nth(1).expect("three parts");
        Self {
            good: good.split('.').map(str::to_owned).collect(),
            claims: serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("JSON"),
            id: token_id(good),
            kid: TokenKey::from(signer_of(issuer)).verifier().key_id(),
            algorithm,
            right,
            wrong: wrong.expect("a key"),
            stranger: Identity::generate().issuer(),
            public: secrets,
        }
    }

    /// A token that must not be accepted, and why.
    fn token(&self, random: &mut Random) -> (&'static str, String) {
        let head = json!({"alg": self.algorithm, "typ": "JWT", "kid": self.kid});
        match random.below(18) {
            0 => ("HMAC with what is public as its secret", self.confused(random)),
            1 => ("unsigned", self.unsigned(random)),
            2 => {
                let alg = pick(
                    random,
                    &[
                        "RS384", "RS512", "PS256", "ES256", "ES384", "HS256", "EdDSA ", "eddsa", "RS256 ", "rs256",
                        "Ed25519", "",
                    ],
                );
                let mut head = head;
                head["alg"] = json!(alg);
                (
                    "another algorithm, signed by the right key",
                    self.sign_text(&head.to_string(), &self.claims.to_string(), &self.right),
                )
            }
            3 => (
                "signed by somebody else",
                self.sign_text(&head.to_string(), &self.more(random).to_string(), &self.wrong),
            ),
            4 => {
                let mut head = head;
                head["kid"] = self.key_id(random);
                ("a key id that names no key", self.sign_text(&head.to_string(), &self.claims.to_string(), &self.right))
            }
            5 => {
                let mut head = head;
                let field = pick(random, &["jwk", "jku", "x5u", "x5c"]);
                head[field] = json!({"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "url": "http://127.0.0.1:1/"});
                ("a key brought along", self.sign_text(&head.to_string(), &self.more(random).to_string(), &self.wrong))
            }
            6 => ("more rights, and the signature of before", self.with_claims(&self.more(random))),
            7 => ("a claim less, and the signature of before", self.with_claims(&self.stripped(random).1)),
            8 => {
                let mut claims = self.claims.clone();
                let field = pick(random, &["iss", "jti", "iat"]);
                claims.as_object_mut().expect("an object").remove(field);
                ("a claim less that has to be there, signed", self.signed(&claims.to_string()))
            }
            9 => ("a claim twice, signed", self.signed(&self.doubled(random))),
            10 => {
                let text = head.to_string();
                let twice = pick(
                    random,
                    &[
                        "\"alg\":\"none\"",
                        "\"alg\":\"EdDSA\"",
                        "\"alg\":\"RS256\"",
                        "\"kid\":\"x\"",
                        "\"crit\":[\"x\"]",
                    ],
                );
                let text = format!("{},{twice}}}", &text[..text.len() - 1]);
                ("a header twice, signed", self.sign_text(&text, &self.claims.to_string(), &self.right))
            }
            11 => ("another audience or issuer, signed", self.signed(&self.misdirected(random).to_string())),
            12 => ("a huge number, signed", self.signed(&self.huge(random))),
            13 => ("another type, signed", self.signed(&self.mistyped(random))),
            14 => (HARMLESS, self.signed(&self.look_alike(random).to_string())),
            15 => ("a wildcard where none belongs, signed", self.signed(&self.wild(random).to_string())),
            16 => ("out of its time, signed", self.signed(&self.out_of_time(random).to_string())),
            _ => ("a token with some of it changed", self.changed(random)),
        }
    }

    fn signed(&self, claims: &str) -> String {
        let head = json!({"alg": self.algorithm, "typ": "JWT", "kid": self.kid});
        self.sign_text(&head.to_string(), claims, &self.right)
    }

    /// Signs any text as a header, whatever algorithm it names.
    fn sign_text(&self, head: &str, claims: &str, key: &EncodingKey) -> String {
        let message = format!("{}.{}", encode(head), encode(claims));
        let signature = jsonwebtoken::crypto::sign(message.as_bytes(), key, self.algorithm).expect("signed");
        format!("{message}.{signature}")
    }

    fn with_claims(&self, claims: &Value) -> String {
        format!("{}.{}.{}", self.good[0], encode(&claims.to_string()), self.good[2])
    }

    fn confused(&self, random: &mut Random) -> String {
        let algorithms = [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];
        let mut header = Header::new(algorithms[index(random, algorithms.len())]);
        header.kid = (random.below(3) > 0).then(|| self.kid.clone());
        let secret = &self.public[index(random, self.public.len())];
        jsonwebtoken::encode(&header, &self.more(random), &EncodingKey::from_secret(secret)).expect("signed")
    }

    fn unsigned(&self, random: &mut Random) -> String {
        let alg = pick(random, &["none", "None", "NONE", "nOnE", "none ", "\u{0}none", "", "null"]);
        let mut head = json!({"alg": alg});
        if random.below(2) == 0 {
            head["kid"] = json!(self.kid);
        }
        let signature = [String::new(), self.good[2].clone(), "AAAA".to_owned(), encode("x")];
        let signature = &signature[index(random, signature.len())];
        format!("{}.{}.{signature}", encode(&head.to_string()), encode(&self.more(random).to_string()))
    }

    /// The claims with something that the token does not grant.
    fn more(&self, random: &mut Random) -> Value {
        let mut claims = self.claims.clone();
        match random.below(6) {
            0 => claims["exp"] = json!(4_000_000_000 + random.below(1_000_000)),
            1 => claims["validBearers"] = json!([format!("ipv4://{}.0.0.0/8", random.below(256))]),
            2 => claims["jti"] = json!(coattail::id::CallId::new()),
            3 => claims["use"] = json!("Publisher Authentication"),
            _ => {
                let field = pick(random, &["performable", "publishable", "subscribable"]);
                claims[field] = json!(["*", format!("a{}", random.below(1_000_000))]);
            }
        }
        claims
    }

    fn stripped(&self, random: &mut Random) -> (String, Value) {
        let mut claims = self.claims.clone();
        let fields: Vec<String> = claims.as_object().expect("an object").keys().cloned().collect();
        let field = fields[index(random, fields.len())].clone();
        claims.as_object_mut().expect("an object").remove(&field);
        (field, claims)
    }

    fn doubled(&self, random: &mut Random) -> String {
        let (field, rest) = self.stripped(random);
        let (value, rest) = (&self.claims[&field], rest.to_string());
        let other = pick(random, &["[\"*\"]", "\"x\"", "0", "4000000000", "null", "true", "{}"]);
        let pair = if random.below(2) == 0 {
            [other, &value.to_string()].map(str::to_owned)
        } else {
            [value.to_string(), other.to_owned()]
        };
        format!("{{\"{field}\":{},{},\"{field}\":{}}}", pair[0], &rest[1..rest.len() - 1], pair[1])
    }

    fn key_id(&self, random: &mut Random) -> Value {
        match random.below(8) {
            0 => json!(""),
            1 => json!("../../../dev/null"),
            2 => json!("' OR 1=1 --"),
            3 => json!(format!("{}\u{0}", self.kid)),
            4 => json!(self.kid.to_uppercase() + "="),
            5 => json!([self.kid]),
            6 => json!(random.below(u64::MAX)),
            _ => json!(format!("{}{}", self.kid, random.below(1_000_000))),
        }
    }

    fn misdirected(&self, random: &mut Random) -> Value {
        let mut claims = self.claims.clone();
        let other = match random.below(5) {
            0 => json!(self.stranger),
            1 => json!(""),
            2 => json!("*"),
            3 => json!([claims["iss"], self.stranger]),
            _ => json!(format!("{}=", claims["iss"].as_str().expect("a text"))),
        };
        claims[pick(random, &["iss", "aud"])] = other;
        claims
    }

    fn huge(&self, random: &mut Random) -> String {
        let field = pick(random, &["exp", "nbf", "iat", "port"]);
        let number = pick(
            random,
            &[
                "9223372036854775807",
                "-9223372036854775808",
                "18446744073709551615",
                "1e300",
                "-1e300",
                "1e308",
                "99999999999999999999999999",
                "253402300800",
                "0.5",
                "-0.1",
            ],
        );
        let mut claims = self.claims.clone();
        claims[field] = json!("HERE");
        claims.to_string().replace("\"HERE\"", number)
    }

    fn mistyped(&self, random: &mut Random) -> String {
        let field =
            pick(random, &["iss", "jti", "iat", "performable", "publishable", "validBearers", "use", "publicKey"]);
        let value = pick(random, &["{}", "true", "[[]]", "[null]", "{\"*\":true}", "1.5"]);
        let mut claims = self.claims.clone();
        claims[field] = json!("HERE");
        claims.to_string().replace("\"HERE\"", value)
    }

    fn look_alike(&self, random: &mut Random) -> Value {
        let name = pick(
            random,
            &[
                "еcho",
                "eсho",
                "ｅｃｈｏ",
                "echo\u{301}",
                "ECHO",
                "Echo",
                "echo.",
                "echo echo",
                "ech0",
                "＊",
                "∗",
                "⁎",
                "٭",
                "daily report",
                "Daily  Report",
                "rероrt",
                "Report",
                "all",
                "any",
                ".*",
                "%",
            ],
        );
        let mut claims = self.claims.clone();
        claims[pick(random, &["performable", "publishable", "subscribable"])] = json!([name]);
        claims
    }

    fn wild(&self, random: &mut Random) -> Value {
        let mut claims = self.claims.clone();
        claims["use"] = json!("Publisher Authentication");
        claims["authenticationTokenId"] = json!(self.id);
        claims["subscribedTo"] = json!(["echo"]);
        claims["receiver"] = json!("keep");
        match random.below(5) {
            0 => claims["subscribedTo"] = json!(["*"]),
            1 => claims["receiver"] = json!("*"),
            2 => claims["authenticationTokenId"] = json!("*"),
            3 => claims["subscribedTo"] = json!(["echo", "*"]),
            _ => claims["jti"] = json!("*"),
        }
        claims
    }

    fn out_of_time(&self, random: &mut Random) -> Value {
        let mut claims = self.claims.clone();
        let far = 120 + i64::try_from(random.below(1_000_000_000)).expect("small");
        let now = Timestamp::now().as_second();
        if random.below(2) == 0 {
            claims["exp"] = json!(now - far);
        } else {
            claims["nbf"] = json!(now + far);
        }
        claims
    }

    /// The good one with one to three of its bytes changed, gone, or moved.
    fn changed(&self, random: &mut Random) -> String {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=";
        let good = self.good.join(".");
        loop {
            let mut token = good.clone().into_bytes();
            for _ in 0..=random.below(3) {
                let at = index(random, token.len());
                match random.below(4) {
                    0 => drop(token.remove(at)),
                    1 => token.insert(at, LETTERS[index(random, LETTERS.len())]),
                    2 => token.truncate(at.max(1)),
                    _ => token[at] = LETTERS[index(random, LETTERS.len())],
                }
            }
            if token != good.as_bytes() {
                return String::from_utf8(token).expect("letters");
            }
        }
    }
}

fn encode(text: &str) -> String {
    URL_SAFE_NO_PAD.encode(text)
}

fn index(random: &mut Random, length: usize) -> usize {
    usize::try_from(random.below(length as u64)).expect("an index")
}

fn pick<'a>(random: &mut Random, from: &[&'a str]) -> &'a str {
    from[index(random, from.len())]
}
