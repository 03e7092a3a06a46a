//! Workers that crash in a loop, files that are edited under load, and what their owner is shown of it.

use std::collections::BTreeSet;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use coattail_tests::{Instance, until};
use serde_json::Value;

/// An action in Python that says in which process it runs, and ends it if told to.
fn greeter(version: u32) -> String {
    format!(
        "import coattail, os, sys\n\n@coattail.action\ndef greet(data, context):\n    if data == 'die':\n        \
         print('my secret', file=sys.stderr, flush=True)\n        os._exit(3)\n    \
         return {{'version': {version}, 'pid': os.getpid()}}\n"
    )
}

/// As an editor does it: whole or not at all.
fn edit(instance: &Instance, text: &str) {
    let draft = instance.path("actions/.Greet.py.tmp");
    fs::write(&draft, text).expect("written");
    fs::rename(draft, instance.path("actions/Greet.py")).expect("renamed");
}

fn greet(instance: &Instance) -> Value {
    instance.json(&["action", "perform", "Greet", "--data", "1"])["result"].clone()
}

fn listed(instance: &Instance) -> Value {
    let list = instance.json(&["action", "list"]);
    list.as_array().expect("a list").iter().find(|one| one["name"] == "Greet").expect("it is there").clone()
}

fn show(instance: &Instance) -> Value {
    instance.json(&["action", "show", "Greet"])
}

#[test]
fn p7_a_crash_loop_is_shown_refused_and_ends_with_a_reload() {
    let instance = Instance::running("looping");
    edit(&instance, &greeter(1));
    for _ in 0..5 {
        instance.run(&["action", "perform", "Greet", "--data", "\"die\"", "--json"]).failed(1, "lost");
    }
    let broken = until("it is given up", || Some(listed(&instance)).filter(|one| one["state"] == "broken"));
    let reason = broken["reason"].as_str().expect("a reason");
    assert!(reason.contains("crashed 5 times") && reason.contains("exit 3"), "{reason}");
    let refused = instance.run(&["action", "perform", "Greet", "--json"]).failed(1, "plugin-broken");
    assert!(refused["hint"].as_str().is_some_and(|hint| hint.contains("action reload 'Greet'")), "{refused}");
    assert!(instance.run(&["action", "list"]).ok().stdout.contains("broken"));
    let shown = show(&instance);
    assert_eq!((&shown["counts"]["crashes"], &shown["state"]), (&5.into(), &"broken".into()));
    assert!(shown["last_error"]["message"].as_str().is_some_and(|message| message.contains("my secret")), "{shown}");

    let reloaded = instance.json(&["action", "reload", "Greet"]);
    assert_eq!(reloaded[0]["outcome"], "reloaded");
    assert_eq!(greet(&instance)["version"], 1);
    assert_eq!(listed(&instance)["state"], "ready");
}

#[test]
fn a_file_that_is_edited_under_load_fails_no_call_and_a_broken_one_is_not_used() {
    let instance = Instance::running("editing");
    edit(&instance, &greeter(1));
    instance.plugin("actions/Greet.yml", "concurrency: 2\nmax: 2\n");
    assert_eq!(greet(&instance)["version"], 1);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers: Vec<_> = (0..2)
            .map(|_| {
                scope.spawn(|| {
                    let mut seen = BTreeSet::new();
                    while !is_over.load(Ordering::Relaxed) {
                        seen.insert(greet(&instance)["version"].as_u64().expect("a version"));
                    }
                    seen
                })
            })
            .collect();
        for version in 2..=3 {
            edit(&instance, &greeter(version));
            assert_eq!(greet(&instance)["version"], version, "a call after the change");
        }
        // What does not load is not used.
        edit(&instance, "this is no Python");
        assert_eq!(greet(&instance)["version"], 3);
        let kept = listed(&instance);
        assert_eq!(kept["state"], "ready");
        let reason = kept["reason"].as_str().expect("a reason");
        assert!(reason.contains("does not start") && reason.contains("the one of before still runs"), "{reason}");
        assert!(instance.log().contains("the new version is not used"));
        let failed = instance.run(&["action", "reload", "--json"]).exited(1).json();
        assert_eq!((&failed[0]["name"], &failed[0]["outcome"]), (&"Greet".into(), &"failed".into()));
        assert_eq!(greet(&instance)["version"], 3);
        // Mended, it is.
        edit(&instance, &greeter(4));
        assert_eq!(greet(&instance)["version"], 4);
        assert_eq!(listed(&instance).get("reason"), None);
        is_over.store(true, Ordering::Relaxed);
        let seen: BTreeSet<_> = callers.into_iter().flat_map(|caller| caller.join().expect("no call failed")).collect();
        assert!(seen.len() > 1, "{seen:?}");
    });
}

#[test]
fn workers_are_kept_warm_and_replaced() {
    let mut instance = Instance::new("warm");
    edit(&instance, &greeter(1));
    instance.plugin("actions/Greet.yml", "min: 1\nmax_calls: 1\n");
    instance.start();
    let pid = || {
        let shown = show(&instance);
        let workers = shown["workers"].as_array().expect("workers").clone();
        workers.into_iter().find(|worker| worker.get("ending").is_none()).and_then(|worker| worker["pid"].as_u64())
    };
    // Nobody has called it.
    let warm = until("one is warm", pid);
    assert_eq!(show(&instance)["counts"]["calls"], 0);
    assert_eq!(greet(&instance)["pid"], warm);
    let next = until("its successor is warm", || pid().filter(|pid| *pid != warm));
    assert_eq!(greet(&instance)["pid"], next);
}
