use std::ffi::OsStr;
use std::io::{self, IsTerminal as _, Write as _};

use coattail::wire::host::Level;
use coattail::wire::{ErrorCode, Failure, Raw};
use serde::Serialize;

use super::show::{Record, Row};
use super::spinner::Spinner;
use super::visible::{visible, visible_json};
use super::{Color, json, plain, pretty, table};

/// What answers look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Table,
    /// For programs.
    Json,
    /// For `cut` and `awk`.
    Plain,
}

impl Format {
    /// `--json`, else `COATTAIL_OUTPUT`, else for people.
    pub(crate) fn choose(json: bool, variable: Option<&OsStr>) -> Result<Self, Failure> {
        if json {
            return Ok(Self::Json);
        }
        match variable.map(OsStr::to_string_lossy).as_deref() {
            None | Some("") => Ok(Self::Table),
            Some("json") => Ok(Self::Json),
            Some("plain") => Ok(Self::Plain),
            Some(other) => Err(Failure::new(ErrorCode::Usage, format!("COATTAIL_OUTPUT is `{other}`"))
                .hint("set it to `json` or `plain`, or unset it")),
        }
    }
}

/// Writes answers to stdout, and what is said beside them to stderr.
#[derive(Debug, Clone)]
pub(crate) struct Printer {
    format: Format,
    spinner: Spinner,
}

impl Printer {
    pub(crate) fn new(format: Format) -> Self {
        Self { format, spinner: Spinner::new() }
    }

    pub(crate) fn format(&self) -> Format {
        self.format
    }

    /// Answers with a list. `empty` is said to people when there is nothing in it.
    pub(crate) fn list<R: Row>(&self, rows: &[R], empty: &str) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.answer(&json::line(&rows)),
            Format::Plain => self.answer(&plain::list(rows)),
            Format::Table if rows.is_empty() => {
                self.note(empty);
                Ok(())
            }
            Format::Table => self.answer(&table::list(rows, Color::of(&io::stdout()))),
        }
    }

    /// Answers with one thing.
    pub(crate) fn record<R: Record>(&self, record: &R) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.answer(&json::line(record)),
            Format::Plain => self.answer(&plain::record(&record.fields())),
            Format::Table => self.answer(&table::record(&record.fields(), Color::of(&io::stdout()))),
        }
    }

    /// Answers with one value: to programs as an object, to everyone else as it is.
    pub(crate) fn value(&self, text: &str, object: &impl Serialize) -> Result<(), Failure> {
        match self.format {
            Format::Json => self.answer(&json::line(object)),
            Format::Plain | Format::Table => self.answer(&format!("{text}\n")),
        }
    }

    /// Answers with what an action returned: byte for byte to programs, indented to people. Nothing is
    /// printed for people if nothing was returned.
    pub(crate) fn result(&self, result: Option<&Raw>, object: &impl Serialize) -> Result<(), Failure> {
        let text = match (self.format, result) {
            (Format::Json, _) => json::line_as_it_is(object),
            (_, None) => return Ok(()),
            (Format::Plain, Some(result)) => format!("{}\n", visible_json(result.get())),
            (Format::Table, Some(result)) => format!("{}\n", pretty::pretty(result.get(), Color::of(&io::stdout()))),
        };
        self.answer(&text)
    }

    /// Answers with a text that is ready, line end included.
    ///
    /// Whoever reads us may have heard enough: a closed pipe is no failure.
    pub(crate) fn answer(&self, text: &str) -> Result<(), Failure> {
        let write = || {
            let mut stdout = io::stdout().lock();
            stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush())
        };
        match self.spinner.suspend(write) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(Failure::new(ErrorCode::Internal, format!("could not write the answer to stdout: {error}"))
                    .hint("it was done nevertheless; look at where stdout leads, such as a full disk"))
            }
            _ => Ok(()),
        }
    }

    /// Works, with a sign of life for people if it takes long.
    pub(crate) async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        match self.format {
            Format::Table => self.spinner.during(work).await,
            Format::Json | Format::Plain => work.await,
        }
    }

    /// Says something beside the answer, to people.
    pub(crate) fn note(&self, text: &str) {
        if self.format != Format::Json {
            self.say(&format!("{text}\n"));
        }
    }

    /// Whether a person looks at stderr.
    pub(crate) fn is_watched(&self) -> bool {
        io::stderr().is_terminal()
    }

    /// Passes on a line that somebody else said.
    pub(crate) fn log(&self, level: Level, text: &str) {
        let style = match level {
            Level::Debug => "2",
            Level::Info => return self.note(&visible(text)),
            Level::Warn => "33",
            Level::Error => "31",
        };
        let head = Color::of(&io::stderr()).paint(style, &format!("{}:", level.as_str()));
        self.note(&format!("{head} {}", visible(text)));
    }

    /// Shows how far something has got, to a person who looks on.
    pub(crate) fn progress(&self, fraction: Option<f64>, text: Option<&str>) {
        self.spinner.progress(fraction, text.map(visible).as_deref());
    }

    /// Says something that should not be missed.
    pub(crate) fn warn(&self, text: &str) {
        if self.format == Format::Json {
            return self.say_json(&serde_json::json!({ "warning": text }));
        }
        let head = Color::of(&io::stderr()).paint("1;33", "warning:");
        self.say(&format!("{head} {text}\n"));
    }

    /// Writes to stderr; if nobody can hear it, nothing more can be done about it.
    pub(crate) fn say(&self, text: &str) {
        let _ = self.spinner.suspend(|| io::stderr().lock().write_all(text.as_bytes()));
    }

    /// Says it as one line of JSON.
    pub(crate) fn say_json(&self, object: &impl Serialize) {
        self.say(&json::line(object));
    }
}

#[cfg(test)]
mod tests;
