//! User code of the original has everything that the original gave it, with a daemon behind it.

use coattail_tests::cluster::add_peer;
use coattail_tests::{Cluster, Instance};
use serde_json::{Value, json};

const EVERY_CALL: &str = include_str!("original_api.js");

const ECHO: &str = "module.exports = (Coattail) => class extends Coattail.Action { async perform(input) { \
    this.logger.info('echoing'); return input; } };\n";

const THROWS: &str = "module.exports = (Coattail) => class extends Coattail.Action { async perform(input) {
    if (input === 'error') throw new Error('the reason');
    if (input === 'system') return require('fs').promises.readFile('/no/such/file');
    throw { text: 'a text', object: { reason: 7 }, null: null }[input];
} };\n";

const KEEP: &str = "module.exports = (Coattail) => class extends Coattail.Receiver { async onReceived(input) {} };\n";

/// Fewer would mean that some were lost on the way.
const CALLS: u64 = 92;

#[test]
fn every_call_of_the_original_takes_and_gives_what_it_did() {
    let cluster = Cluster::pair();
    let Cluster { publisher, subscriber: here, peer } = &cluster;
    let third = Instance::running("third");
    for instance in [publisher, here, &third] {
        instance.plugin("actions/Echo.js", ECHO);
        instance.plugin("actions/Throws.js", THROWS);
        instance.plugin("receivers/keep.js", KEEP);
    }
    here.plugin("actions/Every Call.js", EVERY_CALL);
    let us = add_peer(here, &third, &["--subscribable", "[\"*\"]"]);
    let what = ["--action", "Echo", "--receiver", "keep"];
    let subscribed = third.json(&[&["action", "subscribe", "--peer", &us], &what[..]].concat());
    let token = |issuer: &Instance| issuer.run(&["token", "issue", "--quiet", "--print-raw-token"]).ok().stdout;
    let input = json!({
        "instance": here.folder(),
        "peer": peer,
        "spare": token(&third).trim(),
        "issued": token(here).trim(),
        "revocable": token(here).trim(),
        "subscription": subscribed["id"],
    });
    let performed = here.json(&["action", "perform", "Every Call", "--data", &input.to_string()]);
    let Value::Object(result) = &performed["result"] else { panic!("{performed}") };
    assert_eq!(result["wrong"], json!([]), "{:#}", result["wrong"]);
    assert!(result["count"].as_u64() >= Some(CALLS), "{}", result["count"]);

    let log = here.log();
    for line in ["an info", "a warning", "an error", "value: {", "INCOMING: {"] {
        assert!(log.contains(line), "{line} is not in the log");
    }
    assert!(!log.contains("never heard"));
    let tokens = ["spare", "issued", "revocable"].map(|field| input[field].as_str().expect("a text").to_owned());
    assert!(tokens.iter().all(|token| !log.contains(token)), "a token is in the log");
}

#[test]
fn without_a_service_it_is_the_same() {
    let cluster = Cluster::pair();
    let Cluster { publisher, mut subscriber, peer } = cluster;
    publisher.plugin("actions/Echo.js", ECHO);
    subscriber.stop();
    let text = "module.exports = (Coattail) => class extends Coattail.Action { async perform(id) {
        const peer = await Coattail.Peer.load({ id });
        const echoed = await peer.performAction({ name: 'Echo', data: 1 });
        await peer.delete();
        return [peer.token.performable(), peer.jwt !== '', echoed, (await Coattail.Peer.loadAll()).length];
    } };\n";
    subscriber.plugin("actions/Use.js", text);
    let performed = subscriber.json(&["action", "perform", "Use", "--data", &json!(peer).to_string()]);
    assert_eq!(performed["result"], json!([["*"], true, 1, 0]));
}
