use serde::Serialize;

use super::visible::visible_json;

/// One line of JSON.
pub(super) fn line(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).expect("answers are plain data with string keys");
    format!("{}\n", visible_json(&json))
}

/// One line of JSON in which what came from elsewhere stays byte for byte.
pub(super) fn line_as_it_is(value: &impl Serialize) -> String {
    format!("{}\n", serde_json::to_string(value).expect("answers are plain data with string keys"))
}
