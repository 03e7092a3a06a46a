use coattail::wire::jobs::{Job, JobState};
use coattail::wire::{ErrorCode, Failure};
use jiff::Timestamp;

use crate::store::{JobResult, JobRow, LOST_HINT};

/// The state in which a job ends.
pub(super) fn state(outcome: &Result<JobResult, Failure>, begun: bool) -> JobState {
    use ErrorCode::*;
    let Err(failure) = outcome else { return JobState::Succeeded };
    match failure.code {
        TimedOut => JobState::TimedOut,
        Cancelled => JobState::Cancelled,
        Lost => JobState::Lost,
        // What the action said, or may have: it was given the call.
        Failed | InvalidInput | Rejected | RetryLater | Internal | TooManyHops if begun => JobState::Failed,
        _ => JobState::Refused,
    }
}

/// Nobody knows whether it was done.
pub(super) fn lost(why: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorCode::Lost, format!("{why}: whether it was done is unknown")).hint(LOST_HINT)
}

/// A row, as it is shown.
pub(super) fn shown(row: JobRow) -> Job {
    let JobRow { draft, state, started, finished, outcome } = row;
    let (done, error) = match outcome {
        Some(Ok(done)) => (done, None),
        Some(Err(failure)) => (JobResult::default(), Some(failure)),
        None => (JobResult::default(), None),
    };
    Job {
        id: draft.id,
        peer: draft.peer,
        action: draft.action,
        state,
        created: time(draft.created),
        started: started.map(time),
        finished: finished.map(time),
        key: draft.key,
        result: done.result,
        error,
        publication: done.publication,
        publication_error: done.publication_error,
        progress: None,
    }
}

fn time(millisecond: i64) -> String {
    Timestamp::from_millisecond(millisecond).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_ends_in_one_of_its_states() {
        use ErrorCode::*;
        for (code, begun, ends) in [
            (TimedOut, false, JobState::TimedOut),
            (Cancelled, true, JobState::Cancelled),
            (Lost, true, JobState::Lost),
            (Failed, true, JobState::Failed),
            (InvalidInput, true, JobState::Failed),
            (InvalidInput, false, JobState::Refused),
            (Rejected, true, JobState::Failed),
            (PluginBroken, true, JobState::Refused),
            (NotFound, false, JobState::Refused),
            (NotPermitted, true, JobState::Refused),
            (Busy, false, JobState::Refused),
        ] {
            let outcome = Err(Failure::new(code, "why"));
            assert_eq!(state(&outcome, begun), ends, "{} {begun}", code.name());
        }
        assert_eq!(state(&Ok(JobResult::default()), true), JobState::Succeeded);
    }
}
