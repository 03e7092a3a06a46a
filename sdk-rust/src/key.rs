//! Idempotency keys.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The longest key, in bytes: a hash or an id fits several times.
const MAX_BYTES: usize = 255;

/// What tells two calls from one that was asked for twice: 1 to 255 bytes of printable text, of the caller's choice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Key(String);

impl Key {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

impl TryFrom<String> for Key {
    type Error = InvalidKey;

    fn try_from(text: String) -> Result<Self, InvalidKey> {
        if text.is_empty() || text.len() > MAX_BYTES || text.chars().any(char::is_control) {
            return Err(InvalidKey);
        }
        Ok(Self(text))
    }
}

impl FromStr for Key {
    type Err = InvalidKey;

    fn from_str(text: &str) -> Result<Self, InvalidKey> {
        text.to_owned().try_into()
    }
}

/// A text that cannot be a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key is 1 to {MAX_BYTES} bytes of printable text")]
pub struct InvalidKey;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_printable_and_not_too_long() {
        for text in ["a", "order 7", "ü", &"x".repeat(255)] {
            assert_eq!(text.parse::<Key>().map(String::from), Ok(text.to_owned()));
        }
        for text in ["", "a\nb", "\u{7f}", &"x".repeat(256)] {
            assert_eq!(text.parse::<Key>(), Err(InvalidKey));
        }
        assert!(serde_json::from_str::<Key>("\"\"").is_err());
    }
}
