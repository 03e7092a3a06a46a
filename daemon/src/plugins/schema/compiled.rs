use std::fmt::{self, Write as _};

use coattail::wire::Raw;
use jsonschema::{PatternOptions, ValidationError, Validator};
use serde::Serialize;
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::effort::Effort;

/// The largest schema that is taken, in bytes of JSON: as large as a sidecar.
const LARGEST: usize = 64 * 1024;

/// The largest machine that a `pattern` may become, in bytes.
const LARGEST_PATTERN: usize = 1024 * 1024;

/// How many errors are told, each in so many characters, with so many of the value.
const TOLD: usize = 5;
const TOLD_LENGTH: usize = 300;
const VALUE_LENGTH: usize = 32;

/// A JSON Schema that can be checked against.
pub(in crate::plugins) struct Schema {
    schema: Value,
    text: Raw,
    validator: Validator,
}

/// Why a schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub(in crate::plugins) enum SchemaError {
    #[error("is larger than {LARGEST} bytes")]
    TooLarge,
    #[error("is wrong{}: {message}", at(place))]
    Wrong {
        /// A JSON pointer into the schema.
        place: String,
        message: String,
    },
}

/// Where and why a value does not fit.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(in crate::plugins) struct Misfit {
    /// JSON pointer into the value.
    pub(in crate::plugins) pointer: String,
    /// JSON pointer to the rule in the schema.
    pub(in crate::plugins) rule: String,
    pub(in crate::plugins) message: String,
}

/// Whether the values themselves may be told, cut short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::plugins) enum Values {
    /// To whom they are from.
    Shown,
    /// What is held back is held back whole.
    Hidden,
}

impl Schema {
    /// Prepares a schema. It refers to nothing but itself: nothing is fetched, and no file is read.
    pub(in crate::plugins) fn new(schema: Value) -> Result<Self, SchemaError> {
        let text = to_raw_value(&schema).expect("a JSON value is JSON");
        if text.get().len() > LARGEST {
            return Err(SchemaError::TooLarge);
        }
        // A regular expression that cannot go back takes time that grows with the text, whatever the text is.
        let patterns = PatternOptions::regex().size_limit(LARGEST_PATTERN).dfa_size_limit(LARGEST_PATTERN);
        let validator = jsonschema::options().offline().with_pattern_options(patterns).build(&schema);
        let validator = validator.map_err(|error| SchemaError::Wrong {
            place: error.instance_path().as_str().to_owned(),
            message: bounded(&error),
        })?;
        Ok(Self { schema, text, validator })
    }

    /// The schema itself.
    pub(in crate::plugins) fn schema(&self) -> &Value {
        &self.schema
    }

    /// The schema as JSON.
    pub(in crate::plugins) fn text(&self) -> &Raw {
        &self.text
    }

    /// The first places at which a value does not fit, and how many there are beside them. Nothing, if it fits.
    pub(in crate::plugins) fn misfits(&self, value: &Value, values: Values) -> Option<(Vec<Misfit>, usize)> {
        // Order: first whether, since that is bounded by itself.
        if self.validator.is_valid(value) {
            return None;
        }
        let mut told = Vec::new();
        let mut more = 0;
        match Effort::of(&self.schema, value) {
            Effort::All => {
                let mut errors = self.validator.iter_errors(value);
                told.extend(errors.by_ref().take(TOLD).map(|error| misfit(&error, values)));
                more = errors.count();
            }
            Effort::First => told.extend(self.validator.validate(value).err().map(|error| misfit(&error, values))),
            Effort::None => {}
        }
        if told.is_empty() {
            let message = "it is too large or too deep to tell where".to_owned();
            told.push(Misfit { pointer: String::new(), rule: String::new(), message });
        }
        Some((told, more))
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Schema").field(&self.text).finish()
    }
}

/// ` at /a/b`, or nothing for the whole.
pub(super) fn at(pointer: &str) -> String {
    if pointer.is_empty() { String::new() } else { format!(" at {}", Cut::new(pointer, TOLD_LENGTH)) }
}

fn misfit(error: &ValidationError<'_>, values: Values) -> Misfit {
    let shown = match values {
        Values::Shown => Cut::new(error.instance().as_ref(), VALUE_LENGTH).to_string(),
        Values::Hidden => "the value".to_owned(),
    };
    Misfit {
        pointer: Cut::new(error.instance_path().as_str(), TOLD_LENGTH).to_string(),
        rule: error.schema_path().as_str().to_owned(),
        message: bounded(&error.masked_with(shown)),
    }
}

fn bounded(text: &impl fmt::Display) -> String {
    Cut::new(text, TOLD_LENGTH).to_string()
}

/// The beginning of a text. What follows is not even made.
struct Cut<T> {
    text: T,
    length: usize,
}

impl<T: fmt::Display> Cut<T> {
    fn new(text: T, length: usize) -> Self {
        Self { text, length }
    }
}

impl<T: fmt::Display> fmt::Display for Cut<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Room<'a, 'b> {
            left: usize,
            f: &'a mut fmt::Formatter<'b>,
        }
        impl fmt::Write for Room<'_, '_> {
            fn write_str(&mut self, text: &str) -> fmt::Result {
                for c in text.chars() {
                    self.left = self.left.checked_sub(1).ok_or(fmt::Error)?;
                    // One line, whatever a name or a pattern holds.
                    if c.is_control() { write!(self.f, "{}", c.escape_unicode())? } else { self.f.write_char(c)? }
                }
                Ok(())
            }
        }
        let mut room = Room { left: self.length, f };
        match write!(room, "{}", self.text) {
            Err(_) if room.left == 0 => f.write_char('…'),
            written => written,
        }
    }
}

#[cfg(test)]
mod tests;
