//! JSON Schemas of inputs and outputs, with real processes.

use coattail::wire::ErrorCode;
use coattail::wire::plugin::Kind;
use serde_json::{Value, json};

use crate::bench::Bench;

crate::tests![
    an_input_that_does_not_fit_starts_nothing,
    what_does_not_fit_is_told_with_place_and_rule,
    an_output_that_does_not_fit_is_held_back,
    a_plugin_says_itself_what_it_takes_and_returns,
    the_sidecar_wins_side_by_side,
    a_wrong_schema_is_a_problem_of_its_sidecar,
    a_plugin_with_a_wrong_schema_does_not_start,
    a_publication_that_does_not_fit_is_rejected,
    schemas_are_asked_for_once,
    a_large_input_is_checked_too,
];

const FOLDER: &str = "input: {type: object, required: [folder], properties: {folder: {type: string}}}\n";

/// A worker that says what it takes and returns, notes each start, and answers each call with its input.
fn speaking(bench: &Bench, name: &str, schemas: &Value) {
    let program = format!(
        "#!/usr/bin/env python3\nimport json, os, sys\nschemas = json.loads({:?})\n\
         open(os.environ['COATTAIL_INSTANCE'] + '/{name}.starts', 'a').write('x')\n\
         for line in sys.stdin:\n    asked = json.loads(line)\n    if 'id' not in asked: continue\n    \
         result = {{'output': asked['params'].get('input')}}\n    \
         if asked['method'] == 'initialize': result = {{'protocol': 1, **schemas}}\n    \
         print(json.dumps({{'jsonrpc': '2.0', 'id': asked['id'], 'result': result}}), flush=True)\n    \
         if asked['method'] == 'shutdown': break\n",
        schemas.to_string(),
    );
    bench.file(&format!("actions/{name}"), &program);
}

fn starts(bench: &Bench, name: &str) -> usize {
    std::fs::read(bench.folder.path().join(format!("{name}.starts"))).map_or(0, |starts| starts.len())
}

