use std::sync::Arc;
use std::time::Duration;

use coattail::name::ActionName;
use coattail::rpc::{Facts, Service, Session};
use coattail::wire::peer::{
    Attach, Cancel, Deliver, IssueSubscription, ListActions, ListReceivers, Perform, Ping, Publish, RemoteAction,
    Revoke, Subscribe, Unsubscribe, Whereabouts,
};
use coattail::wire::plugin::Kind;
use coattail::wire::{Done, ErrorCode, Failure};

use super::fact;
use crate::actions::LocalCall;
use crate::parts::Parts;
use crate::session::Caller;
use crate::tokens::{Operation, authorize};

/// What a peer may call, once it has authenticated. Everything is refused unless [`authorize`] says yes.
pub(crate) fn peer_service(parts: &Arc<Parts>) -> Service {
    Service::new()
        .on_in_order(parts, |_: &Parts, _, _: Ping| Ok(Done {}))
        .on_in_order(parts, |parts: &Parts, facts, request: Cancel| {
            // Ends nothing but calls of the same session, which were authorized when they began.
            let caller: Arc<Caller> = fact(&facts)?;
            parts.calls.cancel(caller.session, request.call);
            Ok(Done {})
        })
        .on(parts, |parts: Arc<Parts>, facts, _: ListActions| async move { list_actions(&parts, &facts) })
        .on(parts, |parts: Arc<Parts>, facts, stated: Whereabouts| async move {
            // An instance speaks for itself: it has proven its key. Of whom is neither peer nor subscriber, it is not
            // kept.
            let caller: Arc<Caller> = fact(&facts)?;
            parts.sessions.learn(caller.issuer(), stated).await.map(|()| Done {})
        })
        .on(parts, |parts: Arc<Parts>, facts, _: ListReceivers| async move {
            let caller: Arc<Caller> = fact(&facts)?;
            parts.subscriber.receivers_for(&caller).await
        })
        .on(parts, |parts, facts, request: Perform| async move { perform(&parts, &facts, request).await })
        .on(parts, |parts: Arc<Parts>, facts, request: Publish| async move {
            allow(&facts, &Operation::Publish(&request.action))?;
            parts.actions.publish(request.action, request.input, None).await
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Subscribe| async move {
            let caller = allow(&facts, &Operation::Subscribe(&request.action))?;
            parts.publisher.subscribe(&caller, &fact::<Session>(&facts)?, request).await
        })
        .on(parts, |parts: Arc<Parts>, facts, request: IssueSubscription| async move {
            // Allowed to whom we have asked on this very session, and to nobody else: `issue` checks it.
            let caller: Arc<Caller> = fact(&facts)?;
            parts.subscriber.issue(&caller, &fact::<Session>(&facts)?, request).await
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Attach| async move {
            // An instance attaches what it holds; what it does not hold is unknown to it.
            let caller: Arc<Caller> = fact(&facts)?;
            parts.publisher.attach(&caller, &fact::<Session>(&facts)?, request.subscriptions).await
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Unsubscribe| async move {
            // As with `Attach`.
            let caller: Arc<Caller> = fact(&facts)?;
            parts.publisher.end(&caller, request.subscription).await.map(|()| Done {})
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Revoke| async move {
            let caller: Arc<Caller> = fact(&facts)?;
            parts.subscriber.revoked(&caller, request.subscription).await.map(|()| Done {})
        })
        .on(parts, |parts: Arc<Parts>, facts, request: Deliver| async move {
            let caller: Arc<Caller> = fact(&facts)?;
            parts.inbox.deliver(&caller, &facts, request).await
        })
}

/// Asks whether the caller's token allows an operation, with what the connection has proven.
fn allow(facts: &Facts, operation: &Operation<'_>) -> Result<Arc<Caller>, Failure> {
    let caller: Arc<Caller> = fact(facts)?;
    let Some(claims) = &caller.claims else {
        let message = "the side that was dialled holds no token here";
        return Err(Failure::new(ErrorCode::NotPermitted, message));
    };
    // A session does not outlive what its token says.
    claims.validity.check(jiff::Timestamp::now())?;
    authorize(claims, &caller.evidence, operation)?;
    Ok(caller)
}

fn list_actions(parts: &Parts, facts: &Facts) -> Result<Vec<RemoteAction>, Failure> {
    let mut visible = Vec::new();
    for entry in parts.actions.list(Kind::Action) {
        // What has no valid name cannot be asked for.
        let Ok(name) = ActionName::new(&entry.name) else { continue };
        let allows = |operation: &Operation<'_>| allow(facts, operation).is_ok();
        if allows(&Operation::ListAction(&name)) {
            visible.push(RemoteAction {
                performable: allows(&Operation::Perform(&name)),
                publishable: allows(&Operation::Publish(&name)),
                subscribable: allows(&Operation::Subscribe(&name)),
                description: entry.description,
                name,
            });
        }
    }
    Ok(visible)
}

async fn perform(parts: &Parts, facts: &Facts, request: Perform) -> Result<coattail::wire::peer::Performed, Failure> {
    let Perform { call, action, input, publish, timeout_ms } = request;
    let operation = if publish { Operation::PerformAndPublish(&action) } else { Operation::Perform(&action) };
    let caller = allow(facts, &operation)?;
    let issuer = Some(caller.issuer());
    let timeout = timeout_ms.map(Duration::from_millis).map(|wanted| wanted.min(parts.limits.local_call));
    let local = LocalCall { call, action, input, publish, caller: issuer, timeout, cause: None };
    parts.calls.run(caller.session, call, parts.actions.perform(local)).await
}
