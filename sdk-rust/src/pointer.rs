//! Places within values, as the settings of receivers name them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A JSON pointer (RFC 6901) to something within a value, such as `/kind` or `/disk/0/name`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pointer(String);

/// A text that is no JSON pointer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPointer {
    /// It does not begin as one.
    #[error("`{0}` is no JSON pointer: those begin with `/`, as in `/kind`")]
    NoSlash(String),
    /// A `~` that stands for nothing.
    #[error("`{0}` is no JSON pointer: in those `~` is written as `~0`, and `/` in a name as `~1`")]
    Escape(String),
}

impl Pointer {
    /// What it leads to, if that is there.
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        value.pointer(&self.0)
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pointer {
    type Err = InvalidPointer;

    fn from_str(text: &str) -> Result<Self, InvalidPointer> {
        if !text.starts_with('/') {
            return Err(InvalidPointer::NoSlash(text.to_owned()));
        }
        let stands_for_something = |(at, _)| matches!(text.as_bytes().get(at + 1), Some(b'0' | b'1'));
        if !text.match_indices('~').all(stands_for_something) {
            return Err(InvalidPointer::Escape(text.to_owned()));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for Pointer {
    type Error = InvalidPointer;

    fn try_from(text: String) -> Result<Self, InvalidPointer> {
        text.parse()
    }
}

impl From<Pointer> for String {
    fn from(pointer: Pointer) -> Self {
        pointer.0
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_leads_to_something_or_nothing() {
        let value = serde_json::json!({"disk": [{"name": "a"}], "a/b": 1, "m~n": 2, "": 3});
        let find = |text: &str| text.parse::<Pointer>().expect("a pointer").find(&value).cloned();
        assert_eq!(find("/disk/0/name"), Some("a".into()));
        assert_eq!((find("/a~1b"), find("/m~0n"), find("/")), (Some(1.into()), Some(2.into()), Some(3.into())));
        assert_eq!((find("/disk/1"), find("/kind")), (None, None));
        for text in ["", "kind", "#/kind", "/a~", "/a~2b"] {
            assert!(text.parse::<Pointer>().is_err(), "{text}");
        }
    }
}
