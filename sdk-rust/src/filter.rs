//! Which publications a subscription is for.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};

use crate::pointer::{InvalidPointer, Pointer};

/// The longest filter, in bytes: it is looked at for every publication.
const MAX_BYTES: usize = 1024;

/// What a value has to be: `/kind == "disk"`, `/load > 0.9`, or `/error` for something that has to be there.
///
/// A JSON pointer (RFC 6901), an operator and a JSON value. A pointer ends at a space or an operator; one that contains
/// these is written as a JSON string. What is not there equals nothing, and only numbers are more or less.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Filter {
    text: String,
    pointer: Pointer,
    /// Absent: something has to be there, whatever it is.
    condition: Option<(Operator, Value)>,
}

impl Filter {
    /// Whether a value is such a one.
    pub fn matches(&self, value: &Value) -> bool {
        let found = self.pointer.find(value);
        match (&self.condition, found) {
            (None, found) => found.is_some(),
            (Some((operator, wanted)), found) => operator.holds(found, wanted),
        }
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Filter> for String {
    fn from(filter: Filter) -> Self {
        filter.text
    }
}

impl TryFrom<String> for Filter {
    type Error = InvalidFilter;

    fn try_from(text: String) -> Result<Self, InvalidFilter> {
        text.parse()
    }
}

impl FromStr for Filter {
    type Err = InvalidFilter;

    fn from_str(text: &str) -> Result<Self, InvalidFilter> {
        if text.len() > MAX_BYTES {
            return Err(InvalidFilter::TooLong);
        }
        let at = |rest: &str| text[..text.len() - rest.len()].chars().count() + 1;
        let (pointer, rest) = pointer(text.trim_start(), &at)?;
        let rest = rest.trim_start();
        let condition = if rest.is_empty() {
            None
        } else {
            let (operator, rest) = Operator::read(rest).ok_or_else(|| InvalidFilter::Operator { at: at(rest) })?;
            let rest = rest.trim_start();
            let value: Value = serde_json::from_str(rest).map_err(|error| InvalidFilter::value(at(rest), &error))?;
            if operator.is_order() && !value.is_number() {
                return Err(InvalidFilter::Number { at: at(rest) });
            }
            Some((operator, value))
        };
        Ok(Self { text: text.trim().to_owned(), pointer, condition })
    }
}

/// A text that is no filter. Places are counted in characters, from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidFilter {
    /// It costs too much to look at.
    #[error("a filter is at most {MAX_BYTES} bytes long")]
    TooLong,
    /// There is no pointer, or not a good one.
    #[error("character {at}: expected a JSON pointer such as /kind or /disk/0/name")]
    Pointer {
        /// Where.
        at: usize,
    },
    /// A `~` that stands for nothing.
    #[error("character {at}: in a JSON pointer `~` is written as ~0, and `/` as ~1")]
    Escape {
        /// Where.
        at: usize,
    },
    /// There is something else than an operator.
    #[error("character {at}: expected ==, !=, <, <=, > or >=, or nothing more")]
    Operator {
        /// Where.
        at: usize,
    },
    /// What something is compared with is no JSON.
    #[error("character {at}: expected a JSON value such as \"disk\", 0.9 or null: {why}")]
    Value {
        /// Where.
        at: usize,
        /// What is wrong with it.
        why: String,
    },
    /// Only numbers are more or less.
    #[error("character {at}: expected a number, since only numbers are more or less")]
    Number {
        /// Where.
        at: usize,
    },
}

impl InvalidFilter {
    fn value(at: usize, error: &serde_json::Error) -> Self {
        let why = error.to_string();
        // It is one line, and the place is ours to say.
        let why = why.split(" at line ").next().unwrap_or_default().to_owned();
        Self::Value { at: at + error.column().saturating_sub(1), why }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Operator {
    Is,
    IsNot,
    Less,
    AtMost,
    More,
    AtLeast,
}

impl Operator {
    /// Order: what begins another comes after it.
    const ALL: [(&'static str, Self); 6] = [
        ("==", Self::Is),
        ("!=", Self::IsNot),
        ("<=", Self::AtMost),
        (">=", Self::AtLeast),
        ("<", Self::Less),
        (">", Self::More),
    ];

    fn read(text: &str) -> Option<(Self, &str)> {
        Self::ALL.iter().find_map(|(word, operator)| Some((*operator, text.strip_prefix(word)?)))
    }

    fn is_order(self) -> bool {
        !matches!(self, Self::Is | Self::IsNot)
    }

    fn holds(self, found: Option<&Value>, wanted: &Value) -> bool {
        let is_same = || found.is_some_and(|found| is_equal(found, wanted));
        let order = || match (found, wanted) {
            (Some(Value::Number(found)), Value::Number(wanted)) => compare(found, wanted),
            _ => None,
        };
        match self {
            Self::Is => is_same(),
            Self::IsNot => !is_same(),
            Self::Less => order() == Some(Ordering::Less),
            Self::AtMost => matches!(order(), Some(Ordering::Less | Ordering::Equal)),
            Self::More => order() == Some(Ordering::Greater),
            Self::AtLeast => matches!(order(), Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

/// The pointer at the beginning of a text, and what comes after it.
fn pointer<'t>(text: &'t str, at: &impl Fn(&str) -> usize) -> Result<(Pointer, &'t str), InvalidFilter> {
    let (pointer, rest) = if text.starts_with('"') {
        let mut strings = serde_json::Deserializer::from_str(text).into_iter::<String>();
        let read = strings.next().and_then(Result::ok).ok_or_else(|| InvalidFilter::Pointer { at: at(text) })?;
        (read, &text[strings.byte_offset()..])
    } else {
        let end = text.find(|c: char| c.is_whitespace() || "=!<>".contains(c)).unwrap_or(text.len());
        (text[..end].to_owned(), &text[end..])
    };
    let pointer = pointer.parse().map_err(|error| match error {
        InvalidPointer::NoSlash(_) => InvalidFilter::Pointer { at: at(text) },
        InvalidPointer::Escape(_) => InvalidFilter::Escape { at: at(&text[text.find('~').unwrap_or(0)..]) },
    })?;
    Ok((pointer, rest))
}

/// Numbers are equal if they are the same number, however they are written.
fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => compare(one, other) == Some(Ordering::Equal),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, one)| other.get(key).is_some_and(|other| is_equal(one, other)))
        }
        (one, other) => one == other,
    }
}

fn compare(one: &Number, other: &Number) -> Option<Ordering> {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => Some(one.cmp(&other)),
        _ => one.as_f64()?.partial_cmp(&other.as_f64()?),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_those_that_were_asked_for_or_not() {
        let value = json!({
            "kind": "disk", "load": 0.9, "count": 3, "none": null, "list": [1, {"n": 2.0}], "a b": 1, "c/d": 2, "e=f": 3,
        });
        for (filter, expected) in [
            ("/kind == \"disk\"", true),
            ("/kind==\"disk\"", true),
            ("  /kind  ==  \"disk\"  ", true),
            ("/kind == \"Disk\"", false),
            ("/kind != \"disk\"", false),
            ("/kind != 1", true),
            ("/kind > 1", false),
            ("/missing == null", false),
            ("/missing != \"disk\"", true),
            ("/missing < 1", false),
            ("/missing", false),
            ("/none", true),
            ("/none == null", true),
            ("/load > 0.8", true),
            ("/load>=0.9", true),
            ("/load < 0.9", false),
            ("/count <= 3", true),
            ("/count == 3.0", true),
            ("/count > 18446744073709551615", false),
            ("/list == [1.0, {\"n\": 2}]", true),
            ("/list == [1]", false),
            ("/list/1/n >= 2", true),
            ("/list/7", false),
            ("\"/a b\" == 1", true),
            ("/c~1d == 2", true),
            ("\"/e=f\"", true),
        ] {
            assert_eq!(filter.parse::<Filter>().unwrap().matches(&value), expected, "{filter}");
        }
        assert!(!"/kind".parse::<Filter>().unwrap().matches(&json!(7)));
    }

    #[test]
    fn what_is_no_filter_is_refused_with_the_place() {
        let value = |at, why: &str| InvalidFilter::Value { at, why: why.to_owned() };
        for (filter, expected) in [
            ("", InvalidFilter::Pointer { at: 1 }),
            (" kind == 1", InvalidFilter::Pointer { at: 2 }),
            ("== 1", InvalidFilter::Pointer { at: 1 }),
            ("\"/a", InvalidFilter::Pointer { at: 1 }),
            ("\"a\" == 1", InvalidFilter::Pointer { at: 1 }),
            ("/ä~2 == 1", InvalidFilter::Escape { at: 3 }),
            ("/a~", InvalidFilter::Escape { at: 3 }),
            ("/kind = 1", InvalidFilter::Operator { at: 7 }),
            ("/ä is 1", InvalidFilter::Operator { at: 4 }),
            ("/kind == disk", value(10, "expected value")),
            ("/kind ==", value(9, "EOF while parsing a value")),
            ("/kind == 1 2", value(12, "trailing characters")),
            ("/kind < \"disk\"", InvalidFilter::Number { at: 9 }),
            (&format!("/{}", "x".repeat(MAX_BYTES)), InvalidFilter::TooLong),
        ] {
            assert_eq!(filter.parse::<Filter>().unwrap_err(), expected, "{filter}");
        }
        assert!(serde_json::from_str::<Filter>("\"kind\"").is_err());
        assert_eq!(serde_json::to_string(&" /a<1".parse::<Filter>().unwrap()).unwrap(), "\"/a<1\"");
    }
}
