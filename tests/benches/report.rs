//! Tables in Markdown.

use std::fmt;
use std::time::Duration;

/// One table.
#[derive(Debug)]
pub(crate) struct Section {
    /// What the rows include, for people.
    pub(crate) note: String,
    pub(crate) columns: &'static [&'static str],
    pub(crate) rows: Vec<Row>,
}

#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) cells: Vec<Cell>,
}

/// One number of every round, or words.
#[derive(Debug, Clone)]
pub(crate) enum Cell {
    /// Sorted.
    Numbers(Vec<f64>, Unit),
    Words(String),
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    Seconds,
    PerSecond,
    Bytes,
    Share,
    Ratio,
}

impl Cell {
    pub(crate) fn times(rounds: impl Iterator<Item = Duration>) -> Self {
        Self::new(rounds.map(|time| time.as_secs_f64()), Unit::Seconds)
    }

    pub(crate) fn rates(rounds: impl Iterator<Item = f64>) -> Self {
        Self::new(rounds, Unit::PerSecond)
    }

    pub(crate) fn bytes(rounds: impl Iterator<Item = f64>) -> Self {
        Self::new(rounds, Unit::Bytes)
    }

    pub(crate) fn shares(rounds: impl Iterator<Item = f64>) -> Self {
        Self::new(rounds, Unit::Share)
    }

    pub(crate) fn ratios(rounds: impl Iterator<Item = f64>) -> Self {
        Self::new(rounds, Unit::Ratio)
    }

    pub(crate) fn words(words: impl Into<String>) -> Self {
        Self::Words(words.into())
    }

    pub(crate) fn new(values: impl Iterator<Item = f64>, unit: Unit) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Self::Numbers(values, unit)
    }

    /// The median of the rounds.
    pub(crate) fn median(&self) -> Option<f64> {
        let Self::Numbers(values, _) = self else { return None };
        values.get(values.len() / 2).copied()
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n", self.note)?;
        writeln!(f, "| | {} |", self.columns.join(" | "))?;
        writeln!(f, "|---|{}", "---:|".repeat(self.columns.len()))?;
        for row in &self.rows {
            let cells: Vec<String> = row.cells.iter().map(Cell::to_string).collect();
            writeln!(f, "| {} | {} |", row.what, cells.join(" | "))?;
        }
        Ok(())
    }
}

impl fmt::Display for Cell {
    /// The median, and from the least to the most.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (values, unit) = match self {
            Cell::Numbers(values, unit) => (values, unit),
            Cell::Words(words) => return f.write_str(words),
        };
        let ([least, .., most], Some(median)) = (&values[..], self.median()) else { return f.write_str("–") };
        let (factor, unit) = unit.scale(median);
        let number = |value: f64| significant(value * factor);
        write!(f, "{}{unit} ({}–{})", number(median), number(*least), number(*most))
    }
}

impl Unit {
    /// What to multiply with, and the unit that the result is in.
    fn scale(self, value: f64) -> (f64, &'static str) {
        match self {
            Unit::Seconds if value < 1e-3 => (1e6, " µs"),
            Unit::Seconds => (1e3, " ms"),
            Unit::PerSecond | Unit::Ratio => (1.0, ""),
            Unit::Share => (100.0, " %"),
            Unit::Bytes if value < 1024.0 * 1024.0 => (1.0 / 1024.0, " KiB"),
            Unit::Bytes => (1.0 / 1024.0 / 1024.0, " MiB"),
        }
    }
}

/// Three digits that count; of a large number all before the point.
fn significant(value: f64) -> String {
    let decimals = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.decimals$}")
}
