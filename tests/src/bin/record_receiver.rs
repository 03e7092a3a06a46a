//! A receiver that keeps what it gets in `received.jsonl`, with its place in the log, the try, and the life of the
//! process: `{"sequence": …, "attempt": …, "life": …, "value": …}`. A value says with `"fails"` how many tries fail.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::sync::LazyLock;
use std::time::SystemTime;

use coattail::plugin;
use serde_json::{Value, json};

/// Tells this process from those before it.
static LIFE: LazyLock<String> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
    format!("{}-{}", std::process::id(), now.as_nanos())
});

fn main() -> coattail::Result<()> {
    plugin::receiver(|value: Value, context: plugin::Context| async move {
        let source = context.source().ok_or("no source")?;
        let attempt = source.attempt;
        let fails = value["fails"].as_u64().unwrap_or_default();
        let line = json!({"sequence": source.sequence, "attempt": attempt, "life": *LIFE, "value": value});
        let path = format!("{}/received.jsonl", std::env::var("COATTAIL_INSTANCE")?);
        // In one write, so that no half of it is there after a kill.
        OpenOptions::new().create(true).append(true).open(path)?.write_all(format!("{line}\n").as_bytes())?;
        if u64::from(attempt) <= fails {
            Err("told to fail")?
        }
        Ok::<(), plugin::Error>(())
    })
    .serve()
}
