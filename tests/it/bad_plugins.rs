//! Plugins that are broken, that throw and that hang: the call ends in one of the ways that were promised, and the others
//! go on. What they do wrong in a call otherwise is in `bad_children`.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::{Duration, Instant};

use coattail_tests::{Cluster, Instance, plugin, until};
use serde_json::{Value, json};

/// A worker that speaks the protocol with its own hands, and has its own way with a call.
fn worker(perform: &str) -> String {
    let perform = perform.replace('\n', "\n        ");
    format!(
        r#"#!/usr/bin/env python3
import json, os, signal, sys, threading, time

def write(text):
    sys.stdout.write(text)
    sys.stdout.flush()

def answer(id, result):
    write(json.dumps({{"jsonrpc": "2.0", "id": id, "result": result}}) + "\n")

for line in sys.stdin:
    message = json.loads(line)
    id, input = message.get("id"), message.get("params", {{}}).get("input")
    if message.get("method") == "initialize":
        answer(id, {{"protocol": 1}})
    elif message.get("method") == "perform":
        {perform}
    elif message.get("method") == "shutdown":
        answer(id, {{}})
        break
"#
    )
}

/// A file in `actions/` without an extension: it speaks the protocol.
fn native(instance: &Instance, name: &str, text: &str) {
    instance.plugin(&format!("actions/{name}"), text);
}

/// Performs an action; it has to end within this time.
#[track_caller]
fn perform(instance: &Instance, name: &str, options: &[&str]) -> coattail_tests::Output {
    let start = Instant::now();
    let output = instance.run(&[&["action", "perform", name, "--data", "1", "--json"], options].concat());
    assert!(start.elapsed() < Duration::from_secs(15), "{name}: {:?}", start.elapsed());
    output
}

/// Whoever does as it should, does.
#[track_caller]
fn others_go_on(instance: &Instance) {
    assert_eq!(perform(instance, "good", &[]).ok().json()["result"], 1);
    assert!(!instance.log().contains("panicked"));
}

fn service(name: &str) -> Instance {
    let instance = Instance::running(name);
    native(&instance, "good", &worker("answer(id, {'output': input})"));
    instance
}

