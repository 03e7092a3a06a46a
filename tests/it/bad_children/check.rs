//! Each call ends as it should, beside others that do as well, and costs no memory and leaves no process.

use std::collections::BTreeSet;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use coattail::id::CallId;
use coattail::wire::host::Cancel;
use coattail_tests::{Instance, until, within};

use super::service::{SOON, Service, programs};
use super::table::{Asks, BY_HAND, Group, NODE, PYTHON, RUST, Row, SCRIPT};
use crate::raw_peer::{memory, peak_memory};

/// What a service may hold more after a bad program has ended, in KiB.
const KEPT: usize = 8 * 1024;

/// What it may hold more meanwhile, in KiB: the longest line that there may be, and what a call takes.
const MOST: usize = KEPT + 1024;

#[test]
fn p7_scripts() {
    check(&SCRIPT);
}

#[test]
fn p7_workers_without_an_sdk() {
    check(&BY_HAND);
}

#[test]
fn p7_node() {
    check(&NODE);
}

#[test]
fn p7_python() {
    check(&PYTHON);
}

#[test]
fn p7_rust() {
    check(&RUST);
}

/// As many guards of scripts a service keeps for the next ones.
const SPARES: usize = 4;

/// Every row, also after one that is not as it should be.
fn check(group: &Group) {
    let service = Service::of(group);
    let is_wrong = |row: &&Row| catch_unwind(AssertUnwindSafe(|| check_row(&service, row))).is_err();
    let wrong: Vec<&Row> = group.rows.iter().filter(is_wrong).collect();
    assert!(wrong.is_empty(), "{:?}: see above for {wrong:?}", group.runtime);
}

fn check_row(service: &Service, row: &Row) {
    let Service { instance, .. } = service;
    let _ = peak_memory(instance);
    let before = (processes(instance), memory(instance, "VmRSS:"));
    check_call(service, row);
    if row.asks == Asks::Twice {
        check_call(service, row);
    }
    within(SOON, &format!("everything of {} to end", row.name), || {
        processes(instance).is_subset(&before.0).then_some(())
    });
    service.good();
    let (most, after) = (peak_memory(instance) - before.1, memory(instance, "VmRSS:").saturating_sub(before.1));
    assert!(after <= KEPT && most <= MOST, "{}: {after} KiB more than before, and up to {most} KiB", row.name);
}

fn check_call(service: &Service, Row { name, asks, ends }: &Row) {
    let _ = fs::remove_file(service.instance.path(&format!("{name}.began")));
    let call = CallId::new();
    thread::scope(|scope| {
        let bad = scope.spawn(|| service.perform(call, name, *asks));
        until("the call to have begun", || (service.has_begun(name) || bad.is_finished()).then_some(()));
        service.good();
        if *asks == Asks::AndCancels {
            service.control.call(&Cancel { call }).expect("heard");
        }
        match (bad.join().expect("no panic"), ends) {
            (Ok(value), Ok(expected)) => assert_eq!(value, *expected, "{name}"),
            (Err(failure), Err((code, says))) => {
                assert_eq!(failure.code, *code, "{name}: {failure}");
                assert!(failure.message.contains(says), "{name}: {failure}");
            }
            (ended, _) => panic!("{name} is to end with {ends:?}: {ended:?}"),
        }
    });
}

/// The processes of an instance, without the few guards that wait for the next script: those without a child.
fn processes(instance: &Instance) -> BTreeSet<u32> {
    let is_waiting = |pid: &u32| {
        let of = |what: &str| fs::read_to_string(format!("/proc/{pid}/{what}"));
        let is_guard = of("cmdline").is_ok_and(|line| line == "coattail\0__guard\0");
        is_guard && of(&format!("task/{pid}/children")).is_ok_and(|children| children.is_empty())
    };
    let (waiting, others): (Vec<_>, Vec<_>) =
        instance.processes().into_iter().map(|(pid, _)| pid).partition(is_waiting);
    others.into_iter().chain(waiting.into_iter().skip(SPARES)).collect()
}

#[test]
fn every_program_has_a_row() {
    let groups = [SCRIPT, BY_HAND, NODE, PYTHON, RUST];
    let rows = groups.iter().flat_map(|group| group.rows.iter().filter_map(|row| group.runtime.file(row.name)));
    let rows: BTreeSet<String> = rows.map(|(file, _)| file).collect();
    let names = |folder: &str| {
        let folder = programs().join(folder);
        let entries = fs::read_dir(folder).expect("it is there").flatten();
        entries.filter(|entry| entry.path().is_file()).map(|entry| entry.file_name().into_string().expect("a name"))
    };
    let by_hand = names("by-hand").map(|name| format!("by-hand/{name}"));
    let files: BTreeSet<String> = names(".").filter(|name| name != "by-hand.sh").chain(by_hand).collect();
    assert_eq!(rows, files);
}
