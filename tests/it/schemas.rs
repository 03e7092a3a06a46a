//! What an action takes and returns: checked, shown to those with a grant, and made into types.

use std::fs;

use coattail_tests::{Cluster, Instance, until};
use serde_json::{Value, json};

const BACKUP_SH: &str = "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/ran\"\ncat\n";

const BACKUP_YML: &str = "input:\n  type: object\n  required: [folder]\n  properties: {folder: {type: string}}\n\
                          output: {properties: {folder: {maxLength: 8}}}\n";

/// Says itself what it takes.
const OWN: &str = "#!/usr/bin/env python3\nimport json, os, sys\n\
                   open(os.environ['COATTAIL_INSTANCE'] + '/own-started', 'w').close()\n\
                   for line in sys.stdin:\n    asked = json.loads(line)\n    if 'id' not in asked: continue\n    \
                   own = {'protocol': 1, 'input': {'type': 'integer'}}\n    \
                   result = own if asked['method'] == 'initialize' else {'output': 1}\n    \
                   print(json.dumps({'jsonrpc': '2.0', 'id': asked['id'], 'result': result}), flush=True)\n";

fn publisher() -> Instance {
    let publisher = Instance::running("publisher");
    for name in ["backup", "secret"] {
        publisher.plugin(&format!("actions/{name}.sh"), BACKUP_SH);
        publisher.plugin(&format!("actions/{name}.yml"), BACKUP_YML);
    }
    publisher.plugin("actions/own", OWN);
    publisher
}

fn granting(grants: &[&str]) -> Cluster {
    Cluster::of(publisher(), Instance::running("subscriber"), grants)
}

fn schema_of<'a>(list: &'a Value, name: &str) -> &'a Value {
    let entries = list.as_array().expect("a list");
    &entries.iter().find(|entry| entry["id"] == name).unwrap_or_else(|| panic!("no {name} in {list}"))["input"]
}

#[test]
fn what_does_not_fit_is_refused_with_the_place_and_the_rule() {
    let cluster = granting(&["--performable", "[\"backup\"]"]);
    let perform = ["action", "perform", "backup", "--data", "{\"folder\": 42}", "--json"];
    let at_peer = [&perform[..], &["--peer", &cluster.peer]].concat();
    for output in [cluster.publisher.run(&perform), cluster.subscriber.run(&at_peer)] {
        let error = output.failed(2, "invalid-input");
        assert_eq!(
            error["message"],
            "input of action `backup` does not fit its schema at /folder: 42 is not of type \"string\""
        );
        assert_eq!(error["data"][0]["pointer"], "/folder");
        assert_eq!(error["data"][0]["rule"], "/properties/folder/type");
    }
    assert!(!cluster.publisher.path("ran").exists(), "nothing was started");
}

#[test]
fn what_an_action_should_not_return_is_neither_returned_nor_published() {
    let cluster = granting(&["--performable", "[\"backup\"]", "--publishable", "[\"backup\"]"]);
    let long = "{\"folder\": \"/home/ada/secret\"}";
    let perform = ["action", "perform", "backup", "--data", long, "--notify", "--peer", &cluster.peer, "--json"];
    let error = cluster.subscriber.run(&perform).failed(1, "failed");
    let message = error["message"].as_str().expect("a message");
    assert!(message.starts_with("output of action `backup` does not fit its schema at /folder: "), "{message}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(cluster.publisher.path("ran").exists(), "it was done");
    assert_eq!(cluster.publisher.counts()["published"], 0);
}

#[test]
fn schemas_are_shown_to_those_with_a_grant() {
    let cluster = granting(&["--performable", "[\"backup\"]", "--subscribable", "[\"own\"]"]);
    let list = ["action", "list", "--peer", &cluster.peer];
    // A list alone starts nothing.
    let known = cluster.subscriber.json(&list);
    assert_eq!(schema_of(&known, "backup")["required"], json!(["folder"]));
    assert_eq!(*schema_of(&known, "own"), Value::Null);
    assert!(!cluster.publisher.path("own-started").exists());
    let asked = cluster.subscriber.json(&[&list[..], &["--schemas"]].concat());
    assert_eq!(*schema_of(&asked, "own"), json!({"type": "integer"}));
    assert!(asked.as_array().expect("a list").iter().all(|entry| entry["id"] != "secret"), "{asked}");
}

#[test]
fn nothing_is_started_for_those_without_a_grant() {
    let cluster = granting(&["--performable", "[]", "--publishable", "[]", "--subscribable", "[]"]);
    let list = cluster.subscriber.json(&["action", "list", "--schemas", "--peer", &cluster.peer]);
    assert_eq!(list, json!([]));
    assert!(!cluster.publisher.path("own-started").exists());
    let types = ["action", "types", "backup", "--language", "ts", "--peer", &cluster.peer, "--json"];
    cluster.subscriber.run(&types).failed(5, "not-found");
}

#[test]
fn types_are_generated_from_what_a_peer_shows() {
    let cluster = granting(&["--performable", "[\"*\"]"]);
    let types = ["action", "types", "--peer", &cluster.peer, "--language"];
    let typescript = cluster.subscriber.run(&[&types[..], &["ts"]].concat()).ok().stdout;
    for line in ["export interface BackupInput {", "  folder: string;", "export type OwnInput = number;"] {
        assert!(typescript.contains(line), "{typescript}");
    }
    let file = cluster.subscriber.path("office.py");
    let to_file = ["py", "backup", "--output", file.to_str().expect("UTF-8")];
    let written = cluster.subscriber.json(&[&types[..], &to_file].concat());
    assert_eq!((&written["actions"], &written["language"]), (&json!(1), &json!("py")));
    let python = fs::read_to_string(file).expect("it was written");
    assert!(python.contains("class BackupInput(typing.TypedDict):") && !python.contains("OwnInput"), "{python}");
    let object = cluster.subscriber.json(&[&types[..], &["ts"]].concat());
    assert_eq!(object["code"].as_str().map(str::trim_end), Some(typescript.trim_end()));
}

#[test]
fn a_publication_that_does_not_fit_goes_to_the_dead_letters() {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/backup.sh", BACKUP_SH);
    cluster.subscriber.plugin("receivers/keep.sh", "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/ran\"\n");
    cluster.subscriber.plugin("receivers/keep.yml", "input: {type: object}");
    cluster.subscribe("backup", "keep");
    cluster.publish("backup", "42");
    cluster.subscriber.wait_for("dead", 1);
    assert!(!cluster.subscriber.path("ran").exists());
    // What comes after it is not held up.
    cluster.publish("backup", "{}");
    until("the next is received", || cluster.subscriber.path("ran").exists().then_some(()));
}
