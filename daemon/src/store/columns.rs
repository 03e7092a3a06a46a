//! Between columns and the words of the domain.

use std::str::FromStr;

use coattail::wire::Raw;
use rusqlite::types::Type;
use rusqlite::{Error, Row, RowIndex};

/// A text column as the type it was written from. What does not parse was not written by us.
pub(super) fn parsed<T>(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let index = column.idx(row.as_ref())?;
    row.get_ref(index)?.as_str()?.parse().map_err(|error| not_ours(index, error))
}

/// The same for a column that may be NULL.
pub(super) fn parsed_if_any<T>(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Option<T>>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let index = column.idx(row.as_ref())?;
    let text = row.get_ref(index)?.as_str_or_null()?;
    text.map(|text| text.parse().map_err(|error| not_ours(index, error))).transpose()
}

/// A payload: JSON text, kept byte for byte.
pub(super) fn payload(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<Raw> {
    let index = column.idx(row.as_ref())?;
    serde_json::value::RawValue::from_string(row.get(index)?).map_err(|error| not_ours(index, error))
}

/// The same for a column that may be NULL.
pub(super) fn payload_if_any(row: &Row<'_>, column: &str) -> rusqlite::Result<Option<Raw>> {
    let index = column.idx(row.as_ref())?;
    let text = row.get_ref(index)?.as_str_or_null()?;
    let raw = text.map(|text| serde_json::value::RawValue::from_string(text.to_owned())).transpose();
    raw.map_err(|error| not_ours(index, error))
}

/// A sequence number or a count. SQLite has signed integers only; ours never come near the difference.
pub(super) fn unsigned(row: &Row<'_>, column: impl RowIndex) -> rusqlite::Result<u64> {
    row.get::<_, i64>(column).map(i64::unsigned_abs)
}

/// The reverse of [`unsigned`].
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn not_ours(index: usize, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::FromSqlConversionFailure(index, Type::Text, Box::new(error))
}
