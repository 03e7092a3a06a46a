//! The main job in one test: actions in every language, at a peer, and publications to receivers in every language.

use std::fs;

use coattail_tests::{Cluster, plugin, until};

#[test]
fn actions_and_receivers_of_every_language_work_across_instances() {
    let cluster = Cluster::pair();
    let Cluster { publisher, subscriber, peer } = &cluster;
    for (name, text) in [("js.js", plugin::ECHO_JS), ("py.py", plugin::ECHO_PY), ("sh.sh", plugin::ECHO_SH)] {
        publisher.plugin(&format!("actions/{name}"), text);
    }
    let native = coattail_tests::instance::binary("fixture-plugin");
    fs::copy(native, publisher.path("actions/native")).expect("copied");
    for (name, text) in [("js.js", plugin::KEEP_JS), ("py.py", plugin::KEEP_PY), ("sh.sh", plugin::KEEP_SH)] {
        subscriber.plugin(&format!("receivers/{name}"), text);
    }
    for action in ["js", "py", "sh", "native"] {
        let performed =
            subscriber.json(&["action", "perform", "--peer", peer, "--action", action, "--data", "{\"n\":1.50}"]);
        assert_eq!(performed["result"], serde_json::json!({"n": 1.5}), "{action}");
    }
    for receiver in ["js", "py", "sh"] {
        cluster.subscribe("js", receiver);
    }
    publisher.run(&["action", "perform", "--action", "js", "--data", "{\"n\":2}", "--notify"]).ok().json();
    subscriber.wait_for("handled", 3);
    let received = until("three lines", || {
        fs::read_to_string(subscriber.path("received.jsonl")).ok().filter(|text| text.lines().count() == 3)
    });
    assert!(received.lines().all(|line| line.replace(' ', "") == "{\"n\":2}"), "{received}");
}
