use std::borrow::Cow;

use jsonrpsee::types::ErrorObjectOwned;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::id::{Id, text};
use crate::wire::raw::{Raw, present};

/// How deep arrays and objects may be nested in a frame: what the readers of most languages take.
pub const MAX_DEPTH: usize = 128;

/// A frame, by what is to be done with it.
#[derive(Debug)]
pub(super) enum Frame<'a> {
    /// `method` and `id`: answer it.
    Request { id: Id<'a>, method: Cow<'a, str>, params: Option<&'a RawValue> },
    /// `method` without `id`: do it, answer nothing.
    Notification { method: Cow<'a, str>, params: Option<&'a RawValue> },
    /// Neither: it answers a call of ours.
    Response { id: u64, outcome: Result<Raw, ErrorObjectOwned> },
}

/// Why a text is no frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAFrame {
    /// No JSON, or no object with the members that JSON-RPC asks for.
    #[error("not a JSON-RPC object: {0}")]
    Malformed(String),
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
}

/// The members of a frame, as they stand in the line: each is read once it is known what the frame is.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    method: Option<&'a RawValue>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    // Also `null` is a result.
    #[serde(borrow, default, deserialize_with = "present")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Sorts a line. Total: whatever the other side sends ends here as one of the cases, or as an error.
pub(super) fn classify(line: &str) -> Result<Frame<'_>, NotAFrame> {
    if is_deeper_than(MAX_DEPTH, line) {
        return Err(NotAFrame::TooDeep);
    }
    let malformed = |why: &str| NotAFrame::Malformed(why.to_owned());
    // Without this serde would read an array as the members in order.
    if !line.trim_start().starts_with('{') {
        return Err(malformed("not an object"));
    }
    let envelope: Envelope<'_> = serde_json::from_str(line).map_err(|error| malformed(&error.to_string()))?;
    if envelope.jsonrpc.and_then(text).as_deref() != Some("2.0") {
        return Err(malformed("`jsonrpc` is not \"2.0\""));
    }
    let id = envelope.id.map(|id| Id::read(id).ok_or_else(|| malformed("`id` is neither a number nor a text")));
    let method = envelope.method.map(|method| text(method).ok_or_else(|| malformed("`method` is no text")));
    let params = envelope.params;
    match (method.transpose()?, id.transpose()?) {
        (Some(method), Some(id)) => Ok(Frame::Request { id, method, params }),
        (Some(method), None) => Ok(Frame::Notification { method, params }),
        (None, Some(Id::Number(id))) => match (envelope.result, envelope.error) {
            (Some(result), None) => Ok(Frame::Response { id, outcome: Ok(result.to_owned()) }),
            (None, Some(error)) => {
                let error = serde_json::from_str(error.get()).map_err(|error| malformed(&error.to_string()))?;
                Ok(Frame::Response { id, outcome: Err(error) })
            }
            _ => Err(malformed("neither a `method` nor exactly one of `result` and `error`")),
        },
        (None, _) => Err(malformed("neither a `method` nor the number of a call")),
    }
}

/// Who waits for the end of a line that is nested too deep to be a frame.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Waiting<'a> {
    /// Our own call, which it answers.
    We(u64),
    /// Whoever wrote it: it is a request.
    They(Id<'a>),
}

/// Looks into a line that [`classify`] found too deep: it may be part of a conversation all the same.
pub(super) fn who_waits(line: &str) -> Option<Waiting<'_>> {
    #[derive(Deserialize)]
    struct Outside<'a> {
        jsonrpc: &'a str,
        // What is not looked at is passed over however deep it is; values are raw for the same reason.
        #[serde(borrow)]
        id: &'a RawValue,
        #[serde(borrow, default)]
        method: Option<&'a RawValue>,
    }
    let outside: Outside<'_> =
        serde_json::from_str(line).ok().filter(|outside: &Outside<'_>| outside.jsonrpc == "2.0")?;
    let id = Some(outside.id.get()).filter(|id| !is_deeper_than(0, id))?;
    match outside.method {
        Some(_) => Id::read(outside.id).map(Waiting::They),
        None => id.parse().ok().map(Waiting::We),
    }
}

/// Whether a line is a frame. For the fuzz target of this parser, which is no part of the interface.
#[doc(hidden)]
pub fn is_frame(line: &str) -> bool {
    classify(line).is_ok()
}

