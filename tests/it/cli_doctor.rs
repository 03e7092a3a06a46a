//! The doctor finds what is wrong, and says what to try.

use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use coattail_tests::{Cluster, Instance, plugin};
use serde_json::Value;

/// What is not as it should be: level, area and the first word of the subject. All of it has a hint.
#[track_caller]
fn wrong(instance: &Instance, exit: i32) -> Vec<(String, String, String)> {
    let output = instance.run(&["doctor", "--json"]).exited(exit);
    let findings = output.json();
    let findings: &Vec<Value> = findings.as_array().expect("a list");
    let text = |finding: &Value, key: &str| finding[key].as_str().unwrap_or_default().to_owned();
    let wrong = findings.iter().filter(|finding| finding["level"] != "ok").map(|finding| {
        assert_ne!(text(finding, "hint"), "", "{finding}");
        (text(finding, "level"), text(finding, "area"), text(finding, "subject"))
    });
    // A runtime that this machine lacks is no fault of the instance.
    wrong.filter(|(_, area, _)| area != "runtimes").collect()
}

fn is(level: &str, area: &str, subject: &str) -> (String, String, String) {
    (level.to_owned(), area.to_owned(), subject.to_owned())
}

#[test]
fn with_and_without_a_service_all_is_well() {
    let mut instance = Instance::new("here");
    instance.plugin("actions/echo.sh", plugin::ECHO_SH);
    instance.plugin("actions/py.py", plugin::ECHO_PY);
    instance.plugin("actions/js.js", plugin::ECHO_JS);
    assert_eq!(wrong(&instance, 0), []);
    instance.start();
    assert_eq!(wrong(&instance, 0), []);
    let text = instance.run(&["doctor"]).ok().stdout;
    assert!(text.contains("the service listens"), "{text}");
}

#[test]
fn keys_and_settings_are_looked_at_although_the_instance_cannot_be_opened() {
    let instance = Instance::new("here");
    let key = instance.path("keys/vt-key.pem");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).expect("a mode");
    fs::remove_file(instance.path("keys/tls-cert.pem")).expect("it was there");
    assert_eq!(wrong(&instance, 1), [is("failure", "keys", "vt-key.pem"), is("failure", "keys", "tls-key.pem")]);
    assert_ne!(instance.run(&["token", "list", "--json"]).code, Some(0));

    instance.configure("limit: {}");
    assert_eq!(wrong(&instance, 1), [is("failure", "config", "config.yml")]);
}

#[test]
fn plugins_that_do_not_start_are_found() {
    let instance = Instance::new("here");
    instance.plugin("actions/well.py", plugin::ECHO_PY);
    instance.plugin("actions/ends.py", "raise SystemExit('not today')\n");
    instance.plugin("receivers/twice.sh", plugin::KEEP_SH);
    instance.plugin("receivers/twice.py", plugin::KEEP_PY);
    assert_eq!(
        wrong(&instance, 1),
        [is("failure", "plugins", "action ends"), is("failure", "plugins", "receiver twice")]
    );
}

#[test]
fn a_port_that_somebody_has_is_found() {
    let instance = Instance::new("here");
    let port = instance.port();
    let listener = TcpListener::bind(("127.0.0.1", port)).expect("it is free");
    assert_eq!(wrong(&instance, 1), [is("failure", "port", &format!("127.0.0.1:{port}"))]);
    drop(listener);
    assert_eq!(wrong(&instance, 0), []);
}

#[test]
fn tokens_that_end_soon_are_found_on_both_sides() {
    let cluster = Cluster::with_grants(&["--expires-in", "3 days"]);
    let Cluster { publisher, subscriber, peer } = &cluster;
    let _ = publisher.json(&["token", "issue", "--expires-in", "15 days"]);
    let soon = publisher.json(&["token", "list"])[0]["id"].as_str().expect("an id").to_owned();
    assert_eq!(wrong(publisher, 0), [is("warning", "tokens", &soon)]);
    assert_eq!(wrong(subscriber, 0), [is("warning", "peers", &format!("the token of {peer}"))]);
}

#[test]
fn each_peer_is_tried_at_each_address() {
    let mut cluster = Cluster::pair();
    let findings = cluster.subscriber.json(&["doctor"]);
    let at = format!("{} at net:127.0.0.1:{}~tls", cluster.peer, cluster.publisher.port());
    let found = findings.as_array().expect("a list").iter().find(|finding| finding["area"] == "peers").cloned();
    let found = found.expect("there is a peer");
    assert_eq!((&found["level"], &found["subject"]), (&"ok".into(), &Value::from(at.as_str())));
    assert!(found["millis"].is_u64(), "{found}");

    // One address of two: the other is tried as well, so it is a warning.
    let two = Instance::new("two");
    let dead = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port").port();
    let config = fs::read_to_string(two.path("config.yml")).expect("it is there");
    let with = config.replacen("addresses: []", &format!("addresses: [\"net:127.0.0.1:{dead}~tls\"]"), 1);
    assert_ne!(config, with, "the template has a list of addresses:\n{config}");
    fs::write(two.path("config.yml"), with).expect("written");
    let mut two = two;
    two.start();
    let peer = coattail_tests::cluster::add_peer(&two, &cluster.subscriber, &[]);
    let half = format!("{peer} at net:127.0.0.1:{dead}~tls");
    assert_eq!(wrong(&cluster.subscriber, 0), [is("warning", "peers", &half)]);

    // Nobody is there; and somebody who no longer lets us in.
    cluster.publisher.stop();
    assert_eq!(wrong(&cluster.subscriber, 1), [is("failure", "peers", &at), is("warning", "peers", &half)]);
    cluster.publisher.start();
    let token = cluster.publisher.json(&["token", "list"])[0]["id"].as_str().expect("an id").to_owned();
    let _ = cluster.publisher.json(&["token", "revoke", &token, "--yes"]);
    assert_eq!(wrong(&cluster.subscriber, 1), [is("failure", "peers", &at), is("warning", "peers", &half)]);
}

#[test]
fn the_python_of_a_virtual_environment_is_named_and_a_broken_one_is_a_failure() {
    let instance = Instance::new("here");
    let python = || {
        let findings = instance.run(&["doctor", "--json"]).json();
        let found = findings.as_array().expect("a list").iter().find(|finding| finding["subject"] == "Python 3");
        let text = |key: &str| found.expect("a finding")[key].as_str().unwrap_or_default().to_owned();
        (text("level"), text("message"), text("hint"))
    };
    let link = instance.path(".venv/bin/python");
    fs::create_dir_all(link.parent().expect("it is in a folder")).expect("a folder");
    symlink("/does/not/exist", &link).expect("a link");
    let (level, message, hint) = python();
    let folder = instance.path(".venv").display().to_string();
    assert!(level == "failure" && message.contains(&folder) && hint.contains("venv --clear"), "{message} {hint}");

    fs::remove_file(&link).expect("it was there");
    instance.plugin(".venv/bin/python", "#!/bin/sh\necho Python 3.12.1\n");
    let (level, message, _) = python();
    assert!(level == "ok" && message.contains(&format!("`{}` is version 3.12", link.display())), "{level} {message}");
}
