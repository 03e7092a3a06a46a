//! Jobs, on the wire of [`host`](super::host): calls that nobody needs to wait for, since they are rows on disk.
//!
//! A call that was given a key is a job, too: one whose caller waits.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::control::LogLines;
use super::host::read_result;
use super::peer::Published;
use super::raw::{Raw, present};
use super::{ErrorCode, Failure, method};
use crate::id::{CallId, PeerId};
use crate::key::Key;
use crate::name::ActionName;

/// Stores a call as a job. Answered when it is on disk: from then on it ends in one of the [states](JobState), whatever
/// happens to whoever asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StartJob {
    /// Where; absent for this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerId>,
    /// What to perform.
    pub action: ActionName,
    /// What to give to it; absent and `null` differ.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub input: Option<Raw>,
    /// Whether to publish the result.
    #[serde(default)]
    pub publish: bool,
    /// Milliseconds that it may take once it has begun; absent: the default of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Milliseconds that it may wait before it has begun; absent: the default of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_timeout_ms: Option<u64>,
    /// Whoever asks again with the same key gets the same job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// The call that a worker is handling while it asks: carries cause and hops on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<CallId>,
}
method!(StartJob, "jobs.start", Job);

/// Lists the jobs of this instance, the oldest first, without their results.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct ListJobs {}
method!(ListJobs, "jobs.list", Vec<Job>);

/// Shows one job.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ShowJob {
    /// Which one.
    pub job: CallId,
}
method!(ShowJob, "jobs.show", Job);

/// Waits until a job has ended.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WaitForJob {
    /// Which one.
    pub job: CallId,
    /// Milliseconds to wait, after which it is shown as it is then; absent: for as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
    /// Whether to tell meanwhile what it logs and how far it has got.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}
method!(WaitForJob, "jobs.wait", Job);

/// Ends a job. One that has ended stays as it is.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CancelJob {
    /// Which one.
    pub job: CallId,
}
method!(CancelJob, "jobs.cancel", Job);

/// Shows what a job has logged, as far as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobLogs {
    /// Of which one.
    pub job: CallId,
    /// Whether to go on, with notifications `log`, until the job has ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub follow: bool,
}
method!(JobLogs, "jobs.logs", LogLines);

/// A job, and what became of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Job {
    /// Its id, which is that of its call.
    pub id: CallId,
    /// Where it is performed; absent for this instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<PeerId>,
    /// What is performed.
    pub action: ActionName,
    /// How far it is.
    pub state: JobState,
    /// When it was stored (RFC 3339).
    pub created: String,
    /// When it began (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started: Option<String>,
    /// When it ended (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished: Option<String>,
    /// The key that it was asked for with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Key>,
    /// What the action returned; absent if it returned nothing, and in a list.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub result: Option<Raw>,
    /// Why it did not succeed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Failure>,
    /// The publication of the result, if that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication: Option<Published>,
    /// Why the result could not be published, although the action succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publication_error: Option<String>,
    /// How far it has got, as it last said itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<JobProgress>,
}

impl Job {
    /// The result as this type. Nothing is read as `null`.
    ///
    /// # Errors
    /// Why the job did not succeed; also if it has not ended.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        match (&self.error, self.state) {
            (Some(error), _) => Err(error.clone()),
            (None, JobState::Succeeded) => read_result(self.result.as_ref()),
            (None, state) => {
                Err(Failure::new(ErrorCode::Failed, format!("job {} has no result: it is {}", self.id, state.name())))
            }
        }
    }
}

/// How far a job has got.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobProgress {
    /// From 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// What is being done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// How far a job is. It ends in exactly one of the last six.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobState {
    /// On disk, and not begun.
    Queued,
    /// Given to a worker, or to the peer.
    Running,
    /// The action returned.
    Succeeded,
    /// The action failed.
    Failed,
    /// It was not begun, and will not be.
    Refused,
    /// Ended at its deadline.
    TimedOut,
    /// Ended at the owner's wish.
    Cancelled,
    /// The worker, the service or the connection went away: whether it was done is unknown.
    Lost,
}

impl JobState {
    /// Every state.
    pub const ALL: &[Self] = &[
        Self::Queued,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Refused,
        Self::TimedOut,
        Self::Cancelled,
        Self::Lost,
    ];

    /// Its name, as on the wire.
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::TimedOut => "timed-out",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }

    /// The state of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.name() == name)
    }

    /// Whether nothing more becomes of it.
    pub fn is_final(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_written_as_they_are_named() {
        for state in JobState::ALL {
            assert_eq!(serde_json::to_string(state).expect("serializes"), format!("\"{}\"", state.name()));
            assert_eq!(JobState::from_name(state.name()), Some(*state));
        }
        assert_eq!(JobState::from_name("done"), None);
    }
}
