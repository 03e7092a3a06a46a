//! The table of goals.

use super::goals::COLUMNS;
use super::perform;
use crate::effort::Effort;
use crate::report::Section;

pub(crate) fn measure(effort: &Effort) -> Section {
    let mut rows = Vec::new();
    rows.extend(perform::rows(effort));
    Section {
        note: "x".to_owned(),
        columns: COLUMNS,
        rows,
    }
}
