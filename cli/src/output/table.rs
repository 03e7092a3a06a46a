use comfy_table::{Table, presets};

use super::Color;
use super::show::{Field, Row};
use super::visible;

/// Aligned columns under a header, without borders.
pub(super) fn list<R: Row>(rows: &[R], color: Color) -> String {
    let mut table = new_table();
    table.set_header(R::COLUMNS.iter().map(|column| column.to_uppercase()));
    for row in rows {
        table.add_row(row.cells().iter().map(|cell| visible(cell)));
    }
    let shown = finish(table);
    if color.is_on() { painted(&shown, rows, color) } else { shown }
}

/// Colour comes last, when the columns are as wide as they need to be.
fn painted<R: Row>(shown: &str, rows: &[R], color: Color) -> String {
    let mut lines = shown.lines();
    let mut painted: Vec<String> = lines.next().map(|head| color.paint(HEAD, head)).into_iter().collect();
    for (line, row) in lines.zip(rows) {
        let first = row.cells().first().map(|cell| visible(cell).into_owned()).unwrap_or_default();
        painted.push(match (row.tone(), line.strip_prefix(&first)) {
            (Some(tone), Some(rest)) => format!("{}{rest}", color.paint(tone, &first)),
            _ => line.to_owned(),
        });
    }
    painted.iter().map(|line| format!("{line}\n")).collect()
}

/// A line for each field, the values aligned.
pub(super) fn record(fields: &[Field], color: Color) -> String {
    let mut table = new_table();
    for (name, value) in fields {
        table.add_row([visible(name), visible(value)]);
    }
    let shown = finish(table);
    if !color.is_on() {
        return shown;
    }
    let lines = shown.lines().zip(fields);
    lines.map(|(line, (name, _))| format!("{}{}\n", color.paint(NAME, name), &line[name.len()..])).collect()
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

/// The header of a list, and the name of a field.
const HEAD: &str = "1";
const NAME: &str = "2";
