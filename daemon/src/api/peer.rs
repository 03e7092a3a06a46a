use std::sync::Arc;
use std::time::Duration;

use coattail::id::{CallId, SubscriptionId};
use coattail::name::ActionName;
use coattail::rpc::{Admission, Facts, Service, Session};
use coattail::wire::fate::{Reach, Trace};
use coattail::wire::peer::{
    Attach, Cancel, Deliver, IssueSubscription, ListActions, ListReceivers, Log, Perform, Performed, Ping, Progress,
    Publish, RemoteAction, Revoke, Subscribe, Unsubscribe, Whereabouts, Working,
};
use coattail::wire::places::{Locate, Move, Reset};
use coattail::wire::plugin::Kind;
use coattail::wire::{Done, ErrorCode, Failure, Method as _};

use super::fact;
use super::jobs::perform_keyed;
use super::said::said_by_peer;
use crate::actions::{JobRequest, LocalCall};
use crate::admission::Excess;
use crate::audit::Fact;
use crate::feeds::Sink;
use crate::parts::Parts;
use crate::plugins::LAST_OUTPUT;
use crate::publications::{Cause, Terms};
use crate::session::Caller;
use crate::store::{Asker, JobResult, Name};
use crate::tokens::{Operation, authorize};

/// What a peer may call, once it has authenticated. Everything is refused unless [`authorize`] says yes.
pub(crate) fn peer_service(parts: &Arc<Parts>) -> Service {
    Service::new()
        .gate(parts, admit)
        .on_in_order(parts, |_: &Parts, _, _: Ping| Ok(Done {}))
        .on_in_order(parts, |parts: &Parts, facts, request: Cancel| {
            // Ends nothing but calls of the same session, which were authorized when they began.
            let caller: Arc<Caller> = fact(&facts)?;
            parts.calls.cancel(caller.session, request.call);
            Ok(Done {})
        })
        .on(parts, |parts: Arc<Parts>, facts, stated: Whereabouts| async move {
            // An instance speaks for itself: it has proven its key. Of whom is neither peer nor subscriber, it is not
            // kept.
            let caller: Arc<Caller> = fact(&facts)?;
            parts.sessions.learn(caller.issuer(), stated).await.map(|()| Done {})
        })
        .on(parts, |parts: Arc<Parts>, facts, request: ListActions| async move {
            let caller: Arc<Caller> = fact(&facts)?;
            Ok(list_actions(&parts, &caller, request.schemas).await)
        })
        .on(parts, |parts: Arc<Parts>, facts, _: ListReceivers| async move {
            let caller: Arc<Caller> = fact(&facts)?;
            parts.subscriber.receivers_for(&caller).await
        })
        .on(parts, |parts, facts, request: Perform| async move { perform(&parts, &facts, request).await })
        .on(parts, |parts: Arc<Parts>, facts, request: Publish| async move {
            let Publish { action, input, id, cause } = request;
            let caller = allow(&parts, &facts, Publish::NAME, &action, &Operation::Publish(&action))?;
            // Each peer has names of its own, so that none can take those of another.
            let name = id.map(|name| Name { publisher: Some(caller.issuer()), name });
            parts.actions.publish(action, input, Terms::named(name), cause.map(Cause::from)).await.map_err(for_a_peer)
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Reach| async move {
            allow(&parts, &facts, Reach::NAME, &request.action, &Operation::Publish(&request.action))?;
            parts.reaches.watch(&request).await
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Trace| async move {
            // Each thing that is told is asked for on its own: what the caller may subscribe to, what it has delivered.
            let caller: Arc<Caller> = fact(&facts)?;
            let grants = |action: &ActionName| decide(&caller, &Operation::Subscribe(action)).is_ok();
            let traced = parts.traces.answer(&caller, grants, request).await;
            audited(&parts, &caller, Trace::NAME, None, traced)
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Subscribe| async move {
            let operation = Operation::Subscribe(&request.action);
            let caller = allow(&parts, &facts, Subscribe::NAME, &request.action, &operation)?;
            parts.publisher.subscribe(&caller, &fact::<Session>(&facts)?, request).await.map_err(for_a_peer)
        })
        .on(parts, |parts: Arc<Parts>, facts, request: IssueSubscription| async move {
            // Allowed to whom we have asked on this very session, and to nobody else: `issue` checks it.
            let caller: Arc<Caller> = fact(&facts)?;
            let issued = parts.subscriber.issue(&caller, &fact::<Session>(&facts)?, request).await;
            audited(&parts, &caller, IssueSubscription::NAME, None, issued)
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Attach| async move {
            // An instance attaches what it holds; what it does not hold is unknown to it.
            let caller: Arc<Caller> = fact(&facts)?;
            parts.publisher.attach(&caller, &fact::<Session>(&facts)?, request).await
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Locate| async move {
            // As with `Attach`.
            let caller: Arc<Caller> = fact(&facts)?;
            parts.publisher_resets.locate(&caller, request).await
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Reset| async move {
            // As with `Attach`.
            let caller: Arc<Caller> = fact(&facts)?;
            let subscription = request.reached.subscription;
            let reset = parts.publisher_resets.follow(&caller, request.reached).await.map(|()| Done {});
            audited(&parts, &caller, Reset::NAME, Some(subscription), reset)
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Move| async move {
            let caller: Arc<Caller> = fact(&facts)?;
            let subscription = request.reached.subscription;
            let moved = parts.subscriber_resets.go_on(&caller, request).await.map(|()| Done {});
            audited(&parts, &caller, Move::NAME, Some(subscription), moved)
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Unsubscribe| async move {
            // As with `Attach`.
            let caller: Arc<Caller> = fact(&facts)?;
            let ended = parts.publisher.end(&caller, request.subscription).await.map(|()| Done {});
            audited(&parts, &caller, Unsubscribe::NAME, Some(request.subscription), ended)
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Revoke| async move {
            let caller: Arc<Caller> = fact(&facts)?;
            let ended = parts.subscriber.revoked(&caller, request.subscription).await.map(|()| Done {});
            audited(&parts, &caller, Revoke::NAME, Some(request.subscription), ended)
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Deliver| async move {
            let caller: Arc<Caller> = fact(&facts)?;
            let stored = parts.inbox.deliver(&caller, request).await?;
            for refused in &stored.refused {
                let reason = ErrorCode::from_number(refused.code).name();
                let refusal = caller.sign(Fact::refused(Deliver::NAME, reason)).token(Some(refused.subscription));
                parts.audit.record(refusal);
            }
            Ok(stored)
        })
        .with(said_by_peer(parts))
}

/// Counts whatever comes against the caller's rate, before anything else. Over it, `session.ping` is still answered, since
/// a refusal would look like a dead side, `actions.cancel` still done, since it ends work, and `working` still heard, since
/// the call would end without it; they make wait, too.
fn admit(parts: &Parts, facts: &Facts, method: Option<&'static str>) -> Admission {
    let Some(caller) = facts.get::<Arc<Caller>>() else { return Admission::default() };
    let Err(Excess { failure, rest }) = caller.rate.spend() else { return Admission::default() };
    let refusal = match method {
        // What is said of a call that we made: too much of it is read later, and not lost.
        Some(Ping::NAME | Cancel::NAME | Working::NAME | Log::NAME | Progress::NAME) => None,
        Some(method) => {
            parts.audit.record(caller.sign(Fact::refused(method, "rate")));
            Some(failure)
        }
        None => Some(failure),
    };
    Admission { refusal, rest }
}

/// Asks whether the caller's token allows an operation, with what the connection has proven.
fn allow(
    parts: &Parts,
    facts: &Facts,
    method: &'static str,
    action: &ActionName,
    operation: &Operation<'_>,
) -> Result<Arc<Caller>, Failure> {
    let caller: Arc<Caller> = fact(facts)?;
    match decide(&caller, operation) {
        Ok(()) => {
            caller.audit_allowed(&parts.audit, method, action);
            Ok(caller)
        }
        Err(failure) => {
            let refused = Fact::refused(method, failure.code.name());
            // What somebody may not do is written down only if it is a name of ours.
            let refused = if parts.actions.has(action) { refused.subject(action) } else { refused };
            parts.audit.record(caller.sign(refused));
            Err(failure)
        }
    }
}

fn decide(caller: &Caller, operation: &Operation<'_>) -> Result<(), Failure> {
    let Some(claims) = &caller.claims else {
        let message = "the side that was dialled holds no token here";
        return Err(Failure::new(ErrorCode::NotPermitted, message));
    };
    // A session does not outlive what its token says.
    claims.validity.check(jiff::Timestamp::now())?;
    Ok(authorize(claims, &caller.evidence, operation)?)
}

/// Records what became of a call on a subscription. Whose it is decides whether it is allowed, so a subscription that
/// the caller does not have is not named.
fn audited<T>(
    parts: &Parts,
    caller: &Caller,
    method: &str,
    subscription: Option<SubscriptionId>,
    outcome: Result<T, Failure>,
) -> Result<T, Failure> {
    let fact = match (&outcome, subscription) {
        (Ok(_), Some(subscription)) => Fact::allowed(method).subject(subscription),
        (Ok(_), None) => Fact::allowed(method),
        (Err(failure), _) => Fact::refused(method, failure.code.name()),
    };
    parts.audit.record(caller.sign(fact));
    outcome
}

async fn list_actions(parts: &Parts, caller: &Caller, schemas: bool) -> Vec<RemoteAction> {
    if schemas {
        // Nothing is started for a caller who may not use it.
        let is_visible =
            |name: &str| ActionName::new(name).is_ok_and(|name| decide(caller, &Operation::ListAction(&name)).is_ok());
        parts.actions.learn_schemas(Kind::Action, is_visible).await;
    }
    let mut visible = Vec::new();
    for entry in parts.actions.list(Kind::Action) {
        // What has no valid name cannot be asked for.
        let Ok(name) = ActionName::new(&entry.name) else { continue };
        let allows = |operation: &Operation<'_>| decide(caller, operation).is_ok();
        if allows(&Operation::ListAction(&name)) {
            visible.push(RemoteAction {
                performable: allows(&Operation::Perform(&name)),
                publishable: allows(&Operation::Publish(&name)),
                subscribable: allows(&Operation::Subscribe(&name)),
                description: entry.description,
                input: entry.input,
                output: entry.output,
                name,
            });
        }
    }
    visible
}

async fn perform(parts: &Parts, facts: &Facts, request: Perform) -> Result<Performed, Failure> {
    let Perform { call, action, input, publish, timeout_ms, start_timeout_ms, follow, key, cause } = request;
    let cause = cause.map(Cause::from);
    let operation = if publish { Operation::PerformAndPublish(&action) } else { Operation::Perform(&action) };
    let caller = allow(parts, facts, Perform::NAME, &action, &operation)?;
    let issuer = caller.issuer();
    let timeout = timeout_ms.map(Duration::from_millis).map(|wanted| wanted.min(parts.limits.local_call));
    let start_timeout = start_timeout_ms.map(Duration::from_millis);
    let wire: Session = fact(facts)?;
    let follower = Sink::peer(wire.clone(), follow);
    if let (Some(key), Some(token)) = (key, caller.token()) {
        let request = JobRequest {
            // Not the caller's, which another caller could have chosen, too.
            id: CallId::new(),
            asker: Some(Asker { issuer, token }),
            peer: None,
            action,
            input,
            publish,
            timeout,
            start_timeout: start_timeout.map(|wanted| wanted.min(parts.limits.job_patience)),
            key: Some(key),
            cause,
        };
        // Apart, so that calls without a key do not carry the room that it needs.
        let asked = Box::pin(perform_keyed(parts, caller.session, call, request, (wire, follower))).await;
        let (_, done) = asked.map_err(for_a_peer)?;
        let JobResult { result, publication, publication_error } = done;
        return Ok(Performed { result, publication, publication_error });
    }
    let local = LocalCall {
        call,
        action,
        input,
        publish,
        caller: Some(issuer),
        timeout,
        start_timeout,
        follower: Some(follower),
        cause,
        begin: None,
    };
    // Apart, so that it is not moved with what is around it.
    let work = Box::pin(parts.actions.perform(local));
    parts.calls.run(caller.session, call, work).await.map_err(for_a_peer)
}

/// Why a plugin cannot be run names files of this instance, and what it printed may be anything: that is for its owner,
/// who finds it in the log, and not for peers.
fn for_a_peer(mut failure: Failure) -> Failure {
    if let Some(at) = failure.message.find(LAST_OUTPUT) {
        tracing::warn!(%failure, "a call of a peer failed");
        failure.message.truncate(at);
    }
    match failure.code {
        ErrorCode::PluginBroken => Failure::new(ErrorCode::PluginBroken, "the action cannot be run at this peer")
            .hint("tell the peer's owner, who can see why: `coattail action list`"),
        _ => failure,
    }
}