#[test]
fn a_plugin_that_cannot_be_run_says_why() {
    let instance = service("broken");
    native(&instance, "no interpreter", "#!/does/not/exist\n");
    native(&instance, "no program", "\u{7f}ELF but not really");
    native(&instance, "exits", "#!/bin/sh\necho 'the reason' >&2\nexit 3\n");
    native(&instance, "killed", "#!/bin/sh\nkill -9 $$\n");
    let begins =
        |answer: &str| worker("pass").replace(r#"answer(id, {"protocol": 1})"#, &format!("answer(id, {answer})"));
    native(
        &instance,
        "refuses",
        &begins("0").replace(r#""result": result"#, r#""error": {"code": 1, "message": "the reason"}"#),
    );
    native(&instance, "other protocol", &begins(r#"{"protocol": 99}"#));
    native(&instance, "nonsense", &begins("[7]"));
    native(&instance, "an endless line", "#!/bin/sh\nexec head -c 20000000 /dev/zero\n");
    native(&instance, "data", "1,2,3\n");
    fs::set_permissions(instance.path("actions/data"), fs::Permissions::from_mode(0o644)).expect("a mode");
    instance.plugin("actions/syntax.js", "module.exports = (Coattail => {\n");
    instance.plugin("actions/throws.js", "throw new Error('the reason');\n");
    instance.plugin("actions/nothing.js", "module.exports = 7;\n");
    instance.plugin("actions/leaves.js", "process.exit(0);\n");
    instance.plugin("actions/syntax-py.py", "def f(:\n");
    instance.plugin("actions/nothing-py.py", "x = 1\n");
    instance.plugin("actions/leaves-py.py", "import sys\nsys.exit(0)\n");
    instance.plugin("actions/interpreter.sh", "#!/does/not/exist -x\n");
    instance.plugin("actions/twice.sh", plugin::ECHO_SH);
    instance.plugin("actions/twice.py", plugin::ECHO_PY);
    std::os::unix::fs::symlink("/does/not/exist", instance.path("actions/dangling.sh")).expect("a link");
    instance.plugin("actions/sidecar.sh", plugin::ECHO_SH);
    fs::write(instance.path("actions/sidecar.yml"), "timeuot: 5s\n").expect("written");
    // The name, and what the message or the hint has to say.
    for (name, says) in [
        ("no interpreter", ""),
        ("no program", ""),
        ("exits", "the reason"),
        ("killed", "SIGKILL"),
        ("refuses", "the reason"),
        ("other protocol", "99"),
        ("nonsense", ""),
        ("an endless line", ""),
        ("data", "chmod +x"),
        ("syntax", "SyntaxError"),
        ("throws", "the reason"),
        ("nothing", ""),
        ("leaves", ""),
        ("syntax-py", "SyntaxError"),
        ("nothing-py", ""),
        ("leaves-py", ""),
        ("interpreter", "/does/not/exist"),
        ("twice", "twice.py"),
        ("dangling", "dangling.sh"),
        ("sidecar", "timeuot"),
    ] {
        let error = perform(&instance, name, &[]).failed(1, "plugin-broken");
        let text = error.to_string();
        assert!(text.contains(says), "{name}: {text}");
        assert!(text.contains(name) || text.contains("actions/"), "{name}: {text}");
    }
    // They are all in the list, and do not hide the good one.
    let listed = instance.json(&["action", "list"]);
    assert_eq!(listed.as_array().expect("a list").len(), 21, "{listed}");
    others_go_on(&instance);
}

#[test]
fn what_a_plain_script_prints_and_exits_with_is_how_its_call_ends() {
    let instance = service("scripts");
    for (name, body, expected) in [
        ("no JSON", "echo 'no JSON'", Err((1, "failed"))),
        ("half", "printf '{\"a\":'", Err((1, "failed"))),
        ("nothing", ":", Ok(Value::Null)),
        ("rejects", "exit 65", Err((1, "rejected"))),
        ("later", "exit 75", Err((1, "retry-later"))),
    ] {
        instance.plugin(&format!("actions/{name}.sh"), &format!("#!/bin/sh\n{body}\n"));
        let output = perform(&instance, name, &[]);
        match expected {
            Ok(result) => assert_eq!(output.ok().json()["result"], result, "{name}"),
            Err((code, kind)) => _ = output.failed(code, kind),
        }
    }
    others_go_on(&instance);
}

#[test]
fn r3_whatever_is_thrown_is_an_error() {
    let instance = service("throwers");
    for (name, throws) in [
        ("undefined", "throw undefined"),
        ("null", "throw null"),
        ("empty", "throw ''"),
        ("text", "throw 'the reason'"),
        ("rejected", "return Promise.reject()"),
        ("circular", "const a = {}; a.a = a; throw a"),
        ("circular result", "const a = {}; a.a = a; return a"),
        ("bigint result", "return 1n"),
        ("error", "const e = new Error('the reason'); e.code = 'X'; throw e"),
        ("stack", "const e = new Error('the reason'); e.stack = 7; throw e"),
    ] {
        let text = format!(
            "module.exports = (Coattail) => class extends Coattail.Action {{ async perform(input) {{ {throws}; }} }};\n"
        );
        instance.plugin(&format!("actions/{name}.js"), &text);
        let error = perform(&instance, name, &[]).failed(1, "failed");
        assert_eq!(
            throws.contains("the reason"),
            error["message"].to_string().contains("the reason"),
            "{name}: {error}"
        );
        assert!(!error["message"].to_string().contains(".js:"), "a stack is shown: {error}");
    }
    let text = "module.exports = (Coattail) => class extends Coattail.Action { async perform(input) { \
        setTimeout(() => { throw new Error('the reason'); }, 0); await new Promise((done) => setTimeout(done, 60000)); } };\n";
    instance.plugin("actions/later.js", text);
    let _ = perform(&instance, "later", &[]).failed(1, "lost");
    let raises = "import coattail\n\n@coattail.action\ndef raises(input):\n    raise RuntimeError('the reason')\n";
    instance.plugin("actions/raises.py", raises);
    let error = perform(&instance, "raises", &[]).failed(1, "failed");
    assert!(error["message"].to_string().contains("the reason"), "{error}");
    others_go_on(&instance);
}

#[test]
fn p7_plugins_that_hang_hold_up_nobody() {
    let instance = service("busy");
    instance.plugin("actions/hangs.sh", "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/began.$$\"\nsleep 60\n");
    native(&instance, "silent", "#!/bin/sh\ntouch \"$COATTAIL_INSTANCE/began.$$\"\nexec sleep 60\n");
    others_go_on(&instance);
    thread::scope(|scope| {
        for name in ["hangs", "silent"] {
            for _ in 0..4 {
                let instance = &instance;
                scope.spawn(move || perform(instance, name, &["--timeout", "3s"]).failed(124, "timed-out"));
            }
        }
        until("the calls to have begun", || {
            let names = fs::read_dir(instance.folder()).expect("it is there").flatten().map(|entry| entry.file_name());
            // One process for each call of the script, one for all calls of the worker.
            (names.filter(|name| name.to_string_lossy().starts_with("began.")).count() >= 5).then_some(())
        });
        let start = Instant::now();
        for _ in 0..5 {
            others_go_on(&instance);
        }
        assert!(start.elapsed() < Duration::from_millis(2500), "{:?}", start.elapsed());
    });
}

#[test]
fn a_receiver_that_does_everything_wrong_loses_no_publication_of_another() {
    let cluster = Cluster::pair();
    let Cluster { publisher, subscriber, .. } = &cluster;
    publisher.plugin("actions/echo.sh", plugin::ECHO_SH);
    subscriber.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let bad = [
        ("rejects.sh", "#!/bin/sh\nexit 65\n".to_owned()),
        ("fails.sh", "#!/bin/sh\nexit 1\n".to_owned()),
        ("dies", worker("").replace("\"perform\"", "\"receive\"").replace("        \n", "        os.abort()\n")),
        ("exits", "#!/bin/sh\nexit 3\n".to_owned()),
        ("garbage.js", "module.exports = 7;\n".to_owned()),
    ];
    for (file, text) in &bad {
        subscriber.plugin(&format!("receivers/{file}"), text);
        cluster.subscribe("echo", file.split('.').next().expect("a name"));
    }
    cluster.subscribe("echo", "keep");
    for n in 1..=20 {
        cluster.publish("echo", &n.to_string());
    }
    until("the good receiver to have everything", || (subscriber.received().len() == 20).then_some(()));
    assert_eq!(subscriber.received(), (1..=20).map(|n| json!(n)).collect::<Vec<_>>());
    assert!(!subscriber.log().contains("panicked"));
}
