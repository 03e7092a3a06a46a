//! What stands in PROTOCOL.md.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

/// A frame, and its answer if it has one.
#[derive(Debug)]
pub(super) struct Example {
    pub(super) wire: String,
    pub(super) line: usize,
    /// As it stands there.
    pub(super) text: String,
    pub(super) call: Call,
    pub(super) answer: Option<Answer>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    jsonrpc: String,
    /// Absent for a notification.
    pub(super) id: Option<u64>,
    pub(super) method: String,
    pub(super) params: Value,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    jsonrpc: String,
    pub(super) id: u64,
    pub(super) result: Option<Value>,
    pub(super) error: Option<Value>,
}

/// The root of the workspace.
pub(super) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a member of the workspace").to_owned()
}

pub(super) fn text() -> String {
    fs::read_to_string(root().join("PROTOCOL.md")).expect("there is a PROTOCOL.md")
}

/// The blocks of a language, each with the number of its first line.
pub(super) fn blocks(text: &str, language: &str) -> Vec<(String, Vec<(usize, String)>)> {
    let mut blocks = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((_, line)) = lines.next() {
        let Some(info) = line.strip_prefix("```") else { continue };
        let block =
            lines.by_ref().take_while(|(_, line)| *line != "```").map(|(at, line)| (at, line.to_owned())).collect();
        if let Some(kind) = info.strip_prefix(language) {
            blocks.push((kind.trim().to_owned(), block));
        }
    }
    blocks
}

/// The conversations, block by block.
pub(super) fn conversations() -> Vec<Vec<Example>> {
    let blocks = blocks(&text(), "json");
    blocks.into_iter().filter(|(wire, _)| wire != "claims").map(|(wire, lines)| conversation(&wire, lines)).collect()
}

fn conversation(wire: &str, lines: Vec<(usize, String)>) -> Vec<Example> {
    let mut examples: Vec<Example> = Vec::new();
    for (line, text) in lines {
        if let Some(text) = text.strip_prefix("→ ") {
            let call: Call = serde_json::from_str(text).unwrap_or_else(|error| panic!("PROTOCOL.md:{line}: {error}"));
            assert_eq!(call.jsonrpc, "2.0", "PROTOCOL.md:{line}");
            examples.push(Example { wire: wire.to_owned(), line, text: text.to_owned(), call, answer: None });
        } else if let Some(text) = text.strip_prefix("← ") {
            let answer: Answer =
                serde_json::from_str(text).unwrap_or_else(|error| panic!("PROTOCOL.md:{line}: {error}"));
            assert_eq!(answer.jsonrpc, "2.0", "PROTOCOL.md:{line}");
            assert!(answer.result.is_some() != answer.error.is_some(), "PROTOCOL.md:{line}: a result or an error");
            let asked = examples.last_mut().unwrap_or_else(|| panic!("PROTOCOL.md:{line}: it answers nothing"));
            assert_eq!(asked.call.id, Some(answer.id), "PROTOCOL.md:{line}: it answers another call");
            asked.answer = Some(answer);
        } else {
            panic!("PROTOCOL.md:{line}: neither → nor ←");
        }
    }
    examples
}
