//! A child process at the other end of two pipes, and nobody between.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use coattail::id::CallId;
use serde_json::json;

/// It speaks the protocol of a worker, to this program instead of a daemon.
#[derive(Debug)]
pub(crate) struct Bare {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
    calls: u64,
    answer: Vec<u8>,
    input: String,
}

impl Bare {
    /// Starts it and waits until it is ready. Each call gets this input, which is JSON.
    #[expect(clippy::disallowed_methods, reason = "a worker without a daemon")]
    pub(crate) fn start(argv: &[&str], env: &[(&str, &Path)], input: &str) -> Self {
        let mut command = Command::new(argv[0]);
        command.args(&argv[1..]).envs(env.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it is installed");
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take().expect("piped"));
        let (stdout, answer) = (BufReader::new(stdout), Vec::new());
        let mut bare = Self { child, stdin, stdout, calls: 0, answer, input: input.to_owned() };
        let hello = json!({"protocol": 1, "software": "a benchmark", "kind": "action", "name": "echo", "instance": "/", "issuer": ISSUER});
        bare.send(&json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": hello}).to_string());
        bare.heard();
        bare
    }

    /// A call, from its line to that of its answer.
    pub(crate) fn call(&mut self) {
        self.calls += 1;
        let line = format!(
            r#"{{"jsonrpc":"2.0","id":{},"method":"perform","params":{{"call":"{}","input":{},"context":{{"timeout_ms":60000}}}}}}"#,
            self.calls,
            CallId::new(),
            self.input
        );
        self.send(&line);
        self.heard();
    }

    fn send(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("open until it is dropped");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("it reads");
    }

    fn heard(&mut self) {
        self.answer.clear();
        self.stdout.read_until(b'\n', &mut self.answer).expect("it writes");
        let answer = String::from_utf8_lossy(&self.answer);
        assert!(answer.contains("\"result\""), "it answers: {answer}");
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        // It ends with its stdin.
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}

/// Any; a worker is only told of it.
const ISSUER: &str = "RWaDaTtkvm1tmdYpmhyyU9YMyNhm2Dv1KqhW4D30eUo=";
