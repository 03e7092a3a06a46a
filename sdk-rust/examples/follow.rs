//! Performs an action of the instance that `COATTAIL_INSTANCE` names, and shows on stderr what it says meanwhile:
//!
//! ```sh
//! COATTAIL_INSTANCE=office cargo run -p coattail --example follow -- primes '{"up_to": 1000000000}'
//! ```
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

use std::env;
use std::process::ExitCode;

use coattail::wire::{ErrorCode, Failure};
use coattail::{Client, Said};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match follow().await {
        Ok(result) => {
            println!("{result}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("error: {failure}");
            failure.hint.inspect(|hint| eprintln!("  try: {hint}"));
            ExitCode::FAILURE
        }
    }
}

async fn follow() -> coattail::Result<Value> {
    let mut arguments = env::args().skip(1);
    let (Some(action), Some(input)) = (arguments.next(), arguments.next()) else {
        return Err(Failure::new(ErrorCode::Usage, "usage: follow ACTION JSON"));
    };
    let input: Value = serde_json::from_str(&input)
        .map_err(|error| Failure::of_error(ErrorCode::InvalidInput, &error).hint("quote it for the shell"))?;

    let client = Client::from_env().await?;
    let performed = client.coattail().call(&action).input(&input).follow(show).perform().await?;
    client.close().await;
    performed.read()
}

fn show(said: Said) {
    match said {
        Said::Log { level, message } => eprintln!("{}: {message}", level.as_str()),
        Said::Progress { fraction, message } => {
            let percent = 100.0 * fraction.unwrap_or_default();
            eprintln!("{percent:.0} % {}", message.unwrap_or_default());
        }
    }
}
