use std::io;
use std::time::Instant;

use coattail::wire::Failure;
use serde::Serialize;

use crate::output::{Color, Format, Printer, visible};

/// Says what happens, one line a step, with the time since the beginning. That is this command's answer.
#[derive(Debug)]
pub(super) struct Narrator {
    printer: Printer,
    begun: Instant,
}

/// A step, as programs are told of it.
#[derive(Serialize)]
struct Step<'a> {
    seconds: f64,
    step: &'a str,
}

impl Narrator {
    pub(super) fn new(printer: Printer) -> Self {
        Self { printer, begun: Instant::now() }
    }

    pub(super) fn say(&self, step: &str) -> Result<(), Failure> {
        let seconds = self.seconds();
        match self.printer.format() {
            Format::Table => {
                let time = Color::of(&io::stdout()).paint("2", &format!("{seconds:6.2} s"));
                self.printer.answer(&format!("{time}  {}\n", visible(step)))
            }
            Format::Plain => self.printer.answer(&format!("{seconds:.2}\t{}\n", visible(step))),
            Format::Json => self.printer.value(step, &Step { seconds, step }),
        }
    }

    /// Since the beginning, in hundredths.
    pub(super) fn seconds(&self) -> f64 {
        (self.begun.elapsed().as_secs_f64() * 100.0).round() / 100.0
    }
}
