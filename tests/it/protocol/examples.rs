//! Every example is read by the type of its method and written again as it stands there, and every method has one.

use std::collections::BTreeSet;
use std::fs;

use coattail::wire::{
    ErrorCode, Method, control, dead_letters, dev, doctor, fate, host, jobs, peer, plugin, plugins, publications,
    subscriptions, trace,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::document;

/// What reads a method's parameters and its answer, and writes them again.
struct Check {
    wire: &'static str,
    method: &'static str,
    params: fn(&Value) -> Result<Value, serde_json::Error>,
    reply: fn(&Value) -> Result<Value, serde_json::Error>,
}

fn check<M: Method>(wire: &'static str) -> Check {
    Check { wire, method: M::NAME, params: again::<M>, reply: again::<M::Reply> }
}

fn again<T: Serialize + DeserializeOwned>(value: &Value) -> Result<Value, serde_json::Error> {
    // Through a text, as on the wire: what is passed on untouched is read from there only.
    serde_json::from_str(&serde_json::to_string(&serde_json::from_str::<T>(&value.to_string())?)?)
}

macro_rules! checks {
    ($($wire:ident: $($method:ident)*;)*) => { vec![$($(check::<$wire::$method>(stringify!($wire))),*),*] };
}

#[rustfmt::skip]
fn checks() -> Vec<Check> {
    let mut checks = checks! {
        peer: Hello Authenticate Ping ListActions ListReceivers Perform Cancel Log Progress Working Publish Subscribe
            IssueSubscription Attach Unsubscribe Revoke Deliver Whereabouts;
        plugin: Initialize Perform Receive Cancel Shutdown;
        host: ListActions ListReceivers Perform Cancel Publish PublishBatch Subscribe Unsubscribe ListPeers ShowPeer
            ListSubscribers RevokeSubscriber Log Progress Working RetryAfter;
        control: Status Stop Issuer IssueToken ListTokens ShowToken RevokeToken AddPeer ShowPeerToken RemovePeer
            IssueValidation AddValidation ListValidations ShowValidation RemoveValidation ListAudit
            RotateKey ListKeys SetPeerAddress PluginLogs LogLine;
    };
    // In files of their own, on the same wires.
    checks.extend([
        check::<doctor::Doctor>("control"), check::<plugins::ShowPlugin>("control"),
        check::<plugins::ReloadPlugins>("control"), check::<jobs::StartJob>("host"), check::<jobs::ListJobs>("host"),
        check::<jobs::ShowJob>("host"), check::<jobs::WaitForJob>("host"), check::<jobs::CancelJob>("host"),
        check::<jobs::JobLogs>("host"), check::<publications::ListPublications>("control"),
        check::<publications::ShowPublication>("control"), check::<publications::TailPublications>("control"), check::<publications::WatchReach>("control"), check::<trace::TracePublication>("control"), check::<fate::Reach>("peer"), check::<fate::Trace>("peer"),
        check::<publications::VerifyPublications>("control"), check::<publications::SchedulePublication>("control"),
        check::<publications::ListScheduled>("control"), check::<publications::UnschedulePublication>("control"),
        check::<dead_letters::ListDeadLetters>("control"),
        check::<dead_letters::ShowDeadLetter>("control"), check::<dead_letters::ReplayDeadLetters>("control"),
        check::<dead_letters::DropDeadLetters>("control"),
        check::<subscriptions::ListSubscriptions>("control"), check::<subscriptions::PauseSubscription>("control"),
        check::<subscriptions::ResumeSubscription>("control"), check::<subscriptions::PauseSubscriber>("control"),
        check::<subscriptions::ResumeSubscriber>("control"),
        check::<dev::TestPlugin>("control"), check::<dev::ReadReceived>("control"),
        check::<dev::PluginFiles>("control"), check::<dev::WatchPlugins>("control"), check::<dev::Given>("control"),
    ]);
    checks
}

#[test]
fn every_example_is_what_the_types_say() {
    let checks = checks();
    for example in document::conversations().iter().flatten() {
        let (line, method) = (example.line, &example.call.method);
        if method == NO_METHOD {
            continue;
        }
        let check = checks.iter().find(|check| check.wire == example.wire && check.method == method);
        let check = check.unwrap_or_else(|| panic!("PROTOCOL.md:{line}: wire {} has no method {method}", example.wire));
        match (check.params)(&example.call.params) {
            Ok(again) => assert_eq!(again, example.call.params, "PROTOCOL.md:{line}: {method} is written otherwise"),
            Err(error) => {
                let code = example.answer.as_ref().and_then(|answer| answer.error.as_ref()?.get("code")?.as_i64());
                let refused = i64::from(ErrorCode::InvalidInput.number());
                assert_eq!(code, Some(refused), "PROTOCOL.md:{line}: {method}: {error}");
            }
        }
        let Some(answer) = &example.answer else {
            assert!(example.call.id.is_none(), "PROTOCOL.md:{line}: {method} is a call, and has no answer");
            continue;
        };
        if let Some(result) = &answer.result {
            let again = (check.reply)(result).unwrap_or_else(|error| panic!("PROTOCOL.md:{line}: answer: {error}"));
            assert_eq!(&again, result, "PROTOCOL.md:{line}: the answer of {method} is written otherwise");
        }
        if let Some(error) = &answer.error {
            let number = error["code"].as_i64().expect("an error has a code");
            let known = ErrorCode::ALL.iter().any(|code| i64::from(code.number()) == number);
            assert!(known && error["message"].is_string(), "PROTOCOL.md:{line}: {error}");
        }
    }
}

#[test]
fn every_method_has_an_example() {
    let conversations = document::conversations();
    let shown: BTreeSet<(&str, &str)> = conversations
        .iter()
        .flatten()
        .filter(|example| example.answer.as_ref().is_none_or(|answer| answer.error.is_none()))
        .map(|example| (example.wire.as_str(), example.call.method.as_str()))
        .collect();
    let mut methods = BTreeSet::new();
    for (file, wire) in [
        ("peer", "peer"),
        ("fate", "peer"),
        ("plugin", "plugin"),
        ("host", "host"),
        ("jobs", "host"),
        ("control", "control"),
        ("dead_letters", "control"),
        ("subscriptions", "control"),
        ("doctor", "control"),
        ("plugins", "control"),
        ("publications", "control"),
        ("trace", "control"),
        ("dev", "control"),
    ] {
        let path = document::root().join(format!("sdk-rust/src/wire/{file}.rs"));
        let source = fs::read_to_string(path).expect("each wire has its file");
        let lines = source.lines().filter(|line| line.starts_with("method!("));
        methods.extend(lines.map(|line| (wire, line.split('"').nth(1).expect("a name").to_owned())));
    }
    let methods: BTreeSet<(&str, &str)> = methods.iter().map(|(wire, name)| (*wire, name.as_str())).collect();
    let checked: BTreeSet<(&str, &str)> = checks().iter().map(|check| (check.wire, check.method)).collect();
    assert_eq!(methods, checked, "the methods of the wires, and those that this test checks");
    let missing: Vec<_> = methods.difference(&shown).collect();
    assert!(missing.is_empty(), "PROTOCOL.md has no example of {missing:?}");
}

#[test]
fn every_error_code_stands_in_the_table() {
    let text = document::text();
    for code in ErrorCode::ALL {
        let row = format!("| {} | `{}` | ", code.number(), code.name());
        assert!(text.contains(&row), "PROTOCOL.md has no row {row:?}");
    }
}

#[test]
fn an_example_that_is_wrong_is_found() {
    let checks = checks();
    let perform =
        checks.iter().find(|check| (check.wire, check.method) == ("peer", "actions.perform")).expect("listed");
    let right =
        json!({"call": "01a1f817-0a01-7b22-8e57-1f4a6f0f3c02", "action": "Count", "input": null, "publish": true});
    assert_eq!((perform.params)(&right).expect("it is right"), right);
    for wrong in [json!({"call": "1", "action": "Count"}), json!({"action": "Count"}), json!([])] {
        assert!((perform.params)(&wrong).is_err(), "{wrong}");
    }
    let mut more = right.clone();
    more["later"] = json!(1);
    assert_ne!((perform.params)(&more).expect("what is unknown is ignored"), more);
}

/// Stands in the document to show what becomes of it.
const NO_METHOD: &str = "no.such.method";
