use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

/// Sends the log to stderr. `COATTAIL_LOG` sets what is shown, as `info`, `debug`, or `warn,plugin=debug`.
pub fn log_to_stderr(default: &str) {
    let filter = EnvFilter::try_from_env("COATTAIL_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // A second daemon in the same process writes to the same log.
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colour).try_init();
}
