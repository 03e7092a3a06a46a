use std::error::Error as StdError;
use std::time::Duration;

use crate::wire::{ErrorCode, Failure};

/// What a handler may fail with: any error, or a text (`Err("no such customer".into())`).
///
/// [`Reject`] and [`RetryLater`] say more than that it failed.
pub type Error = Box<dyn StdError + Send + Sync>;

/// The receiver will never take this publication: it goes to the dead letters.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Reject(pub String);

/// The receiver cannot take this publication now: it is called again later.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct RetryLater {
    message: String,
    after: Option<Duration>,
}

impl RetryLater {
    /// At the next time of the schedule.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), after: None }
    }

    /// After so long instead, from a second to a day. The number of tries is that of the schedule all the same.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.after = Some(wait);
        self
    }
}

/// The one place where an error of a handler becomes an answer.
pub(super) fn to_failure(error: Error) -> Failure {
    let error = match error.downcast::<Failure>() {
        // A call that the handler made has failed. Its code speaks of that call, not of this one.
        Ok(inner) => return Failure { code: ErrorCode::Failed, ..*inner },
        Err(error) => error,
    };
    if let Some(later) = error.downcast_ref::<RetryLater>() {
        let failure = Failure::of_error(ErrorCode::RetryLater, later);
        return later.after.into_iter().fold(failure, Failure::retry_after);
    }
    let code = if error.is::<Reject>() { ErrorCode::Rejected } else { ErrorCode::Failed };
    Failure::of_error(code, error.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not read the list")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn errors_keep_their_kind_and_their_causes() {
        let io = || std::io::Error::other("disk on fire");
        for (error, code, message) in [
            ("plain text".into(), ErrorCode::Failed, "plain text"),
            (Box::new(Outer(io())) as Error, ErrorCode::Failed, "could not read the list: disk on fire"),
            (Box::new(io()), ErrorCode::Failed, "disk on fire"),
            (Box::new(Reject("never".into())), ErrorCode::Rejected, "never"),
            (Box::new(RetryLater::new("later")), ErrorCode::RetryLater, "later"),
            (Box::new(Failure::new(ErrorCode::Lost, "gone")), ErrorCode::Failed, "gone"),
        ] {
            let failure = to_failure(error);
            assert_eq!((failure.code, failure.message.as_str()), (code, message));
        }
    }

    #[test]
    fn when_to_try_again_is_told() {
        let later = |wait| to_failure(Box::new(RetryLater::new("later").after(wait))).retry_after_ms;
        assert_eq!(later(Duration::from_mins(5)), Some(300_000));
        assert_eq!(to_failure(Box::new(RetryLater::new("later"))).retry_after_ms, None);
    }
}
