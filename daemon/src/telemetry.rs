use std::fmt;
use std::io::IsTerminal as _;

use coattail::wire::host::Level;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Sends the log to stderr. `COATTAIL_LOG` sets what is shown, as `info`, `debug`, or `warn,plugin=debug`.
pub fn log_to_stderr(default: &str) {
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // A second daemon in the same process writes to the same log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter(default))
        .with_writer(std::io::stderr)
        .with_ansi(colour)
        .try_init();
}

/// One line of the log.
#[derive(Debug)]
pub struct LogEvent {
    /// How important.
    pub level: Level,
    /// Which plugin it is about, or said it.
    pub plugin: Option<String>,
    /// What.
    pub message: String,
}

/// Hands the log over, line by line, to whoever shows it. `COATTAIL_LOG` counts as for [`log_to_stderr`].
pub fn log_to(default: &str, tell: impl Fn(LogEvent) + Send + Sync + 'static) {
    // As there: only the first log of a process counts.
    let _ = tracing_subscriber::registry().with(filter(default)).with(Teller(tell)).try_init();
}

fn filter(default: &str) -> EnvFilter {
    EnvFilter::try_from_env("COATTAIL_LOG").unwrap_or_else(|_| EnvFilter::new(default))
}

struct Teller<F>(F);

impl<S: Subscriber, F: Fn(LogEvent) + 'static> Layer<S> for Teller<F> {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut fields = Fields::default();
        event.record(&mut fields);
        let level = match *event.metadata().level() {
            tracing::Level::ERROR => Level::Error,
            tracing::Level::WARN => Level::Warn,
            tracing::Level::INFO => Level::Info,
            _ => Level::Debug,
        };
        (self.0)(LogEvent { level, plugin: fields.plugin, message: fields.message });
    }
}

#[derive(Default)]
struct Fields {
    plugin: Option<String>,
    message: String,
}

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "plugin" => self.plugin = Some(format!("{value:?}")),
            "message" => self.message = format!("{value:?}"),
            // Ids, mostly, which say nothing to whoever watches.
            _ => {}
        }
    }
}
