//! P9: nothing of them is left when the service is killed in the middle of it.

use std::thread;

use coattail::id::CallId;
use coattail_tests::{until, within};
use nix::sys::signal::Signal;

use super::service::{SOON, Service};
use super::table::{Asks, BY_HAND, Group, NODE, PYTHON, RUST, SCRIPT};

#[test]
fn p9_scripts() {
    check(&SCRIPT);
}

#[test]
fn p9_workers_without_an_sdk() {
    check(&BY_HAND);
}

#[test]
fn p9_node() {
    check(&NODE);
}

#[test]
fn p9_python() {
    check(&PYTHON);
}

#[test]
fn p9_rust() {
    check(&RUST);
}

/// All of them at once: each is in the middle of what it does wrong, or has ended because of it.
fn check(group: &Group) {
    let mut service = Service::of(group);
    thread::scope(|scope| {
        let service = &service;
        let calls: Vec<_> = (group.rows.iter())
            .map(|row| (row.name, scope.spawn(move || service.perform(CallId::new(), row.name, Asks::Once))))
            .collect();
        for (name, call) in &calls {
            until(&format!("{name} to begin"), || (service.has_begun(name) || call.is_finished()).then_some(()));
        }
        service.instance.signal(Signal::SIGKILL);
    });
    service.instance.kill();
    within(SOON, "every process to end", || service.instance.processes().is_empty().then_some(()));
}
