use coattail::id::ValidationId;

use super::data;
use crate::keys::Identity;
use crate::tokens::{Bearer, Evidence, Source, Validity, validation};

/// Bearer, source, what we decide, why.
const OURS: [(&str, &str, bool, &str); 5] = [
    ("ipv4://127.1", "127.0.0.1", false, "an old spelling, which most programs read as another address or not at all"),
    ("ipv4://0x7f.0.0.1", "127.0.0.1", false, "an old spelling"),
    ("ipv4://0177.0.0.1", "127.0.0.1", false, "an old spelling: octal to some, decimal to others"),
    ("ipv4://2130706433", "127.0.0.1", false, "an old spelling"),
    ("ipv6://::1", "::1", true, "beyond the original, which has no such type"),
];

#[test]
fn bearers_match_as_in_the_original() {
    let vectors = data::json("bearers.json");
    let mut exceptions = 0;
    for case in data::list(&vectors, "cases") {
        let (bearer, source) = (case["bearer"].as_str().unwrap(), case["source_ip"].as_str().unwrap());
        let original = case["matches"].as_bool().unwrap();
        let ours = OURS.iter().find(|(text, from, ..)| (*text, *from) == (bearer, source));
        exceptions += usize::from(ours.is_some());
        let expected = ours.map_or(original, |(_, _, ours, _)| *ours);
        if let Some((.., reason)) = ours {
            assert_ne!(expected, original, "no exception: {reason}");
        }
        let evidence = Evidence::new(Source::Network(source.parse().unwrap()), None);
        assert_eq!(Bearer::parse(bearer).is_satisfied_by(&evidence), expected, "{bearer} from {source}");
    }
    assert_eq!(exceptions, OURS.len(), "every exception is a case");
}

/// A bearer that names a key holds wherever its holder comes from, and for nobody else.
#[test]
fn a_bearer_of_a_key_holds_on_every_transport() {
    let now = jiff::Timestamp::from_second(1_709_294_500).unwrap();
    let tokens = data::json("tokens.json");
    let rsa = data::identity("other-vt-key");
    let rsa_token = tokens["tokens"]["validation_other"]["jwt"].as_str().unwrap();
    let ed25519 = Identity::generate();
    let ed25519_token = validation::issue(&ed25519, Validity::endless(now)).unwrap();
    let stored = [
        (ValidationId::new(), validation::read_unsigned_of_original(rsa_token).unwrap()),
        (ValidationId::new(), validation::read(&ed25519_token).unwrap()),
    ];
    let sources =
        [Source::Local, Source::Network("127.0.0.1".parse().unwrap()), Source::Network("2001:db8::1".parse().unwrap())];
    let stranger = Identity::generate();
    for (proven, satisfied) in [
        (Some(&rsa), [true, false]),
        (Some(&ed25519), [false, true]),
        (Some(&stranger), [false; 2]),
        (None, [false; 2]),
    ] {
        for source in sources {
            let mut evidence = Evidence::new(source, proven.map(|key| key.public().clone()));
            if let Some(key) = proven {
                evidence.validations =
                    validation::proven(key.public(), stored.iter().map(|(id, token)| (*id, token)), now);
            }
            let found = [0, 1].map(|n: usize| Bearer::Validation(stored[n].0).is_satisfied_by(&evidence));
            assert_eq!(found, satisfied, "{proven:?} from {source:?}");
        }
    }
}
