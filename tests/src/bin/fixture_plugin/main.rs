//! A native action that does as its input tells it: `{"do": "echo" | "fail" | "crash" | "sleep" | …}`. Under the name of
//! a misdeed it does that.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what a program prints is part of what it does wrong")]

mod misdeeds;

use coattail::plugin;
use serde_json::Value;

type Outcome = Result<Value, Box<dyn std::error::Error + Send + Sync>>;

fn main() -> coattail::Result<()> {
    let name = std::env::var("COATTAIL_ACTION").unwrap_or_default();
    if name == "exits-at-start" {
        eprintln!("the reason");
        std::process::exit(3);
    }
    match misdeeds::of(&name) {
        Some(misdeed) => plugin::action(move |input: Value, context: plugin::Context| {
            std::fs::write(format!("{name}.began"), "").expect("the folder can be written to");
            misdeed(input, context)
        })
        .serve(),
        None => plugin::action(told).serve(),
    }
}

async fn told(input: Value, context: plugin::Context) -> Outcome {
    match input["do"].as_str() {
        Some("fail") => Err(format!("told to fail: {}", input["why"]).into()),
        Some("crash") => std::process::abort(),
        Some("sleep") => {
            context.cancelled().await;
            Err("cancelled".into())
        }
        _ => Ok(input),
    }
}
