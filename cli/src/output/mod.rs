//! How an answer looks. A command hands over typed values; one of three renderers prints them.
//!
//! | format | for | lists | one thing |
//! |---|---|---|---|
//! | [`table`] | people | aligned columns under a header | `name  value` lines |
//! | [`json`] | programs | an array of objects | an object |
//! | [`plain`] | `cut` and `awk` | tab-separated lines, no header | `name<TAB>value` lines |
//!
//! The answer goes to stdout, what is said beside it to stderr. What others wrote is shown with its
//! control characters made visible.

mod color;
mod json;
mod plain;
mod pretty;
mod printer;
mod show;
mod spinner;
mod table;
mod time;
mod visible;

pub(crate) use color::Color;
pub(crate) use printer::{Format, Printer};
pub(crate) use show::{Field, Record, Row, list_or, yes_no};
pub(crate) use time::{ago, when};
pub(crate) use visible::{visible, visible_json};
