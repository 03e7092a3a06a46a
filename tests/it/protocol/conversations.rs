//! Conversations of the document, held with a service and with workers that run.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use coattail::control::ShortPath;
use coattail_tests::{Instance, plugin, wait::PATIENCE};
use serde_json::Value;

use super::document::{self, Example};

#[test]
fn a_service_answers_what_the_document_says() {
    let office = Instance::running("office");
    office.plugin("actions/Echo.sh", plugin::ECHO_SH);
    fs::write(office.path("actions/Echo.yml"), "description: Returns what it is given\n").expect("it can be written");
    office.plugin("receivers/keep.sh", plugin::KEEP_SH);
    let socket = ShortPath::new(&office.path(".coattail/control.sock")).expect("its folder is there");
    let stream = UnixStream::connect(socket.path()).expect("the service listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit can be set");
    let mut service = Wire { input: stream.try_clone().expect("it is open"), output: BufReader::new(stream) };
    for wire in ["host", "control"] {
        for example in first(wire) {
            let (expected, answer) = (service.expected(&example), service.ask(&example));
            let answer = answer.expect("a service answers every call");
            assert_same_shape(&expected, &answer, &format!("PROTOCOL.md:{}: {answer}", example.line));
        }
    }
}

#[test]
fn a_node_worker_answers_what_the_document_says() {
    worker("Echo.js", plugin::ECHO_JS, "node", &["sdk-node/runner.js"]);
}

#[test]
fn a_python_worker_answers_what_the_document_says() {
    // Python has one word for nothing and for `null`, so this says which is meant.
    let echo = "import coattail\n\n@coattail.action\ndef echo(input=coattail.ABSENT):\n    return input\n";
    worker("Echo.py", echo, "python3", &["-m", "coattail"]);
}

#[expect(clippy::disallowed_methods, reason = "the worker is started here, without a daemon")]
fn worker(name: &str, code: &str, program: &str, arguments: &[&str]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join(name);
    fs::write(&file, code).expect("it can be written");
    let mut process = Command::new(program)
        .args(arguments)
        .arg(file)
        .current_dir(document::root())
        .env("PYTHONPATH", document::root().join("sdk-python/src"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the runtime is there");
    let input = process.stdin.take().expect("piped");
    let mut worker = Wire { input, output: BufReader::new(process.stdout.take().expect("piped")) };
    for example in first("plugin") {
        let expected = worker.expected(&example);
        let Some(mut answer) = worker.ask(&example) else { continue };
        if example.call.method == "initialize" {
            // Which each may add.
            answer["result"].as_object_mut().expect("an object").retain(|name, _| name == "protocol");
        }
        assert_eq!(answer, expected, "PROTOCOL.md:{}", example.line);
    }
    let status = process.wait().expect("it ends");
    assert!(status.success(), "{status} after `shutdown`");
}

/// The first conversation on a wire: the one that the document says is held.
fn first(wire: &str) -> Vec<Example> {
    let mut conversations = document::conversations().into_iter();
    conversations.find(|examples| examples.iter().all(|example| example.wire == wire)).expect("there is one")
}

struct Wire<W, R> {
    input: W,
    output: R,
}

impl<W: Write, R: BufRead> Wire<W, R> {
    /// Sends the line as it stands in the document, and reads the answer if there is to be one.
    fn ask(&mut self, example: &Example) -> Option<Value> {
        writeln!(self.input, "{}", example.text).expect("it reads");
        self.input.flush().expect("it reads");
        example.call.id?;
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?} is no answer: {error}")))
    }

    /// The answer of the document.
    fn expected(&self, example: &Example) -> Value {
        let Some(answer) = &example.answer else { return Value::Null };
        let mut frame = serde_json::json!({"jsonrpc": "2.0", "id": answer.id});
        let outcome = [("result", &answer.result), ("error", &answer.error)];
        for (name, value) in outcome.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            frame[name] = value.clone();
        }
        frame
    }
}

/// The same members of the same kinds; errors to the letter.
#[track_caller]
fn assert_same_shape(expected: &Value, found: &Value, at: &str) {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => {
            let names = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<Vec<_>>();
            assert_eq!(names(expected), names(found), "{at}");
            for (name, value) in expected {
                if name == "error" {
                    assert_eq!(*value, found[name], "{at}");
                }
                assert_same_shape(value, &found[name], at);
            }
        }
        (Value::Array(expected), Value::Array(found)) => {
            assert_eq!(expected.is_empty(), found.is_empty(), "{at}");
            for (expected, found) in expected.iter().zip(found) {
                assert_same_shape(expected, found, at);
            }
        }
        _ => assert_eq!(std::mem::discriminant(expected), std::mem::discriminant(found), "{at}"),
    }
}
