use std::fmt;
use std::time::Duration;

use jsonrpsee::types::ErrorObjectOwned;
use serde::{Deserialize, Serialize};

use super::Raw;
use crate::name::InvalidName;

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $number:literal, $name:literal;)*) => {
        /// What kind of failure it is. Programs decide by this, never by the message.
        ///
        /// The numbers are the JSON-RPC error codes; they stand outside the reserved range.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum ErrorCode {
            $($(#[$doc])* $variant = $number,)*
        }

        impl ErrorCode {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The JSON-RPC error code.
            pub fn number(self) -> i32 {
                self as i32
            }

            /// The name, as `--json` shows it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The code with this number; what is unknown counts as [`Internal`](Self::Internal).
            pub fn from_number(number: i32) -> Self {
                match number {
                    $($number => Self::$variant,)*
                    -32700 | -32600 | -32602 => Self::InvalidInput,
                    -32601 => Self::UnknownMethod,
                    _ => Self::Internal,
                }
            }
        }
    };
}

codes! {
    /// The action ran and failed.
    Failed = 1, "failed";
    /// What was sent is not what the method takes.
    InvalidInput = 2, "invalid-input";
    /// The method does not exist here, or not in this state of the session.
    UnknownMethod = 3, "unknown-method";
    /// Authenticated, but not allowed.
    NotPermitted = 4, "not-permitted";
    /// There is no action, receiver, peer, token or subscription of that name.
    NotFound = 5, "not-found";
    /// The peer could not be reached.
    Unreachable = 6, "unreachable";
    /// A queue or a limit is full; try again later.
    Busy = 7, "busy";
    /// Larger than what is taken.
    TooLarge = 8, "too-large";
    /// The worker or the connection died; whether it was done is unknown.
    Lost = 9, "lost";
    /// Ended at the caller's wish.
    Cancelled = 10, "cancelled";
    /// Ended at its deadline.
    TimedOut = 11, "timed-out";
    /// The disk is full; nothing was accepted.
    StorageFull = 12, "storage-full";
    /// The other side speaks another version of the protocol.
    UnsupportedVersion = 13, "unsupported-version";
    /// It exists already.
    AlreadyExists = 14, "already-exists";
    /// The service is stopping.
    ShuttingDown = 15, "shutting-down";
    /// A fault of this program; its log has the cause.
    Internal = 16, "internal";
    /// The token was not accepted: garbage, expired, not yet valid, or not for this bearer.
    TokenRefused = 17, "token-refused";
    /// The publication came through too many hops.
    TooManyHops = 18, "too-many-hops";
    /// A plugin cannot be run: not executable, its runtime is missing, it does not start.
    PluginBroken = 19, "plugin-broken";
    /// A receiver will never take this publication.
    Rejected = 20, "rejected";
    /// A receiver cannot take this publication now.
    RetryLater = 21, "retry-later";
    /// The other side is not who it should be.
    WrongPeer = 22, "wrong-peer";
    /// The service of this instance is not running.
    NotRunning = 23, "not-running";
    /// The command was used in a wrong way.
    Usage = 24, "usage";
    /// The token is unknown to its issuer, or was revoked: it will never be accepted again.
    TokenRevoked = 25, "token-revoked";
    /// The disk failed; nothing is accepted until it was looked at.
    StorageFailed = 26, "storage-failed";
}

/// Why something was not done, for programs (code), people (message, hint) and callers (data).
#[derive(Debug, Clone, thiserror::Error, Serialize, Deserialize)]
#[serde(into = "ErrorObjectOwned", from = "ErrorObjectOwned")]
pub struct Failure {
    /// What kind it is.
    pub code: ErrorCode,
    /// What failed, on what, and why. One line, without a full stop.
    pub message: String,
    /// What to try.
    pub hint: Option<String>,
    /// For [`ErrorCode::Failed`]: what the action threw, if that is more than a message. Where a value does not fit a
    /// schema: the first places, as a list of `pointer`, `rule` and `message`.
    pub data: Option<Raw>,
    /// For [`ErrorCode::Busy`]: after how many milliseconds to try again. When a rate is over, that is exact; when
    /// something is full, it is a guess.
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, data: None, retry_after_ms: None }
    }

    /// Something is full, and nobody knows for how long.
    pub fn busy(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Busy, message).retry_after(WHEN_FULL)
    }

    /// A failure with the message of an error, and those of what caused it.
    pub fn of_error(code: ErrorCode, error: &(dyn std::error::Error + 'static)) -> Self {
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Some errors print their cause themselves.
            if !message.ends_with(&text) {
                message = format!("{message}: {text}");
            }
            cause = error.source();
        }
        Self::new(code, message)
    }

    /// Says what to try.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds what the action threw.
    #[must_use]
    pub fn data(mut self, data: Option<Raw>) -> Self {
        self.data = data;
        self
    }

    /// Says after how long to try again, in whole milliseconds and never too early.
    #[must_use]
    pub fn retry_after(mut self, wait: Duration) -> Self {
        let milliseconds = wait.as_nanos().div_ceil(1_000_000);
        self.retry_after_ms = Some(u64::try_from(milliseconds).unwrap_or(u64::MAX));
        self
    }

    /// Whether the same request may well succeed later.
    pub fn is_temporary(&self) -> bool {
        use ErrorCode::*;
        matches!(
            self.code,
            Unreachable | Busy | Lost | TimedOut | StorageFull | StorageFailed | ShuttingDown | RetryLater | Internal
        )
    }
}

