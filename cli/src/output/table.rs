use comfy_table::{Table, presets};

use super::show::{Field, Row};
use super::visible;

/// Aligned columns under a header, without borders.
pub(super) fn list<R: Row>(rows: &[R]) -> String {
    let mut table = new_table();
    table.set_header(R::COLUMNS.iter().map(|column| column.to_uppercase()));
    for row in rows {
        table.add_row(row.cells().iter().map(|cell| visible(cell)));
    }
    finish(table)
}

/// A line for each field, the values aligned.
pub(super) fn record(fields: &[Field]) -> String {
    let mut table = new_table();
    for (name, value) in fields {
        table.add_row([visible(name), visible(value)]);
    }
    finish(table)
}

fn new_table() -> Table {
    let mut table = Table::new();
    // As wide as it needs to be: what is cut off or wrapped can be neither copied nor searched.
    table.load_style(presets::NOTHING);
    table
}

fn finish(mut table: Table) -> String {
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    format!("{}\n", table.trim_fmt())
}
