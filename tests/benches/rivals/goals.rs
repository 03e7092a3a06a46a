//! One row for each goal: ours, the other's, the floor, and whether it is met.

use crate::report::{Cell, Row, Unit};

/// What one round gave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) ours: f64,
    pub(super) rival: Option<f64>,
    pub(super) floor: Option<f64>,
}

/// What a goal compares ours with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Goal {
    /// At most, or at least, so many times what the other has.
    AtMostRival(f64),
    AtLeastRival(f64),
    AtMostFloor(f64),
    /// At most so much itself.
    AtMost(f64),
    AtLeast(f64),
    /// Only shown.
    None,
}

pub(super) const COLUMNS: &[&str] = &["ours", "the other", "floor", "goal", "ratio", "met"];

/// A row of rounds. `against` names what `rival` is.
pub(super) fn row(what: impl Into<String>, unit: Unit, against: &str, goal: Goal, rounds: &[Sample]) -> Row {
    let cell = |value: &dyn Fn(&Sample) -> Option<f64>| {
        let values: Vec<f64> = rounds.iter().filter_map(value).collect();
        (!values.is_empty()).then(|| Cell::new(values.into_iter(), unit))
    };
    let ratio = |other: &dyn Fn(&Sample) -> Option<f64>| {
        let ratios: Vec<f64> = rounds.iter().filter_map(|round| Some(round.ours / other(round)?)).collect();
        (!ratios.is_empty()).then(|| Cell::new(ratios.into_iter(), Unit::Ratio))
    };
    let (ours, rival, floor) =
        (cell(&|round| Some(round.ours)), cell(&|round| round.rival), cell(&|round| round.floor));
    let ratio = match goal {
        Goal::AtMostRival(_) | Goal::AtLeastRival(_) => ratio(&|round| round.rival),
        Goal::AtMostFloor(_) => ratio(&|round| round.floor),
        Goal::None => ratio(&|round| round.rival.or(round.floor)),
        Goal::AtMost(_) | Goal::AtLeast(_) => None,
    };
    let bound = |most: f64| Cell::new([most, most].into_iter(), unit).to_string().split(" (").next().map(str::to_owned);
    let (text, is_met) = match goal {
        Goal::AtMostRival(most) => (format!("≤ {most} × {against}"), of(&ratio, |ratio| ratio <= most)),
        Goal::AtLeastRival(least) => (format!("≥ {least} × {against}"), of(&ratio, |ratio| ratio >= least)),
        Goal::AtMostFloor(most) => (
            format!("≤ {most} × {}", if against.is_empty() { "floor" } else { against }),
            of(&ratio, |ratio| ratio <= most),
        ),
        Goal::AtMost(most) => (format!("≤ {}", bound(most).unwrap_or_default()), of(&ours, |ours| ours <= most)),
        Goal::AtLeast(least) => (format!("≥ {}", bound(least).unwrap_or_default()), of(&ours, |ours| ours >= least)),
        Goal::None => ("–".to_owned(), Some(Cell::words("–"))),
    };
    let absent = || Cell::words("–");
    let cells = vec![
        ours.unwrap_or_else(absent),
        rival.unwrap_or_else(absent),
        floor.unwrap_or_else(absent),
        Cell::words(text),
        ratio.unwrap_or_else(absent),
        // Nothing to compare with: the other is not installed.
        is_met.unwrap_or_else(|| Cell::words("left out")),
    ];
    Row { what: what.into(), cells }
}

fn of(cell: &Option<Cell>, is_met: impl Fn(f64) -> bool) -> Option<Cell> {
    let median = cell.as_ref()?.median()?;
    Some(Cell::words(if is_met(median) { "yes" } else { "**no**" }))
}
