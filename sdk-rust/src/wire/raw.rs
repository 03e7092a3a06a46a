//! JSON that is passed on and never looked into.

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// A JSON text, kept byte for byte.
pub type Raw = Box<RawValue>;

/// Reads an optional field so that `null` is a value and only absence is `None`: an action that is given `null` and one
/// that is given nothing are told apart, as in the original.
pub fn present<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// For a field that is left out if there is nothing to count.
pub(super) fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A JSON text without the line breaks that JSON allows between tokens.
///
/// Frames are lines, and what is signed must not change on its way, so texts are brought into this form
/// where they enter. Inside a string a line break cannot occur unescaped, so that nothing but white space
/// changes.
pub fn one_line(raw: Raw) -> Raw {
    if !has_breaks(raw.get()) {
        return raw;
    }
    let text = without_breaks(raw.get().to_owned());
    RawValue::from_string(text).expect("white space between the tokens of JSON is JSON")
}

/// As [`one_line`], of a text that is known to be JSON.
pub(crate) fn without_breaks(text: String) -> String {
    if has_breaks(&text) { text.replace(['\n', '\r'], " ") } else { text }
}

fn has_breaks(text: &str) -> bool {
    memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_breaks_go_and_strings_stay() {
        let raw: Raw = serde_json::from_str("{\r\n  \"a\": \"b\\n\",\n \"n\": 1.50 }").expect("JSON");
        assert_eq!(one_line(raw).get(), "{    \"a\": \"b\\n\",  \"n\": 1.50 }");
    }
}
