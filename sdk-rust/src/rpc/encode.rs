use crate::wire::raw::one_line;
use crate::wire::{Method, Raw};

/// A request, or without an id a notification, as a frame.
pub(super) fn encode<M: Method>(id: Option<u64>, params: &M) -> String {
    #[derive(serde::Serialize)]
    struct Request<'a, M> {
        jsonrpc: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        method: &'static str,
        params: &'a M,
    }
    let request = Request { jsonrpc: "2.0", id, method: M::NAME, params };
    let raw = serde_json::value::to_raw_value(&request).expect("parameters are plain data with string keys");
    to_line(raw)
}

/// A frame is a line: what was passed on as it came may still hold line breaks.
pub(super) fn to_line(raw: Raw) -> String {
    let raw = one_line(raw);
    let mut line = String::with_capacity(raw.get().len() + 1);
    line.push_str(raw.get());
    line
}
