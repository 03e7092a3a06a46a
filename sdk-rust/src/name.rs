//! Names of actions and receivers.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization as _;

/// The longest name, in bytes of UTF-8 after NFC: what file systems allow for one file name.
pub const MAX_NAME: usize = 255;

/// Why a text is no name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    /// Nothing there.
    #[error("a name must not be empty")]
    Empty,
    /// More than [`MAX_NAME`] bytes.
    #[error("a name must have at most {MAX_NAME} bytes, this one has {0}")]
    TooLong(usize),
    /// `.hidden`, `.` and `..`.
    #[error("a name must not begin with a dot")]
    LeadingDot,
    /// A separator, a control character or one that changes the direction of text.
    #[error("a name must not contain {0:?}")]
    Forbidden(char),
    /// White space at an end cannot be seen.
    #[error("a name must not begin or end with white space")]
    Padded,
}

/// Puts a name into NFC and checks it: printable Unicode but `/` and `\`, no control and no
/// bidirectional-format characters, no leading dot, at most [`MAX_NAME`] bytes.
fn checked(text: &str) -> Result<Arc<str>, InvalidName> {
    // NFC can grow a text threefold at most, so this bounds the work.
    if text.len() > 4 * MAX_NAME {
        return Err(InvalidName::TooLong(text.len()));
    }
    // What is ASCII is in NFC, and most names are.
    let name = if text.is_ascii() { Cow::Borrowed(text) } else { Cow::Owned(text.nfc().collect()) };
    if name.is_empty() {
        return Err(InvalidName::Empty);
    }
    if name.len() > MAX_NAME {
        return Err(InvalidName::TooLong(name.len()));
    }
    if name.starts_with('.') {
        return Err(InvalidName::LeadingDot);
    }
    if let Some(c) = name.chars().find(|&c| is_forbidden(c)) {
        return Err(InvalidName::Forbidden(c));
    }
    if name.trim() != name {
        return Err(InvalidName::Padded);
    }
    Ok(name.into())
}

fn is_forbidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '/' | '\\')
        // Bidirectional formatting, line and paragraph separators, and what shows nothing at all.
        || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
        || matches!(c, '\u{fff0}'..='\u{fffb}' | '\u{e000}'..='\u{f8ff}' | '\u{e0000}'..='\u{10ffff}')
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// A name is compared after NFC and never becomes a path: it is looked up in the list of
        /// what was discovered.
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks a text once; a value of this type is valid ever after.
            pub fn new(text: &str) -> Result<Self, InvalidName> {
                checked(text).map(Self)
            }

            /// The name as text, in NFC.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({:?})", stringify!($name), self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = Cow::<'de, str>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

names! {
    /// The name of something that can be performed.
    ActionName;
    /// The name of something that handles publications.
    ReceiverName;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_existing_files_are_names() {
        for name in
            ["My Action", "Café Report (täglich)", "Daily Report", "日報", "a", "x.y", "💾 backup", "a:b", "%2e%2e"]
        {
            assert!(ActionName::new(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn s13_a_name_never_is_a_path() {
        for (name, error) in [
            ("", InvalidName::Empty),
            (".", InvalidName::LeadingDot),
            ("..", InvalidName::LeadingDot),
            ("../x", InvalidName::LeadingDot),
            ("a/b", InvalidName::Forbidden('/')),
            ("a\\b", InvalidName::Forbidden('\\')),
            ("a\0b", InvalidName::Forbidden('\0')),
            ("a\r\nb", InvalidName::Forbidden('\r')),
            ("a\u{1b}[31m", InvalidName::Forbidden('\u{1b}')),
            ("a\u{202e}b", InvalidName::Forbidden('\u{202e}')),
            ("a\u{200b}b", InvalidName::Forbidden('\u{200b}')),
            (" a", InvalidName::Padded),
        ] {
            assert_eq!(ActionName::new(name), Err(error), "{name:?}");
        }
        assert_eq!(ActionName::new(&"x".repeat(256)), Err(InvalidName::TooLong(256)));
        assert!(ActionName::new(&"x".repeat(255)).is_ok());
        assert!(ActionName::new(&"x".repeat(1 << 26)).is_err());
    }

    #[test]
    fn names_are_compared_after_nfc() {
        assert_eq!(ActionName::new("Cafe\u{301}"), ActionName::new("Café"));
    }
}
