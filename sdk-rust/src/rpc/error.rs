use std::time::Duration;

use super::LineError;
use super::frame::NotAFrame;
use crate::wire::{ErrorCode, Failure};

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum Ended {
    /// The other side closed it between two frames.
    #[error("closed by the other side")]
    Closed,
    /// This side ended it.
    #[error("closed here")]
    Cancelled,
    /// What came was no line.
    #[error(transparent)]
    Line(#[from] LineError),
    /// What came was no frame.
    #[error(transparent)]
    NotAFrame(#[from] NotAFrame),
    /// Nothing could be written any more.
    #[error("could not write: {0}")]
    Write(std::io::Error),
    /// The other side did not read.
    #[error("the other side has not read for {0:?}")]
    Stalled(Duration),
}

/// Why a call of ours got no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The other side answered with a failure.
    #[error(transparent)]
    Refused(Failure),
    /// The session ended before the answer came: it is unknown whether the call was done.
    #[error("the connection was lost before `{method}` was answered")]
    Lost {
        /// The method that was called.
        method: &'static str,
    },
    /// The session had ended before the call was sent.
    #[error("the connection is closed")]
    Closed,
    /// The answer is not what the method answers.
    #[error("the answer to `{method}` makes no sense: {source}")]
    Nonsense {
        /// The method that was called.
        method: &'static str,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The call is too large for one frame.
    #[error("`{method}` would take a frame of {size} bytes, {limit} are allowed")]
    TooLarge {
        /// The method that was called.
        method: &'static str,
        /// How large it would be.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
}

impl From<CallError> for Failure {
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        match error {
            CallError::Refused(failure) => failure,
            CallError::Lost { .. } => Failure::new(ErrorCode::Lost, message),
            CallError::Closed => Failure::new(ErrorCode::Unreachable, message),
            CallError::Nonsense { .. } => Failure::new(ErrorCode::Internal, message),
            CallError::TooLarge { .. } => Failure::new(ErrorCode::TooLarge, message),
        }
    }
}
