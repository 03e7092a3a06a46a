//! A native action that does as its input tells it: `{"do": "echo" | "fail" | "crash" | "sleep" | …}`.

use coattail::plugin;
use serde_json::Value;

fn main() -> coattail::Result<()> {
    plugin::action(|input: Value, context: plugin::Context| async move {
        match input["do"].as_str() {
            Some("fail") => Err(format!("told to fail: {}", input["why"]).into()),
            Some("crash") => std::process::abort(),
            Some("sleep") => {
                context.cancelled().await;
                Err("cancelled".into())
            }
            _ => Ok::<Value, Box<dyn std::error::Error + Send + Sync>>(input),
        }
    })
    .serve()
}
