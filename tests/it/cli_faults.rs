//! The faults of the original's command line do not come back, each provoked on real instances as it was there.

use std::fs;
use std::net::TcpListener;

use coattail_tests::{Cluster, Instance, plugin};
use serde_json::Value;

const NOBODY: &str = "0194d5c8-0000-7000-8000-000000000001";

/// Runs a command in a format of `COATTAIL_OUTPUT`; it must succeed and answer on stdout only.
#[track_caller]
fn answer(instance: &Instance, format: &str, arguments: &[&str]) -> String {
    let folder = instance.folder().display().to_string();
    let mut command = instance.command(&[arguments, &["--instance", &folder]].concat());
    let output = command.env("COATTAIL_OUTPUT", format).output().expect("it runs");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{arguments:?} {format}: {stderr}");
    if format == "json" {
        assert_eq!(stderr, "", "{arguments:?}");
    }
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn c1_what_fails_does_not_exit_with_0() {
    let instance = Instance::running("here");
    instance.plugin("actions/fails.sh", "#!/bin/sh\nexit 1\n");
    for (arguments, code, kind) in [
        (&["peers"][..], 2, "usage"),
        (&["peer", "show"], 2, "usage"),
        (&["peer", "show", NOBODY], 5, "not-found"),
        (&["peer", "remove", NOBODY, "--yes"], 5, "not-found"),
        (&["token", "revoke", NOBODY, "--yes"], 5, "not-found"),
        (&["validation", "remove", NOBODY, "--yes"], 5, "not-found"),
        (&["validation", "show", NOBODY], 5, "not-found"),
        (&["action", "perform", "-a", "fails"], 1, "failed"),
        (&["action", "perform", "-a", "none"], 5, "not-found"),
        // The service has the database.
        (&["data", "migrate", "latest"], 1, "busy"),
        (&["service", "stop", "4194304"], 3, "not-running"),
    ] {
        instance.run(&[arguments, &["--json"]].concat()).failed(code, kind);
    }
}

#[test]
fn c2_json_and_plain_answer_whatever_there_is_to_say() {
    for format in ["json", "plain"] {
        let mut instance = Instance::new("alone");
        for arguments in [
            &["peer", "list"][..],
            &["token", "list"],
            &["validation", "list"],
            &["subscribers", "list"],
            &["action", "list"],
            &["action", "list", "--receivers"],
        ] {
            let empty = if format == "json" { "[]\n" } else { "" };
            assert_eq!(answer(&instance, format, arguments), empty, "{arguments:?}");
        }
        for arguments in [
            &["action", "create", "made", "--language", "sh"][..],
            &["data", "migrate", "latest"],
            &["service", "start", "--headless"],
            &["service", "stop"],
        ] {
            one(format, arguments, &answer(&instance, format, arguments));
        }
        instance.start();
        instance.stop();
    }
}

#[test]
fn c2_json_and_plain_tell_what_has_ended() {
    for format in ["json", "plain"] {
        let cluster = Cluster::pair();
        let Cluster { publisher, subscriber, peer } = &cluster;
        publisher.plugin("actions/news.sh", plugin::ECHO_SH);
        subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
        let subscription = cluster.subscribe("news", "keep");
        let key = subscriber.run(&["validation", "issue", "-q", "-r"]).ok().stdout;
        let key = publisher.run_with(&["validation", "add", "-", "--json"], &key).ok().json()["id"].clone();
        let token = publisher.json(&["token", "list"])[0]["id"].clone();
        let id = |value: &Value| value.as_str().expect("an id").to_owned();
        for (instance, arguments) in [
            (publisher, ["subscribers", "revoke", &subscription, "--yes"]),
            (publisher, ["validation", "remove", &id(&key), "--yes"]),
            (publisher, ["token", "revoke", &id(&token), "--yes"]),
            (subscriber, ["peer", "remove", peer, "--force"]),
        ] {
            one(format, &arguments, &answer(instance, format, &arguments));
        }
    }
}

/// One object, or lines of two cells.
#[track_caller]
fn one(format: &str, arguments: &[&str], text: &str) {
    if format == "json" {
        let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {text}"));
        assert!(value.is_object(), "{arguments:?}: {text}");
    } else {
        assert!(!text.is_empty() && text.lines().all(|line| line.split('\t').count() == 2), "{arguments:?}: {text}");
    }
}

#[test]
fn c3_the_scripting_form_prints_a_token_and_ends_well() {
    let instance = Instance::new("here");
    for group in ["token", "validation"] {
        let output = instance.run(&[group, "issue", "-q", "-r"]).ok();
        assert_eq!((output.stdout.lines().count(), output.stderr.as_str()), (1, ""), "{output:?}");
        assert_eq!(output.stdout.split('.').count(), 3, "{output:?}");
    }
}

#[test]
fn c4_a_mistyped_option_makes_no_token() {
    let instance = Instance::new("here");
    instance.run(&["token", "issue", "--expire-in", "1h", "--json"]).failed(2, "usage");
    assert_eq!(instance.json(&["token", "list"]), Value::Array(Vec::new()));
}

#[test]
fn c5_a_number_without_a_unit_is_seconds() {
    let instance = Instance::new("here");
    let token = instance.json(&["token", "issue", "--expires-in", "60", "--not-before", "-5"]);
    let seconds = |key: &str| {
        let time = token[key].as_str().expect("a time");
        let (_, time) = time.trim_end_matches('Z').split_once('T').expect("a date and a time");
        time.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().expect("a number"))
    };
    let day = 24 * 60 * 60;
    assert_eq!((seconds("expires") - seconds("issued")).rem_euclid(day), 60, "{token}");
    assert_eq!((seconds("issued") - seconds("effective")).rem_euclid(day), 5, "{token}");
}

