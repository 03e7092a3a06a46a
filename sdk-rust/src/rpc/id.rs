use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// What a request is answered under: as the other side has chosen it. No I/O.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Id<'a> {
    /// For what belongs to no request.
    Null,
    Number(u64),
    Text(Cow<'a, str>),
}

impl<'a> Id<'a> {
    /// A number or a text: nothing else is an id.
    pub(super) fn read(raw: &'a RawValue) -> Option<Self> {
        raw.get().parse().ok().map(Id::Number).or_else(|| text(raw).map(Id::Text))
    }

    pub(super) fn into_owned(self) -> Id<'static> {
        match self {
            Id::Null => Id::Null,
            Id::Number(number) => Id::Number(number),
            Id::Text(text) => Id::Text(text.into_owned().into()),
        }
    }
}

impl Serialize for Id<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Id::Null => serializer.serialize_unit(),
            Id::Number(number) => serializer.serialize_u64(*number),
            Id::Text(text) => serializer.serialize_str(text),
        }
    }
}

/// A JSON string, copied only if something in it is escaped.
pub(super) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let inner = raw.get().strip_prefix('"')?.strip_suffix('"')?;
    match memchr::memchr(b'\\', inner.as_bytes()) {
        None => Some(inner.into()),
        Some(_) => serde_json::from_str(raw.get()).ok().map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_ids_and_come_back_as_they_were() {
        for (text, id) in [
            ("0", Some(Id::Number(0))),
            ("18446744073709551615", Some(Id::Number(u64::MAX))),
            (r#""a b""#, Some(Id::Text("a b".into()))),
            (r#""\n\"""#, Some(Id::Text("\n\"".into()))),
            (r#""\ud800""#, None),
            ("-1", None),
            ("1.5", None),
            ("18446744073709551616", None),
            ("{}", None),
        ] {
            let raw: &RawValue = serde_json::from_str(text).unwrap();
            assert_eq!(Id::read(raw), id, "{text}");
            assert!(id.is_none_or(|id| serde_json::to_string(&id).unwrap() == text));
        }
    }
}
