use std::io;

use coattail::wire::dev::Tested;
use coattail::wire::host::Level;
use coattail::wire::{Failure, Raw};
use serde::Serialize;

use super::super::test::times;
use crate::output::{Color, Format, Printer, visible};

/// Where everything is shown: a line for each thing that happens, on stdout.
#[derive(Debug, Clone)]
pub(super) struct Screen {
    printer: Printer,
}

/// One thing that happened.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    level: Level,
    #[serde(skip_serializing_if = "Option::is_none")]
    plugin: Option<&'a str>,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a Raw>,
}

impl Screen {
    pub(super) fn new(printer: Printer) -> Self {
        Self { printer }
    }

    pub(super) fn printer(&self) -> &Printer {
        &self.printer
    }

    /// Something was said.
    pub(super) fn say(&self, level: Level, plugin: Option<&str>, message: &str) {
        self.show(level, plugin, message, None);
    }

    /// A call is over.
    pub(super) fn result(&self, plugin: &str, tested: Result<Tested, Failure>) {
        match tested {
            Ok(Tested { error: Some(failure), .. }) | Err(failure) => self.failure(Some(plugin), &failure),
            Ok(tested) => {
                self.show(Level::Info, Some(plugin), &times(&tested), tested.result.as_ref());
                if self.printer.format() != Format::Json {
                    // If nobody reads it, nothing more can be done about it.
                    let _ = self.printer.result(tested.result.as_ref(), &());
                }
            }
        }
    }

    pub(super) fn failure(&self, plugin: Option<&str>, failure: &Failure) {
        let hint = failure.hint.as_ref().map_or_else(String::new, |hint| format!(" (try: {hint})"));
        self.say(Level::Error, plugin, &format!("{}{hint}", failure.message));
    }

    fn show(&self, level: Level, plugin: Option<&str>, message: &str, result: Option<&Raw>) {
        let now = jiff::Zoned::now();
        let line = Line { time: now.timestamp().to_string(), level, plugin, message, result };
        let (message, name) = (visible(message), visible(plugin.unwrap_or("coattail")).into_owned());
        let text = match self.printer.format() {
            Format::Plain => format!("{}\t{}\t{name}\t{message}", line.time, level.as_str()),
            Format::Json | Format::Table => {
                let color = Color::of(&io::stdout());
                let time = color.paint("2", &now.strftime("%H:%M:%S").to_string());
                let level_shown = format!("{:<5}", level.as_str());
                format!("{time} {} {} {message}", color.paint(style(level), &level_shown), color.paint("1", &name))
            }
        };
        // If nobody reads it, nothing more can be done about it.
        let _ = self.printer.value(&text, &line);
    }
}

fn style(level: Level) -> &'static str {
    match level {
        Level::Debug => "2",
        Level::Info => "32",
        Level::Warn => "33",
        Level::Error => "31",
    }
}
