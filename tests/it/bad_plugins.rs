//! Plugins that do everything wrong: the call ends in one of the ways that were promised, and the others go on.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::{Duration, Instant};

use coattail_tests::{Cluster, Instance, plugin, until};
use serde_json::{Value, json};

use crate::raw_peer::peak_memory;

/// How a call ends: with a result, or with an exit code and a kind of error.
type Expected = Result<Value, (i32, &'static str)>;

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
fn a_call_ends_in_one_way_whatever_the_worker_does_with_it() {
    let instance = service("workers");
    let slow = &["--timeout", "500ms"][..];
    // What it does with a call, with which options, and how the call ends.
    let cases: Vec<(&str, &str, &[&str], Expected)> = vec![
        ("aborts", "os.abort()", &[], Err((1, "lost"))),
        ("segfaults", "os.kill(os.getpid(), signal.SIGSEGV)", &[], Err((1, "lost"))),
        ("exits with 0", "os._exit(0)", &[], Err((1, "lost"))),
        ("closes stdout", "os.close(1)\ntime.sleep(60)", &[], Err((1, "lost"))),
        ("hangs", "time.sleep(60)", slow, Err((124, "timed-out"))),
        (
            "hangs and ignores signals",
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwrite('')\ntime.sleep(60)",
            slow,
            Err((124, "timed-out")),
        ),
        ("answers late", "time.sleep(1)\nanswer(id, {'output': 2})", slow, Err((124, "timed-out"))),
        ("half a line", "write('{\"jsonrpc\":\"2.0\",\"id\":')\ntime.sleep(60)", slow, Err((124, "timed-out"))),
        ("answers another", "answer(id + 1000, {'output': 2})\ntime.sleep(60)", slow, Err((124, "timed-out"))),
        ("answers another first", "answer(id + 1000, {'output': 2})\nanswer(id, {'output': input})", &[], Ok(json!(1))),
        ("answers twice", "answer(id, {'output': input})\nanswer(id, {'output': 2})", &[], Ok(json!(1))),
        ("answers a text", "answer('x', {'output': 2})\nanswer(id, {'output': input})", &[], Ok(json!(1))),
        ("prints", "write('printed {\\n[]\\n7\\n\\x1b[31m\\n')\nanswer(id, {'output': input})", &[], Ok(json!(1))),
        (
            "calls garbage",
            "write('{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"../x\"}\\n')\nanswer(id, {'output': input})",
            &[],
            Ok(json!(1)),
        ),
        ("leaves a child", "if os.fork() == 0:\n    time.sleep(60)\nanswer(id, {'output': input})", &[], Ok(json!(1))),
        ("returns nonsense", "answer(id, 7)", &[], Err((1, "failed"))),
        (
            "returns what is too deep",
            "write('{\"jsonrpc\":\"2.0\",\"id\":%d,\"result\":{\"output\":%s}}\\n' % (id, '[' * 125 + ']' * 125))",
            &[],
            Err((1, "failed")),
        ),
        ("not utf-8", "os.write(1, b'\\xff\\xfe\\n')\nanswer(id, {'output': input})", &[], Ok(json!(1))),
        ("an endless line", "while True: os.write(1, b'x' * 65536)", &[], Err((1, "lost"))),
    ];
    for (name, body, ..) in &cases {
        native(&instance, name, &worker(body));
    }
    for (name, _, options, expected) in &cases {
        // The second time there is a worker that has been through it, or a new one.
        for _ in 0..if expected.is_ok() || *name == "aborts" { 2 } else { 1 } {
            let output = perform(&instance, name, options);
            match expected {
                Ok(result) => assert_eq!(output.ok().json()["result"], *result, "{name}"),
                Err((code, kind)) => {
                    assert_eq!(
                        (output.code, output.error()["code"].as_str()),
                        (Some(*code), Some(*kind)),
                        "{name}: {output:#?}"
                    );
                    let _ = output.failed(*code, kind);
                }
            }
        }
    }
    others_go_on(&instance);
}

#[test]
fn a_plain_script_may_do_what_it_likes() {
    let instance = service("scripts");
    let large = instance.path("large.json");
    fs::write(&large, format!("\"{}\"", "x".repeat(4_000_000))).expect("written");
    let cases: Vec<(&str, &str, Expected)> = vec![
        ("garbage", "echo 'no JSON'", Err((1, "failed"))),
        ("binary", "head -c 1000 /dev/urandom", Err((1, "failed"))),
        ("half", "printf '{\"a\":'", Err((1, "failed"))),
        ("two answers", "echo 1; echo 2", Err((1, "failed"))),
        ("too much", "exec head -c 20000000 /dev/zero", Err((1, "failed"))),
        ("too deep", "printf '%.0s[' $(seq 200); printf '%.0s]' $(seq 200)", Err((1, "failed"))),
        ("nothing", ":", Ok(Value::Null)),
        ("exit 1", "echo the reason >&2; exit 1", Err((1, "failed"))),
        ("rejects", "exit 65", Err((1, "rejected"))),
        ("later", "exit 75", Err((1, "retry-later"))),
        ("dies", "kill -9 $$", Err((1, "failed"))),
        ("hangs", "trap '' TERM; sleep 60 & wait; sleep 60", Err((124, "timed-out"))),
        ("leaves a child", "sleep 60 >/dev/null 2>&1 & echo 1", Ok(json!(1))),
        ("does not read", "exec <&-; echo 1", Ok(json!(1))),
    ];
    let input = format!("@{}", large.display());
    for (name, body, expected) in cases {
        instance.plugin(&format!("actions/{name}.sh"), &format!("#!/bin/sh\n{body}\n"));
        let output = perform(&instance, name, &["--timeout", "2s"]);
        match expected {
            Ok(result) => assert_eq!(output.ok().json()["result"], result, "{name}"),
            Err((code, kind)) => {
                assert_eq!(
                    (output.code, output.error()["code"].as_str()),
                    (Some(code), Some(kind)),
                    "{name}: {output:#?}"
                );
                let _ = output.failed(code, kind);
            }
        }
        if name == "does not read" {
            let output = instance.run(&["action", "perform", name, "--data", &input, "--json"]).ok();
            assert_eq!(output.json()["result"], 1);
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
    let text = "module.exports = (Coattail) => class extends Coattail.Action { async perform(input) { for (;;); } };\n";
    instance.plugin("actions/spins.js", text);
    let _ = perform(&instance, "spins", &["--timeout", "500ms"]).failed(124, "timed-out");
    let raises = "import coattail\n\n@coattail.action\ndef raises(input):\n    raise RuntimeError('the reason')\n";
    instance.plugin("actions/raises.py", raises);
    let error = perform(&instance, "raises", &[]).failed(1, "failed");
    assert!(error["message"].to_string().contains("the reason"), "{error}");
    let leaves = "import os\nimport coattail\n\n@coattail.action\ndef leaves(input):\n    os._exit(3)\n";
    instance.plugin("actions/leaves.py", leaves);
    let _ = perform(&instance, "leaves", &[]).failed(1, "lost");
    others_go_on(&instance);
}

#[test]
fn a_plugin_that_floods_its_stderr_or_stdout_is_heard_and_costs_no_memory() {
    let instance = service("floods");
    others_go_on(&instance);
    let flood = |fd: u32| {
        format!(
            "block = b'noise\\n' * 10000\nfor _ in range(30): os.write({fd}, block)\nanswer(id, {{'output': input}})"
        )
    };
    native(&instance, "stderr", &worker(&flood(2)));
    native(&instance, "stdout", &worker(&flood(1)));
    native(
        &instance,
        "one line",
        &worker("for _ in range(300): os.write(2, b'x' * 60000)\nanswer(id, {'output': input})"),
    );
    instance.plugin("actions/plain.sh", "#!/bin/sh\nhead -c 20000000 /dev/zero | tr '\\0' 'x' >&2\ncat\n");
    let before = peak_memory(&instance);
    for name in ["stderr", "stdout", "one line", "plain"] {
        assert_eq!(perform(&instance, name, &[]).ok().json()["result"], 1, "{name}");
    }
    let after = peak_memory(&instance);
    assert!(after < before + 32 * 1024, "from {before} to {after} KiB");
    assert!(instance.log().len() < 4_000_000, "{} bytes were logged", instance.log().len());
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