#[test]
fn c7_the_short_form_of_peer_reaches_the_peer() {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/where.sh", "#!/bin/sh\nprintf '\"there\"'\n");
    cluster.subscriber.plugin("actions/where.sh", "#!/bin/sh\nprintf '\"here\"'\n");
    let answer = cluster.subscriber.json(&["action", "perform", "-p", &cluster.peer, "-a", "where", "-d", "{}"]);
    assert_eq!(answer["result"], "there");
}

#[test]
fn c8_an_unknown_peer_is_not_found_by_any_command() {
    let instance = Instance::new("here");
    for arguments in [
        &["action", "list"][..],
        &["action", "perform", "-a", "x"],
        &["action", "publish", "-a", "x", "-d", "1"],
        &["action", "subscribe", "-a", "x", "-r", "y"],
    ] {
        instance.plugin("receivers/y.sh", plugin::KEEP_SH);
        instance.run(&[arguments, &["--peer", NOBODY, "--json"]].concat()).failed(5, "not-found");
    }
}

#[test]
fn c9_c10_a_port_that_another_program_has_is_told() {
    let instance = Instance::new("here");
    let _listener = TcpListener::bind(("127.0.0.1", instance.port())).expect("it is free");
    let error = instance.run(&["service", "start", "--json"]).exited(1);
    assert!(error.stderr.contains(&format!("127.0.0.1:{} is in use", instance.port())), "{error:?}");
    let error = instance.run(&["service", "start", "--headless", "--json"]).failed(1, "failed");
    assert!(error["message"].as_str().is_some_and(|message| message.contains("is in use")), "{error}");
    // That program is no service.
    let output = instance.run(&["service", "status", "--json"]).exited(3);
    assert_eq!(output.stdout, "[]\n");
    let own = std::process::id().to_string();
    instance.run(&["service", "stop", &own, "--json"]).failed(3, "not-running");
}

#[test]
fn c11_what_names_no_subscription_ends_none() {
    let instance = Instance::new("here");
    instance.run(&["action", "unsubscribe", "--json"]).failed(2, "usage");
    instance.run(&["subscribers", "revoke", "--json"]).failed(2, "usage");
    instance.run(&["subscribers", "revoke", NOBODY, "--yes", "--json"]).failed(5, "not-found");
    instance.run(&["action", "unsubscribe", "-p", NOBODY, "-a", "x", "-r", "y", "--json"]).failed(5, "not-found");
}

