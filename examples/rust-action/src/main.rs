//! An action that computes for long: how many primes there are up to a number.

mod sieve;

use coattail::plugin::{Context, Error, action};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::sieve::Sieve;

/// About half a minute of one core.
const MAX: u64 = 10_000_000_000;

#[derive(Deserialize, JsonSchema)]
struct Input {
    up_to: u64,
}

#[derive(Serialize, JsonSchema)]
struct Output {
    up_to: u64,
    primes: u64,
}

fn main() -> coattail::Result<()> {
    action(|input: Input, context| async move {
        if input.up_to > MAX {
            return Err(format!("up_to is {}, and at most {MAX} is counted", input.up_to).into());
        }
        // Off the threads that talk to the daemon: they must stay free to hear that the call is cancelled.
        tokio::task::spawn_blocking(move || count(input.up_to, &context)).await?
    })
    .description("counts the primes up to a number")
    .serve()
}

/// Between two segments is the time to tell how far it is, and to look whether anybody still waits.
fn count(up_to: u64, context: &Context) -> Result<Output, Error> {
    let mut primes = 0;
    let mut percent = 0;
    for segment in Sieve::new(up_to) {
        if context.is_cancelled() {
            context.log().info(format_args!("stopped at {}", segment.end));
            return Err("cancelled".into());
        }
        primes += segment.primes;
        let reached = segment.end * 100 / up_to.max(1);
        if reached > percent {
            percent = reached;
            context.progress(percent as f64 / 100.0, format_args!("{primes} primes up to {}", segment.end));
        }
    }
    context.log().info(format_args!("{primes} primes up to {up_to}"));
    Ok(Output { up_to, primes })
}
