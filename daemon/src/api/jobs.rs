use std::sync::Arc;
use std::time::Duration;

use coattail::id::{CallId, SessionId};
use coattail::rpc::{Facts, Service, Session};
use coattail::wire::jobs::{CancelJob, JobLogs, ListJobs, ShowJob, StartJob, WaitForJob};
use coattail::wire::{ErrorCode, Failure};

use super::fact;
use crate::actions::JobRequest;
use crate::feeds::Sink;
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
        .on(parts, |parts: Arc<Parts>, facts, request: WaitForJob| async move {
            let limit = request.timeout_ms.map(Duration::from_millis);
            parts.jobs.wait(request.job, limit, follower(&facts, request.follow)?).await
        })
        .on(parts, |parts: Arc<Parts>, _, request: CancelJob| async move { parts.jobs.cancel(request.job).await })
        .on(parts, |parts: Arc<Parts>, facts, request: JobLogs| async move {
            parts.jobs.logs(request.job, follower(&facts, request.follow)?).await
        })
}

/// The session that asks, if it wants to follow.
fn follower(facts: &Facts, follow: bool) -> Result<Option<(Session, Sink)>, Failure> {
    let session: Session = fact(facts)?;
    Ok(follow.then(|| (session.clone(), Sink::caller(session, true))))
}

/// Performs a call that has a key. It goes on when whoever asks has gone, and ends if they say so.
pub(super) async fn perform_keyed(
    parts: &Parts,
    session: SessionId,
    call: CallId,
    request: JobRequest,
    (wire, follower): (Session, Sink),
) -> Result<(CallId, JobResult), Failure> {
    let asked = parts.jobs.ask(request).await?;
    let id = asked.id();
    // Whoever asks knows it by the id that they have given it.
    let _following = asked.follow(wire, follower.of_call(call))?;
    match parts.calls.run(session, call, asked.outcome()).await {
        Ok(result) => Ok((id, result)),
        Err(failure) => {
            if failure.code == ErrorCode::Cancelled {
                // It may have been this caller; then the job has yet to end.
                let _ = parts.jobs.cancel(id).await;
            }
            Err(failure)
        }
    }
}
