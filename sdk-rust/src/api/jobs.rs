use std::time::Duration;

use super::{Coattail, Said};
use crate::Result;
use crate::id::CallId;
use crate::wire::control::LogLine;
use crate::wire::jobs::{CancelJob, Job, JobLogs, ListJobs, ShowJob, WaitForJob};

/// The jobs of an instance: calls that it keeps on disk, whatever becomes of those who asked for them.
/// [`Call::start`](super::Call::start) makes one.
#[derive(Debug, Clone, Copy)]
pub struct Jobs<'a> {
    coattail: &'a Coattail,
}

impl<'a> Jobs<'a> {
    pub(super) fn new(coattail: &'a Coattail) -> Self {
        Self { coattail }
    }

    /// Lists them, the oldest first, without their results.
    pub async fn list(&self) -> Result<Vec<Job>> {
        self.coattail.ask(ListJobs {}).await
    }

    /// Shows one.
    pub async fn show(&self, job: CallId) -> Result<Job> {
        self.coattail.ask(ShowJob { job }).await
    }

    /// Waits until one has ended, however it did; or shows it as it is when the time is over.
    pub async fn wait(&self, job: CallId, limit: Option<Duration>) -> Result<Job> {
        let timeout_ms = limit.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        self.coattail.ask(WaitForJob { job, timeout_ms, follow: false }).await
    }

    /// Waits until one has ended, and hears what it says meanwhile. Over one connection a job is followed once at a time.
    pub async fn follow(&self, job: CallId, hear: impl FnMut(Said) + Send) -> Result<Job> {
        let answer = self.coattail.ask(WaitForJob { job, timeout_ms: None, follow: true });
        self.coattail.followers.during(job, Some(Box::new(hear)), answer).await
    }

    /// Ends one. One that has ended stays as it is.
    pub async fn cancel(&self, job: CallId) -> Result<Job> {
        self.coattail.ask(CancelJob { job }).await
    }

    /// What one has logged, as far as it is kept.
    pub async fn logs(&self, job: CallId) -> Result<Vec<LogLine>> {
        self.coattail.ask(JobLogs { job, follow: false }).await.map(|logs| logs.lines)
    }
}
