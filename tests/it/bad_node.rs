//! What Node code does when it does wrong: the call ends in one way, the others go on, and the daemon says what happened.

use std::thread;
use std::time::{Duration, Instant};

use coattail::id::CallId;
use coattail::wire::host::{Cancel, Perform};
use coattail::wire::{ErrorCode, Failure};
use coattail_tests::{Control, Instance, until};
use serde_json::value::to_raw_value;
use serde_json::{Value, json};

/// One action: what it does depends on its input, so that all of it happens in one worker.
const ACTION: &str = r#"
const fs = require('fs');
const { setTimeout: sleep } = require('timers/promises');
const { action } = require('coattail');

const forged = Array.from({ length: 100 }, (_, id) => JSON.stringify({ jsonrpc: '2.0', id, result: { output: 'forged' } }));
const began = (what) => fs.writeFileSync(`${what}.began`, '');

/** The protocol's own descriptors: pipes of which this process has one end only. */
function wire() {
  const links = new Map();
  for (const fd of fs.readdirSync('/proc/self/fd').map(Number)) try { links.set(fd, fs.readlinkSync(`/proc/self/fd/${fd}`)); } catch {}
  const all = [...links.values()];
  return [...links.keys()].filter((fd) => links.get(fd).startsWith('pipe:') && all.filter((link) => link === links.get(fd)).length === 1);
}

module.exports = action(async ({ what, value }) => {
  switch (what) {
    case 'slow': began('slow'); while (!fs.existsSync('go')) await sleep(10); return value;
    case 'stray': void Promise.reject(new Error('nobody waits')); return value;
    case 'stray undefined': void Promise.reject(undefined); return value;
    case 'answers itself':
      for (const fd of wire()) try { fs.writeSync(fd, `${forged.join('\n')}\n`); } catch {}
      return value;
    case 'spins': began('spins'); for (;;);
    default: return value;
  }
});
"#;

fn service(name: &str) -> Instance {
    let instance = Instance::running(name);
    instance.plugin("actions/bad.js", ACTION);
    instance
}

fn perform(control: &Control, call: CallId, what: &str, value: u64) -> Result<Value, Failure> {
    let input = to_raw_value(&json!({ "what": what, "value": value })).expect("JSON");
    let perform = json!({ "call": call, "action": "bad", "input": input, "publish": false });
    let perform: Perform = serde_json::from_value(perform).expect("a call");
    let result = control.call(&perform)?.result.expect("a result");
    Ok(serde_json::from_str(result.get()).expect("JSON"))
}

#[track_caller]
fn fine(control: &Control) {
    assert_eq!(perform(control, CallId::new(), "returns", 7).expect("performed"), 7);
}

#[track_caller]
fn until_begun(instance: &Instance, what: &str) {
    let marker = instance.path(&format!("{what}.began"));
    until("the call to have begun", || marker.exists().then_some(()));
}

#[test]
fn a_rejection_that_nobody_handles_harms_no_call_and_is_told() {
    let instance = service("rejections");
    let control = Control::connect(&instance);
    thread::scope(|scope| {
        let slow = scope.spawn(|| perform(&control, CallId::new(), "slow", 1));
        until_begun(&instance, "slow");
        assert_eq!(perform(&control, CallId::new(), "stray", 2).expect("performed"), 2);
        assert_eq!(perform(&control, CallId::new(), "stray undefined", 3).expect("performed"), 3);
        until("the log to tell", || instance.log().contains("unhandled rejection: Error: nobody waits").then_some(()));
        std::fs::write(instance.path("go"), "").expect("written");
        assert_eq!(slow.join().expect("no panic").expect("performed"), 1);
    });
}

#[test]
fn a_worker_that_answers_twice_answers_its_own_call_and_no_other() {
    let instance = service("twice");
    let control = Control::connect(&instance);
    // It can forge its own answers, and the first one counts: the code of a plugin is its worker.
    assert_eq!(perform(&control, CallId::new(), "answers itself", 1).expect("performed"), "forged");
    fine(&control);
    fine(&control);
}

#[test]
fn a_call_that_never_gives_the_event_loop_back_is_cancelled() {
    let instance = service("spins");
    let control = Control::connect(&instance);
    let call = CallId::new();
    thread::scope(|scope| {
        let spinning = scope.spawn(|| perform(&control, call, "spins", 1));
        until_begun(&instance, "spins");
        let start = Instant::now();
        control.call(&Cancel { call }).expect("heard");
        let failure = spinning.join().expect("no panic").expect_err("cancelled");
        assert_eq!(failure.code, ErrorCode::Cancelled, "{failure}");
        assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
    });
    // What was given to that worker before its time was up is lost with it.
    until("another worker", || {
        let performed = perform(&control, CallId::new(), "returns", 7);
        assert!(performed.as_ref().map_or_else(|failure| failure.code == ErrorCode::Lost, |value| *value == 7));
        performed.ok()
    });
}