async fn an_input_that_does_not_fit_starts_nothing() {
    let bench = Bench::new();
    bench.file("actions/touch.sh", "touch \"$COATTAIL_INSTANCE/ran\"; cat");
    bench.file("actions/touch.yml", FOLDER);
    speaking(&bench, "warm", &json!({}));
    bench.file("actions/warm.yml", FOLDER);
    for name in ["touch", "warm"] {
        for input in [None, Some("42"), Some(r#"{"folder": 42}"#)] {
            assert_eq!(bench.perform(name, input).await.unwrap_err().code, ErrorCode::InvalidInput);
        }
    }
    assert!(!bench.folder.path().join("ran").exists());
    assert_eq!(starts(&bench, "warm"), 0);
    for name in ["touch", "warm"] {
        bench.perform(name, Some(r#"{"folder": "a"}"#)).await.unwrap();
    }
}

async fn what_does_not_fit_is_told_with_place_and_rule() {
    let bench = Bench::new();
    bench.file("actions/backup.sh", "cat");
    bench.file("actions/backup.yml", FOLDER);
    let failure = bench.perform("backup", Some(r#"{"folder": 42}"#)).await.unwrap_err();
    assert_eq!(
        failure.message,
        "input of action `backup` does not fit its schema at /folder: 42 is not of type \"string\""
    );
    assert!(failure.hint.unwrap().contains("coattail action list --schemas --json"));
    let data: Value = serde_json::from_str(failure.data.unwrap().get()).unwrap();
    assert_eq!(
        data,
        json!([{
            "pointer": "/folder", "rule": "/properties/folder/type", "message": "42 is not of type \"string\"",
        }])
    );
}

async fn an_output_that_does_not_fit_is_held_back() {
    let bench = Bench::new();
    bench.file("actions/count.sh", "printf '{\"n\": \"the secret\"}'");
    bench.file("actions/count.yml", "output: {properties: {n: {type: integer}}}");
    let failure = bench.perform("count", None).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::Failed);
    assert_eq!(
        failure.message,
        "output of action `count` does not fit its schema at /n: the value is not of type \"integer\""
    );
    assert!(failure.hint.unwrap().starts_with("the action is at fault"));
    assert!(!failure.data.unwrap().get().contains("secret"));
}

async fn a_plugin_says_itself_what_it_takes_and_returns() {
    let bench = Bench::new();
    let schemas = json!({"input": {"type": ["integer", "null"]}, "output": {"maximum": 10}});
    speaking(&bench, "own", &schemas);
    // Cold: the plugin has to be started before it is known what it takes; it is not asked to do it.
    let failure = bench.perform("own", Some("\"a\"")).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::InvalidInput);
    assert_eq!(bench.perform("own", Some("10")).await.unwrap().as_deref(), Some("10"));
    assert_eq!(bench.perform("own", None).await.unwrap().as_deref(), Some("null"));
    assert_eq!(bench.perform("own", Some("11")).await.unwrap_err().code, ErrorCode::Failed);
    assert_eq!(bench.perform("own", Some("\"a\"")).await.unwrap_err().code, ErrorCode::InvalidInput);
    assert_eq!(starts(&bench, "own"), 1);
}

async fn the_sidecar_wins_side_by_side() {
    let bench = Bench::new();
    speaking(&bench, "own", &json!({"input": {"type": "strin"}, "output": {"maximum": 10}}));
    bench.file("actions/own.yml", "input: {type: integer}");
    assert_eq!(bench.perform("own", Some("10")).await.unwrap().as_deref(), Some("10"));
    assert_eq!(bench.perform("own", Some("11")).await.unwrap_err().code, ErrorCode::Failed);
    assert_eq!(bench.perform("own", Some("\"a\"")).await.unwrap_err().code, ErrorCode::InvalidInput);
}

async fn a_wrong_schema_is_a_problem_of_its_sidecar() {
    let bench = Bench::new();
    bench.file("actions/wrong.sh", "cat");
    for (sidecar, place) in [
        ("input: {properties: {a: {type: strin}}}", "the `input` schema in `"),
        ("output: {properties: {a: {type: strin}}}", "the `output` schema in `"),
    ] {
        bench.file("actions/wrong.yml", sidecar);
        let problem = bench.problem(Kind::Action, "wrong").unwrap();
        assert!(
            problem.starts_with(place) && problem.contains("wrong.yml` is wrong at /properties/a/type"),
            "{problem}"
        );
        assert_eq!(bench.perform("wrong", None).await.unwrap_err().code, ErrorCode::PluginBroken);
    }
    bench.file("receivers/keep.sh", "cat");
    bench.file("receivers/keep.yml", "output: {}");
    let problem = bench.problem(Kind::Receiver, "keep").unwrap();
    assert!(problem.ends_with("keep.yml` has an `output`, and a receiver returns nothing"), "{problem}");
}

async fn a_plugin_with_a_wrong_schema_does_not_start() {
    let bench = Bench::new();
    speaking(&bench, "own", &json!({"output": {"$ref": "https://example.com/schema.json"}}));
    let failure = bench.perform("own", None).await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::PluginBroken);
    assert!(failure.message.starts_with("action `own` does not start: its own `output` is wrong"), "{failure}");
}

async fn a_publication_that_does_not_fit_is_rejected() {
    let bench = Bench::new();
    bench.file("receivers/keep.sh", "touch \"$COATTAIL_INSTANCE/ran\"");
    bench.file("receivers/keep.yml", FOLDER);
    let failure = bench.receive("keep", "{}").await.unwrap_err();
    assert_eq!(failure.code, ErrorCode::Rejected);
    assert_eq!(failure.message, "input of receiver `keep` does not fit its schema: \"folder\" is a required property");
    assert!(!bench.folder.path().join("ran").exists());
    bench.receive("keep", r#"{"folder": "a"}"#).await.unwrap();
}

async fn schemas_are_asked_for_once() {
    let bench = Bench::new();
    speaking(&bench, "own", &json!({"input": {"type": "integer"}}));
    speaking(&bench, "mute", &json!({}));
    speaking(&bench, "other", &json!({}));
    bench.file("actions/broken", "#!/bin/sh\nexit 1\n");
    bench.file("actions/plain.sh", "touch \"$COATTAIL_INSTANCE/ran\"");
    let input = |name: &str| {
        let found = bench.plugins.list(Kind::Action).into_iter().find(|found| found.name == name).unwrap();
        found.input.map(|schema| schema.get().to_owned())
    };
    assert_eq!(input("own"), None);
    for _ in 0..2 {
        bench.plugins.learn_schemas(Kind::Action, |name| name != "other").await;
    }
    assert_eq!(input("own").as_deref(), Some(r#"{"type":"integer"}"#));
    assert_eq!((input("mute"), input("broken"), input("plain")), (None, None, None));
    assert_eq!((starts(&bench, "own"), starts(&bench, "mute"), starts(&bench, "other")), (1, 1, 0));
    assert!(!bench.folder.path().join("ran").exists());
}

async fn a_large_input_is_checked_too() {
    let bench = Bench::new();
    bench.file("actions/cat.sh", "cat");
    bench.file("actions/cat.yml", "input: {items: {type: string}}\n");
    let input = |last: &str| format!("[{}{last}]", "\"a\",".repeat(100_000));
    let failure = bench.perform("cat", Some(&input("1"))).await.unwrap_err();
    assert!(failure.message.ends_with("at /100000: 1 is not of type \"string\""), "{failure}");
    bench.perform("cat", Some(&input("\"a\""))).await.unwrap();
}
