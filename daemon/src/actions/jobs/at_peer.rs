use std::time::Duration;

use coattail::id::{CallId, PeerId};
use coattail::rpc::{CallError, Deadline, Session};
use coattail::wire::peer::{Cancel, Perform};
use coattail::wire::{ErrorCode, Failure};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::gate::Gate;
use super::live::Ticket;
use super::outcome::lost;
use super::run::{Fate, Runner, ended, not_begun, now, result, until};
use crate::feeds::Speaker;
use crate::publications::Cause;
use crate::store::JobRow;

/// What the peer may take longer than the job's own time limit, for the answer to travel.
const TRAVEL: Duration = Duration::from_secs(2);

impl Runner {
    /// Performs it at a peer, with its own id as the key: however often the connection is lost and the job asked for
    /// again, it is done once.
    pub(super) async fn at_peer(
        &self,
        peer: PeerId,
        row: JobRow,
        gate: &Gate,
        start_by: Instant,
        ticket: &Ticket,
    ) -> Fate {
        let JobRow { draft, started, .. } = row;
        // Whether it was sent and not answered.
        let mut doubt = started.is_some();
        let mut started = started.unwrap_or_else(now);
        for attempt in 1.. {
            let failure = match self.remote.session(peer).await {
                Err(failure) if failure.is_temporary() && (doubt || draft.detached) => failure,
                Err(failure) if doubt => return ended(Err(lost(failure))),
                Err(failure) => return Fate::Ended { outcome: Err(failure), begun: false },
                Ok(session) => {
                    if !gate.begin() {
                        return Fate::Ended { outcome: Err(not_begun()), begun: false };
                    }
                    if !doubt {
                        started = now();
                    }
                    // Order: it is on disk that it may have been done, then it is sent.
                    if let Err(error) = self.store.begin_job(draft.id, started).await {
                        return Fate::Ended { outcome: Err(error.into()), begun: doubt };
                    }
                    let request = Perform {
                        call: draft.id,
                        action: draft.action.clone(),
                        input: draft.input.clone(),
                        publish: draft.publish,
                        timeout_ms: draft.timeout,
                        start_timeout_ms: milliseconds(start_by.saturating_duration_since(Instant::now())),
                        follow: true,
                        key: draft.id.to_string().parse().ok(),
                        cause: draft.cause.map(|(publication, hops)| Cause { publication, hops }.told()),
                    };
                    let deadline = Deadline::new(self.hear_by(started, draft.timeout) - Instant::now());
                    let speaker = Speaker::Peer(session.clone());
                    // Before the request is sent: what comes back then finds it open.
                    let _feed = match self.feeds.open(draft.id, speaker, deadline.clone(), Some(ticket.said.sink())) {
                        Ok(feed) => feed,
                        Err(failure) => return Fate::Ended { outcome: Err(failure), begun: doubt },
                    };
                    let _told = TellIfCancelled { session: &session, call: draft.id, cancel: &ticket.cancel };
                    let answer = tokio::select! {
                        biased;
                        answer = session.call(&request) => Ok(answer),
                        () = deadline.passed() => Err(()),
                    };
                    match answer {
                        Ok(Ok(performed)) => return ended(Ok(result(performed))),
                        Ok(Err(CallError::Refused(failure))) if is_not_now(&failure) => {
                            if !draft.detached && !doubt {
                                return Fate::Ended { outcome: Err(failure), begun: false };
                            }
                            if !doubt {
                                if let Err(error) = self.store.requeue_job(draft.id).await {
                                    return Fate::Ended { outcome: Err(error.into()), begun: false };
                                }
                                gate.reset();
                            }
                            failure
                        }
                        Ok(Err(CallError::Refused(failure))) => return ended(Err(failure)),
                        Ok(Err(error @ (CallError::Lost { .. } | CallError::Closed))) => {
                            doubt = true;
                            error.into()
                        }
                        Ok(Err(error)) => return ended(Err(error.into())),
                        Err(()) => {
                            session.try_notify(&Cancel { call: draft.id });
                            let late =
                                Failure::new(ErrorCode::TimedOut, "the peer did not say in time what became of it");
                            return ended(Err(late.hint("allow it more time with `--timeout`")));
                        }
                    }
                }
            };
            tracing::debug!(job = %draft.id, %peer, %failure, attempt, "a job is asked for again");
            let (delay, by) =
                (self.delay(attempt, &failure), if doubt { self.hear_by(started, draft.timeout) } else { start_by });
            if Instant::now() + delay >= by {
                return match doubt {
                    true => ended(Err(lost(failure))),
                    false => Fate::Ended { outcome: Err(not_begun()), begun: false },
                };
            }
            sleep(delay).await;
        }
        unreachable!("attempts do not end by themselves")
    }

    /// When it has to be known what became of it.
    fn hear_by(&self, started: i64, timeout: Option<u64>) -> Instant {
        let wait = timeout.map_or(self.patience, |limit| Duration::from_millis(limit).saturating_add(TRAVEL));
        until(started, wait)
    }
}

/// The peer has not begun with it, and may later.
fn is_not_now(failure: &Failure) -> bool {
    matches!(
        failure.code,
        ErrorCode::Busy | ErrorCode::ShuttingDown | ErrorCode::StorageFull | ErrorCode::StorageFailed
    )
}

fn milliseconds(time: Duration) -> Option<u64> {
    u64::try_from(time.as_millis()).ok()
}

/// Tells the peer that the job is to end, if that is why nobody waits any more; not if the service stops.
struct TellIfCancelled<'a> {
    session: &'a Session,
    call: CallId,
    cancel: &'a CancellationToken,
}

impl Drop for TellIfCancelled<'_> {
    fn drop(&mut self) {
        if self.cancel.is_cancelled() {
            self.session.try_notify(&Cancel { call: self.call });
        }
    }
}
