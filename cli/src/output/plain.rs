use super::show::{Field, Row};
use super::visible;

/// A line for each row, its cells separated by tabs.
pub(super) fn list<R: Row>(rows: &[R]) -> String {
    rows.iter().map(|row| line(&row.cells())).collect()
}

/// A line for each field: its name, a tab, its value.
pub(super) fn record(fields: &[Field]) -> String {
    fields.iter().map(|(name, value)| line(&[(*name).to_owned(), value.clone()])).collect()
}

/// Tabs and line ends inside of a cell are made visible, so that the columns stay what they are.
fn line(cells: &[String]) -> String {
    let cells: Vec<_> = cells.iter().map(|cell| visible(cell)).collect();
    format!("{}\n", cells.join("\t"))
}