/// Whether a JSON text is nested deeper than so many levels.
pub fn is_deeper_than(levels: usize, text: &str) -> bool {
    let bytes = text.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'{' | b'[' => {
                depth += 1;
                if depth > levels {
                    return true;
                }
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    false
}

/// Where it goes on behind a string that begins here. Most of a text is in strings, so it is not read byte by byte.
fn end_of_string(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match memchr::memchr2(b'"', b'\\', rest) {
            Some(found) if rest[found] == b'"' => return at + found + 1,
            // What is escaped is passed over with its backslash.
            Some(found) => at += found + 2,
            None => return bytes.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart() {
        let request = classify(r#"{"jsonrpc":"2.0","id":1,"method":"a.b","params":{"x":[1]}}"#);
        assert!(
            matches!(request, Ok(Frame::Request { id: Id::Number(1), method, params: Some(_) }) if method == "a.b")
        );
        let request = classify(r#"{"jsonrpc":"2.0","id":"x","method":"m","extra":[{}]}"#);
        assert!(matches!(request, Ok(Frame::Request { id: Id::Text(_), params: None, .. })));
        assert!(matches!(classify(r#"{"jsonrpc":"2.0","method":"m"}"#), Ok(Frame::Notification { .. })));
        let response = classify(r#"{"jsonrpc":"2.0","id":7,"result":null}"#);
        assert!(matches!(response, Ok(Frame::Response { id: 7, outcome: Ok(raw) }) if raw.get() == "null"));
        let response = classify(r#"{"jsonrpc":"2.0","id":7,"error":{"code":1,"message":"m"}}"#);
        assert!(matches!(response, Ok(Frame::Response { outcome: Err(error), .. }) if error.code() == 1));
    }

    #[test]
    fn r1_whatever_comes_is_sorted_or_refused() {
        let deep = |levels: usize| {
            format!(r#"{{"jsonrpc":"2.0","method":"m","params":{}{}}}"#, "[".repeat(levels), "]".repeat(levels))
        };
        for line in [
            "",
            "x",
            "null",
            "[]",
            "1",
            "{}",
            r#"[{"jsonrpc":"2.0","method":"m"}]"#,
            "{\"jsonrpc\":\"2.0\"}",
            r#"["2.0",1,"m"]"#,
            r#"{"jsonrpc":"1.0","method":"m"}"#,
            r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#,
            r#"{"jsonrpc":"2.0","id":-1,"result":1}"#,
            r#"{"jsonrpc":"2.0","id":1}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}}"#,
            r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"m"}"#,
            r#"{"jsonrpc":"2.0","method":5}"#,
            r#"{"jsonrpc":"2.0","id":1e999,"method":"m"}"#,
            r#"{"jsonrpc":"2.0","method":"\ud800"}"#,
            r#"{"chain":{},"opCode":"auth","parameters":{"chain":null}}"#,
            "{\"jsonrpc\":\"2.0\",\"method\":\"m\"}}",
        ] {
            assert!(matches!(classify(line), Err(NotAFrame::Malformed(_))), "{line}");
        }
        assert!(classify(&deep(MAX_DEPTH - 1)).is_ok());
        assert_eq!(classify(&deep(MAX_DEPTH)).err(), Some(NotAFrame::TooDeep));
        assert_eq!(classify(&deep(1_000_000)).err(), Some(NotAFrame::TooDeep));
        // Brackets inside a string do not nest.
        assert!(classify(&format!(r#"{{"jsonrpc":"2.0","method":"m","params":["\"{}"]}}"#, "[".repeat(500))).is_ok());
    }

    #[test]
    fn depth_is_counted_outside_of_strings() {
        for (text, depth) in [
            ("1", 0),
            ("[]", 1),
            ("[[],[{}]]", 3),
            (r#"["[[[["]"#, 1),
            (r#"["\"[[["]"#, 1),
            (r#"["\\",[[]]]"#, 3),
            (r#"{"a\\\"[":"[","b":[]}"#, 2),
            (r#"["[[[[[[["#, 1),
            (r#"["[[\"#, 1),
        ] {
            assert!(depth == 0 || is_deeper_than(depth - 1, text), "{text}");
            assert!(!is_deeper_than(depth, text), "{text}");
        }
    }

    #[test]
    fn who_waits_for_what_is_too_deep_is_found() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        for (line, waiting) in [
            (format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"output":{deep}}}}}"#), Some(Waiting::We(7))),
            (format!(r#"{{"result":{deep},"id":7,"jsonrpc":"2.0"}}"#), Some(Waiting::We(7))),
            (format!(r#"{{"jsonrpc":"2.0","id":8,"method":"m","params":{deep}}}"#), Some(Waiting::They(Id::Number(8)))),
            (format!(r#"{{"jsonrpc":"2.0","method":"m","params":{deep}}}"#), None),
            (format!(r#"{{"jsonrpc":"2.0","id":{deep},"result":1}}"#), None),
            (format!(r#"{{"jsonrpc":"1.0","id":7,"result":{deep}}}"#), None),
            (deep, None),
        ] {
            assert_eq!(classify(&line).err(), Some(NotAFrame::TooDeep));
            assert_eq!(who_waits(&line), waiting, "{}", &line[..40]);
        }
    }
}