/// When to come back to what is full: short for people, long for a program.
const WHEN_FULL: Duration = Duration::from_secs(1);

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// The `data` of a JSON-RPC error object.
#[derive(Default, Serialize, Deserialize)]
struct ErrorData {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "super::raw::present")]
    thrown: Option<Raw>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl From<InvalidName> for Failure {
    fn from(error: InvalidName) -> Self {
        Failure::new(ErrorCode::InvalidInput, error.to_string())
            .hint("names are printable text without `/` and `\\`, and do not begin with a dot")
    }
}

impl From<Failure> for ErrorObjectOwned {
    fn from(failure: Failure) -> Self {
        let Failure { code, message, hint, data: thrown, retry_after_ms } = failure;
        let is_empty = hint.is_none() && thrown.is_none() && retry_after_ms.is_none();
        let data = (!is_empty).then_some(ErrorData { hint, thrown, retry_after_ms });
        ErrorObjectOwned::owned(code.number(), message, data)
    }
}

impl From<ErrorObjectOwned> for Failure {
    /// Takes any error object: one of another implementation may carry any data, or none.
    fn from(error: ErrorObjectOwned) -> Self {
        let data = error.data().and_then(|data| serde_json::from_str::<ErrorData>(data.get()).ok());
        let ErrorData { hint, thrown, retry_after_ms } = data.unwrap_or_default();
        let code = ErrorCode::from_number(error.code());
        Self { code, message: error.message().to_owned(), hint, data: thrown, retry_after_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_wire() {
        let thrown = serde_json::from_str("{\"errno\":-2}").expect("JSON");
        let sent = Failure::new(ErrorCode::Failed, "no such file").hint("make it").data(Some(thrown));
        let text = serde_json::to_string(&ErrorObjectOwned::from(sent.clone())).expect("serializes");
        assert_eq!(text, r#"{"code":1,"message":"no such file","data":{"hint":"make it","thrown":{"errno":-2}}}"#);
        let got = Failure::from(serde_json::from_str::<ErrorObjectOwned>(&text).expect("an error object"));
        assert_eq!((got.code, got.message, got.hint), (sent.code, sent.message, sent.hint));
    }

    #[test]
    fn when_to_try_again_survives_the_wire() {
        let sent = Failure::new(ErrorCode::Busy, "too fast").retry_after(Duration::from_micros(1_001));
        let text = serde_json::to_string(&ErrorObjectOwned::from(sent)).expect("serializes");
        assert_eq!(text, r#"{"code":7,"message":"too fast","data":{"retry_after_ms":2}}"#);
        let newer = text.replace("\"retry", "\"unknown\":1,\"retry");
        let got = Failure::from(serde_json::from_str::<ErrorObjectOwned>(&newer).expect("an error object"));
        assert_eq!(got.retry_after_ms, Some(2));
    }

    #[test]
    fn numbers_and_names_are_unique() {
        for (i, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(ErrorCode::from_number(code.number()), *code);
            assert!(ErrorCode::ALL[..i].iter().all(|other| other.name() != code.name()));
        }
    }

    #[test]
    fn foreign_errors_are_taken() {
        let foreign = r#"{"code":-32601,"message":"Method not found","data":[1,2]}"#;
        let failure = Failure::from(serde_json::from_str::<ErrorObjectOwned>(foreign).expect("an error object"));
        assert_eq!(failure.code, ErrorCode::UnknownMethod);
    }
}
