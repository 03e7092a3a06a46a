//! The service of an instance: how it starts, what keeps it from starting, and how it ends.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use coattail_tests::{Background, Cluster, Instance, plugin, until, within};
use nix::sys::signal::Signal;

/// An action that says that it is there, and answers when it is told to.
const WAIT_SH: &str = "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/waiting\"\n\
    until test -e \"$COATTAIL_INSTANCE/go\"; do sleep 0.02; done\necho '\"done\"'\n";

const START: &[&str] = &["service", "start", "--json"];
const STOP: &[&str] = &["service", "stop", "--json"];

#[test]
fn a_service_starts_once() {
    let instance = Instance::running("instance");
    let error = instance.run(START).failed(1, "busy");
    assert!(error["message"].as_str().is_some_and(|text| text.contains(&instance.pid().to_string())), "{error}");
    assert!(error["hint"].as_str().is_some_and(|text| text.contains("service status")), "{error}");
    instance.run(&[START, &["--headless"]].concat()).failed(1, "already-exists");
    // The first is none the worse for it.
    assert_eq!(instance.counts()["published"], 0);
}

#[test]
fn c9_a_busy_port_is_told() {
    let instance = Instance::new("instance");
    let _taken = TcpListener::bind(("127.0.0.1", instance.port())).expect("a free port");
    let error = instance.run(START).exited(1).error();
    let message = error["message"].as_str().expect("a message");
    assert!(message.contains(&instance.port().to_string()), "{error}");
    assert!(error["hint"].as_str().is_some_and(|text| text.contains("port")), "{error}");
    let error = instance.run(&[START, &["--headless"]].concat()).failed(1, "failed");
    assert!(error["message"].as_str().is_some_and(|text| text.contains(&instance.port().to_string())), "{error}");
}

#[test]
fn s9_a_private_key_that_others_can_read_is_refused() {
    let instance = Instance::new("instance");
    for key in ["keys/vt-key.pem", "keys/auth-key.pem", "keys/tls-key.pem"] {
        let path = instance.path(key);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("ours");
        let error = instance.run(START).failed(2, "usage");
        assert!(error["message"].as_str().is_some_and(|text| text.contains(key)), "{error}");
        let fix = format!("chmod 600 {}", path.display());
        assert_eq!(error["hint"], fix.as_str());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("ours");
    }
    let _ = instance.run(&["token", "issuer"]).ok();
}

#[test]
fn a_key_of_the_configuration_that_nobody_knows_is_refused_with_the_nearest() {
    let instance = Instance::new("instance");
    instance.configure("limits:\n  remote_cal: 10s");
    let error = instance.run(START).failed(2, "usage");
    let said = error.to_string();
    assert!(said.contains("remote_cal`") && said.contains("remote_call`"), "{error}");
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let instance = Instance::new("instance");
    let path = instance.path("data.db");
    let mut bytes = fs::read(&path).expect("there is a database");
    // `user_version` in the header of an SQLite file.
    bytes[60..64].copy_from_slice(&999_u32.to_be_bytes());
    fs::write(&path, &bytes).expect("written");
    let error = instance.run(START).failed(1, "unsupported-version");
    assert!(error["message"].as_str().is_some_and(|text| text.contains("999")), "{error}");
    assert_eq!(fs::read(&path).expect("still there"), bytes, "it is left as it was");
}

#[test]
fn a_service_in_the_background_is_started_shown_and_stopped() {
    let instance = Instance::new("instance");
    let _ = instance.run(&["service", "status", "--json"]).exited(3);
    let started = instance.json(&["service", "start", "--headless"]);
    let running = instance.json(&["service", "status"]);
    assert_eq!(running.as_array().map(Vec::len), Some(1), "{running}");
    for field in ["pid", "instance", "address"] {
        assert_eq!(running[0][field], started[field], "{field}");
    }
    assert_eq!((&running[0]["headless"], &running[0]["answers"]), (&true.into(), &true.into()));
    assert!(instance.path("service.log").exists());
    let _ = instance.run(STOP).ok();
    let _ = instance.run(&["service", "status", "--json"]).exited(3);
    instance.run(STOP).failed(3, "not-running");
    until("its process to end", || instance.processes().is_empty().then_some(()));
}

#[test]
fn a_service_that_was_stopped_can_be_started() {
    let instance = Instance::new("instance");
    instance.configure("limits:\n  shutdown: 1s");
    instance.json(&["service", "start", "--headless"]);
    let call = waiting(&instance, &instance, &[]);
    // Returns when the service has done what it could for the call.
    let _ = instance.run(STOP).ok();
    instance.json(&["service", "start", "--headless"]);
    let _ = instance.run(STOP).ok();
    let _ = call.finish().exited(1);
}

