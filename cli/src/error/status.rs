use std::process::ExitCode;

use coattail::wire::ErrorCode;

/// What the program exits with; `coattail help exit-codes` explains it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ExitStatus {
    /// Done.
    Done = 0,
    /// Failed; also: the action failed.
    Failed = 1,
    /// The command was used in a wrong way.
    Usage = 2,
    /// The service is not running.
    NotRunning = 3,
    /// Not permitted, or the token was refused.
    NotPermitted = 4,
    /// No instance, action, peer, token or subscription of that name.
    NotFound = 5,
    /// The peer could not be reached.
    Unreachable = 6,
    /// Accepted but not finished.
    Unfinished = 75,
    /// Not done in time.
    TimedOut = 124,
    /// Ended from the keyboard.
    Interrupted = 130,
}

impl From<ExitStatus> for ExitCode {
    fn from(status: ExitStatus) -> Self {
        ExitCode::from(status as u8)
    }
}

impl From<ErrorCode> for ExitStatus {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Usage | ErrorCode::InvalidInput => Self::Usage,
            ErrorCode::NotRunning => Self::NotRunning,
            ErrorCode::NotPermitted | ErrorCode::TokenRefused | ErrorCode::TokenRevoked => Self::NotPermitted,
            ErrorCode::NotFound => Self::NotFound,
            ErrorCode::Unreachable | ErrorCode::WrongPeer => Self::Unreachable,
            ErrorCode::TimedOut => Self::TimedOut,
            ErrorCode::Cancelled => Self::Interrupted,
            _ => Self::Failed,
        }
    }
}
