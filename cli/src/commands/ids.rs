use std::str::FromStr;

use coattail::wire::{ErrorCode, Failure};

/// Reads an id. A text that is no id names nothing, which is the same to whoever typed it.
pub(super) fn parse<T: FromStr>(text: &str, what: &str, list: &str) -> Result<T, Failure> {
    text.parse().map_err(|_| {
        Failure::new(ErrorCode::NotFound, format!("there is no {what} `{text}`"))
            .hint(format!("`coattail {list}` shows the ids"))
    })
}
