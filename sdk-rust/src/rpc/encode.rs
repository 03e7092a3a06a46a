use jsonrpsee::types::ErrorObjectOwned;
use serde::Serialize;

use super::id::Id;
use crate::wire::raw::without_breaks;
use crate::wire::{ErrorCode, Failure, Method};

const VERSION: &str = "2.0";

/// A request, or without an id a notification, as a frame.
pub(super) fn encode<M: Method>(id: Option<u64>, params: &M) -> String {
    #[derive(Serialize)]
    struct Request<'a, M> {
        jsonrpc: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        method: &'static str,
        params: &'a M,
    }
    line(&Request { jsonrpc: VERSION, id, method: M::NAME, params })
}

/// An answer as a frame. One that is longer than the other side takes becomes a refusal.
pub(super) fn reply<T: Serialize>(id: &Id<'_>, outcome: Result<T, Failure>, longest: usize) -> String {
    #[derive(Serialize)]
    struct Reply<'a, T> {
        jsonrpc: &'static str,
        id: &'a Id<'a>,
        result: T,
    }
    let frame = match outcome {
        Ok(result) => line(&Reply { jsonrpc: VERSION, id, result }),
        Err(failure) => refusal(id, failure),
    };
    if frame.len() <= longest {
        return frame;
    }
    let message = format!("the answer is too big: {} bytes, {longest} are taken", frame.len());
    refusal(id, Failure::new(ErrorCode::TooLarge, message))
}

/// The answer that refuses.
pub(super) fn refusal(id: &Id<'_>, failure: Failure) -> String {
    #[derive(Serialize)]
    struct Refusal<'a> {
        jsonrpc: &'static str,
        id: &'a Id<'a>,
        error: ErrorObjectOwned,
    }
    line(&Refusal { jsonrpc: VERSION, id, error: failure.into() })
}

/// A frame is a line: what was passed on as it came may still hold line breaks.
fn line(frame: &impl Serialize) -> String {
    without_breaks(serde_json::to_string(frame).expect("frames are plain data with string keys"))
}