#[test]
fn c12_a_token_is_shown_as_it_is() {
    let instance = Instance::new("here");
    let token = instance.json(&["token", "issue", "--not-before", "3h"]);
    let shown = instance.run(&["token", "show", token["id"].as_str().expect("an id")]).ok().stdout;
    let line = |name: &str| shown.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(line("effective").ends_with("(in 3 h)"), "{shown}");
    assert!(line("bearers").ends_with("anyone"), "{shown}");
    // Its own folder is no peer.
    let own = instance.folder().display().to_string();
    instance.run(&["peer", "show", &own, "--json"]).failed(5, "not-found");
    // What is no token, or one that names no port.
    for text in ["x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.c2ln"] {
        let output = instance.run_with(&["peer", "add", "-", "--json"], text);
        let kind = output.error()["code"].as_str().unwrap_or_default().to_owned();
        assert!(["token-refused", "invalid-input"].contains(&kind.as_str()), "{text}: {output:?}");
    }
}

#[test]
fn c13_what_is_explained_is_there() {
    let instance = Instance::new("here");
    let help = instance.run_outside(&["help", "token"]).ok().stdout;
    for command in ["issue", "issuer", "list", "show", "revoke"] {
        assert!(help.lines().any(|line| line.trim_start().starts_with(command)), "{command}: {help}");
    }
    // A range, which in the original's example made a token that nobody could use.
    instance.run(&["token", "issue", "-b", "10.0.0.0/8", "--json"]).failed(2, "invalid-input");
    let token = instance.json(&["token", "issue", "-b", "ipv4://10.0.0.0/8"]);
    assert_eq!(token["bearers"][0], "ipv4://10.0.0.0/8");
    let id = token["id"].as_str().expect("an id");
    instance.run(&["token", "revoke", id, "--json"]).failed(2, "usage");
    let _ = instance.json(&["token", "revoke", id, "--force"]);
    // A file, as its label offered.
    instance.plugin("actions/echo.sh", plugin::ECHO_SH);
    fs::write(instance.path("in.json"), "[1]").expect("written");
    let data = format!("@{}", instance.path("in.json").display());
    assert_eq!(instance.json(&["action", "perform", "-a", "echo", "-d", &data])["result"], serde_json::json!([1]));
}

#[test]
fn c14_only_the_end_of_a_name_is_cut_off() {
    let instance = Instance::new("here");
    for name in ["a.js.b.js", "well.js"] {
        instance.plugin(&format!("actions/{name}"), plugin::ECHO_JS);
    }
    let listed = instance.json(&["action", "list"]);
    let names: Vec<_> = listed.as_array().expect("a list").iter().map(|entry| entry["id"].clone()).collect();
    assert_eq!(names, ["a.js.b", "well"]);
    assert_eq!(instance.json(&["action", "perform", "-a", "a.js.b", "-d", "1"])["result"], 1);
}

#[test]
fn c15_an_instance_is_made_whole_or_not_at_all() {
    let elsewhere = Instance::new("here");
    let folder = elsewhere.path("new/below #1");
    let text = folder.display().to_string();
    let _ = elsewhere.run_outside(&["new", &text]).ok();
    assert_eq!(elsewhere.run_outside(&["token", "list", "--json", "-i", &text]).ok().json(), Value::Array(Vec::new()));

    let full = elsewhere.path("full");
    fs::create_dir(&full).expect("made");
    fs::write(full.join("mine"), "mine").expect("written");
    let output = elsewhere.run_outside(&["new", "--json", &full.display().to_string()]);
    assert_ne!(output.code, Some(0), "{output:?}");
    let left: Vec<_> = fs::read_dir(&full).expect("it is there").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(left, ["mine"]);
}
