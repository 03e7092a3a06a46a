//! P9: no process of a plugin outlives the daemon.

use std::fs;
use std::time::Duration;

use coattail_tests::instance::binary;
use coattail_tests::{Instance, plugin, until, within};

/// How long what a killed service leaves behind may take to end.
const SOON: Duration = Duration::from_secs(5);

/// Starts a process that has left its group and its session, whose parent has ended, and which minds no signal but the
/// one that nobody can mind; then goes on for ever itself.
const FORK_SH: &str = "#!/bin/sh\n\
    trap '' TERM INT HUP\n\
    (setsid sh -c 'trap \"\" TERM INT HUP; echo $$ > \"$COATTAIL_INSTANCE/grandchild\"; while :; do sleep 1; done' &)\n\
    while :; do sleep 1; done\n";

#[test]
fn nothing_of_a_killed_service_is_left() {
    let mut instance = with_everything_running();
    assert!(instance.processes().len() >= 8, "{:?}", instance.processes());
    instance.kill();
    check_that_nothing_is_left(&instance);
}

#[test]
fn nothing_of_a_stopped_service_is_left() {
    let mut instance = Instance::new("instance");
    // The action that goes on for ever is not waited for.
    instance.configure("limits:\n  shutdown: 1s");
    instance.start();
    start_everything(&instance);
    instance.stop();
    assert_eq!(instance.processes(), [], "a service that has stopped has ended everything before");
}

#[test]
fn nothing_of_a_killed_command_is_left() {
    let instance = Instance::new("instance");
    instance.plugin("actions/fork.sh", FORK_SH);
    let mut command = instance.begin(&["action", "perform", "--action", "fork"]);
    wait_for_grandchild(&instance);
    command.signal(nix::sys::signal::Signal::SIGKILL);
    assert_eq!(command.finish().code, None);
    check_that_nothing_is_left(&instance);
}

#[test]
fn what_an_action_leaves_behind_ends_with_it() {
    let instance = Instance::running("instance");
    instance.plugin("actions/leave.sh", &FORK_SH.replace("while :; do sleep 1; done\n", "cat\n"));
    let leave = FORK_SH.rsplit_once("while").expect("a loop").0;
    let wait = "until test -e \"$COATTAIL_INSTANCE/grandchild\"; do :; done; echo 1\n";
    instance.plugin("actions/leave.sh", &format!("{leave}{wait}"));
    assert_eq!(instance.json(&["action", "perform", "--action", "leave"])["result"], 1);
    let grandchild = wait_for_grandchild(&instance);
    within(SOON, "what the action has left behind to end", || {
        instance.processes().iter().all(|(pid, _)| *pid != grandchild).then_some(())
    });
}

fn with_everything_running() -> Instance {
    let instance = Instance::running("instance");
    start_everything(&instance);
    instance
}

/// Warm workers in every language, and a script with a grandchild that hides.
fn start_everything(instance: &Instance) {
    for (name, text) in [("js.js", plugin::ECHO_JS), ("py.py", plugin::ECHO_PY), ("fork.sh", FORK_SH)] {
        instance.plugin(&format!("actions/{name}"), text);
    }
    fs::copy(binary("fixture-plugin"), instance.path("actions/native")).expect("copied");
    for action in ["js", "py", "native"] {
        instance.json(&["action", "perform", "--action", action, "--data", "{}"]);
    }
    let command = instance.begin(&["action", "perform", "--action", "fork", "--timeout", "1h"]);
    let grandchild = wait_for_grandchild(instance);
    assert!(instance.processes().iter().any(|(pid, _)| *pid == grandchild), "{:?}", instance.processes());
    // Ends with the service; whatever it says is not what is tested here.
    std::thread::spawn(move || command.finish());
}

fn wait_for_grandchild(instance: &Instance) -> u32 {
    until("the grandchild", || fs::read_to_string(instance.path("grandchild")).ok()?.trim().parse().ok())
}

fn check_that_nothing_is_left(instance: &Instance) {
    within(SOON, "every process to end", || {
        // The command that waits for the action is a process of ours, not of the service.
        let of_service = |(_, what): &(u32, String)| !what.contains("action perform");
        instance.processes().iter().all(|process| !of_service(process)).then_some(())
    });
}
