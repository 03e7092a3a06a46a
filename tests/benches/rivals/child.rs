//! A warm worker that is called without a daemon.

use std::process::Stdio;

use coattail::id::CallId;
use serde_json::json;
use serde_json::value::RawValue;
use tokio::process::{Child as Process, Command};

use super::lines::Lines;
use super::wire::Out;

/// Speaks the protocol of workers, with many calls under way.
#[derive(Debug, Clone)]
pub(super) struct Child {
    lines: Lines,
    _process: std::sync::Arc<Process>,
}

impl Child {
    #[expect(clippy::disallowed_methods, reason = "a worker without a daemon")]
    pub(super) async fn start(argv: &[String]) -> Self {
        let mut command = Command::new(&argv[0]);
        command.args(&argv[1..]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("it is installed");
        let (stdin, stdout) = (process.stdin.take().expect("piped"), process.stdout.take().expect("piped"));
        let this = Self { lines: Lines::new(stdout, Out::new(stdin)), _process: process.into() };
        let hello = json!({"protocol": 1, "software": "a benchmark", "kind": "action", "name": "echo",
            "instance": "/", "issuer": "RWaDaTtkvm1tmdYpmhyyU9YMyNhm2Dv1KqhW4D30eUo="});
        this.ask("initialize", &hello.to_string()).await;
        this
    }

    pub(super) async fn perform(&self, input: &str) -> Box<RawValue> {
        let call = CallId::new();
        self.ask("perform", &format!(r#"{{"call":"{call}","input":{input},"context":{{"timeout_ms":60000}}}}"#)).await
    }

    async fn ask(&self, method: &str, params: &str) -> Box<RawValue> {
        let line = |id| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}","params":{params}}}"#);
        self.lines.ask(line).await
    }
}
