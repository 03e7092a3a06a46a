use std::fmt::Display;
use std::time::Duration;

use coattail::wire::Failure;
use coattail::wire::doctor::{Finding, Level};

/// What a file here looks at, as findings name it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area(pub(super) &'static str);

impl Area {
    pub(super) fn ok(self, subject: impl Display, message: impl Into<String>) -> Finding {
        self.finding(Level::Ok, subject, message, None)
    }

    pub(super) fn warning(self, subject: impl Display, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        self.finding(Level::Warning, subject, message, Some(hint.into()))
    }

    pub(super) fn failure(self, subject: impl Display, message: impl Into<String>, hint: impl Into<String>) -> Finding {
        self.finding(Level::Failure, subject, message, Some(hint.into()))
    }

    /// What has failed, in the words of whoever failed.
    pub(super) fn failed(self, subject: impl Display, failure: impl Into<Failure>) -> Finding {
        let Failure { message, hint, .. } = failure.into();
        self.finding(Level::Failure, subject, message, hint)
    }

    fn finding(self, level: Level, subject: impl Display, message: impl Into<String>, hint: Option<String>) -> Finding {
        let (area, subject, message) = (self.0.to_owned(), subject.to_string(), message.into());
        Finding { level, area, subject, message, hint, millis: None }
    }
}

/// Says how long it took.
pub(super) fn timed(finding: Finding, took: Duration) -> Finding {
    Finding { millis: Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)), ..finding }
}
