use std::sync::Arc;
use std::time::Duration;

use coattail::id::{CallId, SessionId};
use coattail::rpc::Service;
use coattail::wire::control::LogLines;
use coattail::wire::jobs::{CancelJob, JobLogs, ListJobs, ShowJob, StartJob, WaitForJob};
use coattail::wire::{ErrorCode, Failure};

use crate::actions::{JobRequest, Jobs};
use crate::parts::Parts;
use crate::store::JobResult;

/// Jobs, for workers and for the command line.
pub(super) fn jobs_service(parts: &Arc<Parts>) -> Service {
    Service::new()
        .on(parts, |parts: Arc<Parts>, _, request: StartJob| async move {
            let StartJob { peer, action, input, publish, timeout_ms, start_timeout_ms, key, parent } = request;
            let request = JobRequest {
                id: CallId::new(),
                asker: None,
                peer,
                action,
                input,
                publish,
                timeout: timeout_ms.map(Duration::from_millis),
                start_timeout: start_timeout_ms.map(Duration::from_millis),
                key,
                cause: parts.causes.of(parent),
            };
            parts.jobs.start(request).await
        })
        .on(parts, |parts: Arc<Parts>, _, _: ListJobs| async move { parts.jobs.list().await })
        .on(parts, |parts: Arc<Parts>, _, request: ShowJob| async move { parts.jobs.show(request.job).await })
        .on(parts, |parts: Arc<Parts>, _, request: WaitForJob| async move {
            parts.jobs.wait(request.job, request.timeout_ms.map(Duration::from_millis)).await
        })
        .on(parts, |parts: Arc<Parts>, _, request: CancelJob| async move { parts.jobs.cancel(request.job).await })
        .on(parts, |parts: Arc<Parts>, _, request: JobLogs| async move {
            parts.jobs.show(request.job).await?;
            Ok(LogLines::default())
        })
}

/// Performs a call that has a key. It goes on when whoever asks has gone, and ends if they say so.
pub(super) async fn perform_keyed(
    parts: &Parts,
    session: SessionId,
    call: CallId,
    request: JobRequest,
) -> Result<(CallId, JobResult), Failure> {
    let asked = parts.jobs.ask(request).await?;
    let (id, jobs): (CallId, &Jobs) = (asked.id(), &parts.jobs);
    match parts.calls.run(session, call, asked.outcome()).await {
        Ok(result) => Ok((id, result)),
        Err(failure) => {
            if failure.code == ErrorCode::Cancelled {
                // It may have been this caller; then the job has yet to end.
                let _ = jobs.cancel(id).await;
            }
            Err(failure)
        }
    }
}