#[test]
fn c10_a_service_is_stopped_by_its_process_and_nothing_else_is() {
    let instance = Instance::new("instance");
    let me = std::process::id().to_string();
    instance.run(&["service", "stop", &me, "--json"]).failed(3, "not-running");
    let pid = instance.json(&["service", "start", "--headless"])["pid"].to_string();
    let _ = instance.run_outside(&["service", "stop", &pid]).ok();
    until("its process to end", || instance.processes().is_empty().then_some(()));
}

#[test]
fn what_a_killed_service_has_left_does_not_count() {
    let mut instance = Instance::running("instance");
    instance.kill();
    let _ = instance.run(&["service", "status", "--json"]).exited(3);
    instance.run(STOP).failed(3, "not-running");
    // Without the service, commands open the instance themselves.
    instance.json(&["token", "list"]);
    instance.start();
}

#[test]
fn r12_a_service_that_is_told_to_stop_answers_first() {
    let cluster = Cluster::pair();
    let Cluster { mut publisher, subscriber, peer } = cluster;
    let calls = [waiting(&publisher, &publisher, &[]), waiting(&publisher, &subscriber, &["--peer", &peer])];
    publisher.signal(Signal::SIGTERM);
    // It takes nothing new.
    until("its port to be closed", || TcpListener::bind(("127.0.0.1", publisher.port())).ok());
    fs::write(publisher.path("go"), "").expect("written");
    for call in calls {
        assert_eq!(call.finish().ok().json()["result"], "done");
    }
    publisher.wait_until_stopped();
}

#[test]
fn a_service_stops_in_bounded_time() {
    let mut instance = Instance::new("instance");
    instance.configure("limits:\n  shutdown: 1s");
    instance.start();
    let call = waiting(&instance, &instance, &[]);
    let start = Instant::now();
    instance.stop();
    assert!((1..10).contains(&start.elapsed().as_secs()), "{:?}", start.elapsed());
    let error = call.finish().exited(1).error();
    assert!(["shutting-down", "lost"].contains(&error["code"].as_str().expect("a code")), "{error}");
    assert_eq!(instance.processes(), []);
}

#[test]
fn a_second_signal_ends_a_service_at_once() {
    let mut instance = Instance::running("instance");
    let call = waiting(&instance, &instance, &[]);
    instance.signal(Signal::SIGTERM);
    until("the service to stop", || instance.log().contains("stopping").then_some(()));
    instance.signal(Signal::SIGTERM);
    let start = Instant::now();
    instance.wait_until_stopped();
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let _ = call.finish().exited(1);
    within(Duration::from_secs(5), "its processes to end", || instance.processes().is_empty().then_some(()));
}

#[test]
fn two_services_of_one_user_do_not_meet() {
    let shared = tempfile::tempdir().expect("a folder");
    let folder = shared.path().display().to_string();
    let [mut one, mut other] = ["one", "other"].map(|name| Instance::new(name).env("XDG_RUNTIME_DIR", &folder));
    one.start();
    other.start();
    let pids = || -> Vec<i64> {
        let all = one.run_outside(&["service", "status", "--json"]).ok().json();
        all.as_array().expect("a list").iter().filter_map(|row| row["pid"].as_i64()).collect()
    };
    let [first, second] = [&one, &other].map(|instance| i64::from(instance.pid().as_raw()));
    assert!(pids().len() == 2 && pids().contains(&first) && pids().contains(&second), "{:?}", pids());
    let _ = one.run(STOP).ok();
    assert_eq!(pids(), [second]);
}

/// A call that waits until the file `go` is there, once it is under way.
fn waiting(performs: &Instance, asks: &Instance, more: &[&str]) -> Background {
    performs.plugin("actions/wait.sh", WAIT_SH);
    let _ = fs::remove_file(performs.path("waiting"));
    let call = asks.begin(&[&["action", "perform", "--action", "wait", "--json"], more].concat());
    until("the call to be under way", || performs.path("waiting").exists().then_some(()));
    call
}

#[test]
fn r11_a_broken_plugin_spoils_no_list() {
    let instance = Instance::running("instance");
    instance.plugin("actions/good.sh", plugin::ECHO_SH);
    instance.plugin("actions/broken.js", "this is no JavaScript");
    let listed = instance.json(&["action", "list"]);
    assert_eq!(listed.as_array().map(Vec::len), Some(2), "{listed}");
    instance.run(&["action", "perform", "--action", "broken", "--json"]).failed(1, "plugin-broken");
    assert_eq!(instance.json(&["action", "perform", "--action", "good", "--data", "1"])["result"], 1);
}
