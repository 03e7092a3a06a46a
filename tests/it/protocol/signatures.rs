//! The signatures of the document, computed as it says.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use coattail::id::IssuerHash;
use coattail_daemon::keys::{Domain, PublicIdentity};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::document::{self, Example};

fn example(method: &str) -> Example {
    let mut examples = document::conversations().into_iter().flatten();
    examples.find(|example| example.call.method == method).unwrap_or_else(|| panic!("no example of {method}"))
}

fn result(example: &Example) -> &Value {
    example.answer.as_ref().and_then(|answer| answer.result.as_ref()).expect("it is answered")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn bytes(value: &Value) -> Vec<u8> {
    STANDARD.decode(text(value)).expect("base64")
}

fn claims(token: &Value) -> Value {
    let payload = text(token).split('.').nth(1).expect("three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).expect("base64")).expect("JSON")
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    Sha256::digest(parts.concat()).into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn both_ends_of_the_handshake_prove_their_keys() {
    let (hello, login) = (example("session.hello"), example("session.authenticate"));
    let (client, server) = (&hello.call.params, result(&hello));
    let key = |side: &Value| PublicIdentity::from_pem(text(&side["identity"])).expect("a key");
    let (client_key, server_key) = (key(client), key(server));
    let token = claims(&login.call.params["token"]);
    assert_eq!(token["iss"], server_key.issuer().to_string(), "the token is from who was dialled");

    let digest = |role: &[u8], token: &[u8]| {
        let (client_nonce, server_nonce) = (bytes(&client["nonce"]), bytes(&server["nonce"]));
        let (client_hash, server_hash) = (client_key.issuer(), server_key.issuer());
        let channel: &[u8] = b"";
        let parts =
            [role, channel, &client_nonce, &server_nonce, client_hash.as_bytes(), server_hash.as_bytes(), token];
        let with_length = |part: &&[u8]| [&[u8::try_from(part.len()).expect("short")], *part].concat();
        hash(&[&parts.iter().flat_map(with_length).collect::<Vec<u8>>()])
    };
    let domain = Domain::new("coattail session proof v1");
    let (server_digest, client_digest) = (digest(b"server", b""), digest(b"client", text(&token["jti"]).as_bytes()));
    server_key.verify(domain, &server_digest, &bytes(&server["proof"])).expect("the server's proof");
    client_key.verify(domain, &client_digest, &bytes(&login.call.params["proof"])).expect("the client's proof");
    for (role, digest) in [("server", server_digest), ("client", client_digest)] {
        let line = format!("- {role}: `{}`", hex(&digest));
        assert!(document::text().contains(&line), "PROTOCOL.md does not say {line:?}");
    }
}

#[test]
fn what_the_examples_deliver_is_signed() {
    let server = example("session.hello");
    let issuer = PublicIdentity::from_pem(text(&result(&server)["identity"])).expect("a key");
    let delivery = example("publications.deliver");
    // From the text: a publication is signed to the byte.
    let publications = delivery.call.params["publications"].as_array().expect("a list");
    assert_eq!(publications.len(), 2);
    let proofs = delivery.call.params["proofs"].as_array().expect("a list");
    assert_eq!(proofs.len(), 1, "they are of one group");
    let proof = &proofs[0];
    assert_eq!((&proof["leaves"], &proof["path"]), (&json!([0, 1]), &json!([])), "and all of it");
    let mut leaves = Vec::new();
    for publication in publications {
        let payload = publication["payload"].to_string();
        assert!(delivery.text.contains(&format!("\"payload\":{payload}")), "the payload is written as serde_json does");
        let hash_of_issuer: IssuerHash = text(&publication["issuer"]).parse().expect("a hash");
        assert_eq!(hash_of_issuer, issuer.issuer());
        let number = |name: &str| publication[name].as_u64().expect("a number");
        let fields: [&[u8]; 8] = [
            b"coattail publication 2",
            hash_of_issuer.as_bytes(),
            text(&publication["action"]).as_bytes(),
            &number("sequence").to_be_bytes(),
            text(&publication["id"]).as_bytes(),
            &number("time").to_be_bytes(),
            &hash(&[payload.as_bytes()]),
            &number("epoch").to_be_bytes(),
        ];
        let with_length = |field: &&[u8]| [&u32::try_from(field.len()).expect("short").to_be_bytes(), *field].concat();
        let leaf = hash(&[&[0], &fields.iter().flat_map(with_length).collect::<Vec<u8>>()]);
        leaves.push(leaf);
    }
    let root = hash(&[&[1], &leaves[0], &leaves[1]]);
    let size = u32::try_from(proof["size"].as_u64().expect("a number")).expect("small");
    let signed = [&size.to_be_bytes()[..], &root].concat();
    let domain = Domain::new("coattail publication group v1");
    issuer.verify(domain, &signed, &bytes(&proof["signature"])).expect("the group is signed");
    let said = document::text();
    assert!(said.contains(&format!("root is `{}`", hex(&root))), "the root is {}", hex(&root));
    assert!(said.contains(&format!("first publication is `{}`", hex(&leaves[0]))), "the leaf is {}", hex(&leaves[0]));

    // One of them alone: the other's leaf is all that is lacking.
    let alone = document::text().lines().filter_map(of_one).next().expect("an example of a delivery of one");
    assert_eq!(alone, (json!([0]), STANDARD.encode(leaves[1])));
}

/// What proves the publication of a delivery of one: which leaf it is, and the hash beside it.
fn of_one(line: &str) -> Option<(Value, String)> {
    let call: Value = serde_json::from_str(line.strip_prefix("→ ")?).ok()?;
    let proof = call["params"]["proofs"].as_array()?.first()?;
    Some((proof["leaves"].clone(), proof["path"].as_array()?.first()?.as_str()?.to_owned()))
}

#[test]
fn the_claims_that_are_shown_are_those_of_the_tokens() {
    let shown: Vec<Value> = document::blocks(&document::text(), "json claims")
        .iter()
        .map(|(_, lines)| lines.iter().map(|(_, line)| line.as_str()).collect::<String>())
        .map(|block| serde_json::from_str(&block).expect("JSON"))
        .collect();
    let login = example("session.authenticate");
    let issued = example("subscriptions.issue");
    assert_eq!(shown, [claims(&login.call.params["token"]), claims(&result(&issued)["token"])]);
    let validation = &issued.call.params["validation_token"];
    coattail_daemon::tokens::validation::read(text(validation)).expect("it is signed by the key that it carries");
}
