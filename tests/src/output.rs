//! What a command said.

use std::process;

use serde_json::Value;

/// What a command wrote, and what it exited with.
#[derive(Debug)]
pub struct Output {
    /// The command, for messages.
    pub command: String,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
    /// What it exited with; `None` if a signal ended it.
    pub code: Option<i32>,
}

impl Output {
    pub(crate) fn new(command: String, output: process::Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("what a command writes is UTF-8");
        Self { command, stdout: text(output.stdout), stderr: text(output.stderr), code: output.status.code() }
    }

    /// The command must have succeeded.
    #[track_caller]
    #[must_use]
    pub fn ok(self) -> Self {
        self.exited(0)
    }

    /// The command must have exited with this code.
    #[track_caller]
    #[must_use]
    pub fn exited(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        self
    }

    /// Its stdout, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {self:#?}"))
    }

    /// The error it reported with `--json`.
    #[track_caller]
    pub fn error(&self) -> Value {
        let value: Value =
            serde_json::from_str(&self.stderr).unwrap_or_else(|error| panic!("no JSON ({error}): {self:#?}"));
        value["error"].clone()
    }

    /// The command must have failed with this exit code and this kind of error, and say what to try. Run it with
    /// `--json`.
    #[track_caller]
    pub fn failed(self, code: i32, kind: &str) -> Value {
        let output = self.exited(code);
        let error = output.error();
        assert_eq!(error["code"], kind, "{output:#?}");
        for field in ["message", "hint"] {
            assert!(error[field].as_str().is_some_and(|text| !text.is_empty()), "no {field}: {output:#?}");
        }
        assert_eq!(output.stdout, "", "an error is no answer: {output:#?}");
        error
    }
}
