use std::sync::Arc;
use std::time::Duration;

use coattail::id::{CallId, PeerId, SessionId};
use coattail::key::Key;
use coattail::name::ActionName;
use coattail::recipient::Recipient;
use coattail::rpc::{Facts, Service, Session};
use coattail::wire::host::{
    Cancel, Entry, Item, ListActions, ListPeers, ListReceivers, ListSubscribers, Perform, Performed, Publish,
    PublishBatch, RevokeSubscriber, ShowPeer, Subscribe, Unsubscribe,
};
use coattail::wire::plugin::Kind;
use coattail::wire::{Done, ErrorCode, Failure, Method as _, peer};

use super::fact;
use super::jobs::{jobs_service, perform_keyed};
use super::said::said_service;
use crate::actions::{JobRequest, LocalCall, RemoteCall};
use crate::audit::Fact;
use crate::feeds::Sink;
use crate::parts::Parts;
use crate::publications::{Cause, Terms};
use crate::store::{JobResult, Name};

/// The Coattail API, for workers and for the command line: they act with the rights of the instance.
pub(crate) fn host_service(parts: &Arc<Parts>) -> Service {
    jobs_service(parts)
        .on(parts, |parts: Arc<Parts>, _, request: ListActions| async move {
            list(&parts, Kind::Action, request.peer, request.schemas).await
        })
        .on(parts, |parts: Arc<Parts>, _, request: ListReceivers| async move {
            list(&parts, Kind::Receiver, request.peer, request.schemas).await
        })
        .on(parts, |parts, facts, request: Perform| async move { perform(&parts, &facts, request).await })
        .on_in_order(parts, |parts: &Parts, facts, request: Cancel| {
            parts.calls.cancel(fact::<SessionId>(&facts)?, request.call);
            Ok(Done {})
        })
        .on(parts, |parts: Arc<Parts>, _, request: Publish| async move {
            let Publish { peer, action, input, id, ttl_ms, to, parent } = request;
            match peer {
                None => {
                    let terms = terms(&parts, &action, id, ttl_ms, to).await?;
                    parts.actions.publish(action, input, terms, parts.causes.of(parent)).await
                }
                Some(_) if ttl_ms.is_some() || to.is_some() => Err(elsewhere()),
                Some(peer) => {
                    let cause = parts.causes.of(parent).map(Cause::told);
                    parts.remote.publish(peer, &peer::Publish { action, input, id, cause }).await
                }
            }
        })
        .on(parts, |parts: Arc<Parts>, _, request: PublishBatch| async move {
            let PublishBatch { action, publications, ttl_ms, to, parent } = request;
            let all = terms(&parts, &action, None, ttl_ms, to).await?;
            let named = |Item { input, id }| (input, Terms { name: id.map(own), ..all.clone() });
            let values = publications.into_iter().map(named).collect();
            parts.actions.publish_all(action, values, parts.causes.of(parent)).await
        })
        .on(parts, |parts: Arc<Parts>, _, request: Subscribe| async move { parts.subscriber.subscribe(request).await })
        .on(
            parts,
            |parts: Arc<Parts>, _, request: Unsubscribe| async move { parts.subscriber.unsubscribe(request).await },
        )
        .on(parts, |parts: Arc<Parts>, _, _: ListPeers| async move { parts.peers.list().await })
        .on(parts, |parts: Arc<Parts>, _, request: ShowPeer| async move { parts.peers.show(request.peer).await })
        .on(parts, |parts: Arc<Parts>, _, _: ListSubscribers| async move { parts.publisher.list().await })
        .on(parts, |parts: Arc<Parts>, _, request: RevokeSubscriber| async move {
            let is_dry = request.dry_run;
            let ended = parts.publisher.revoke(request).await?;
            if !is_dry {
                parts.audit.record(Fact::allowed(RevokeSubscriber::NAME).subject(ended.id));
            }
            Ok(ended)
        })
        .with(said_service(parts))
}

/// What is said of a publication of this instance.
pub(super) async fn terms(
    parts: &Parts,
    action: &ActionName,
    id: Option<Key>,
    ttl_ms: Option<u64>,
    to: Option<Vec<Recipient>>,
) -> Result<Terms, Failure> {
    let to = parts.actions.audience(action, to).await?;
    Ok(Terms { name: id.map(own), ttl: ttl_ms.map(Duration::from_millis), to })
}

fn own(name: Key) -> Name {
    Name { publisher: None, name }
}

/// Who is subscribed there is not ours to know; and a peer of an older version would deliver to everyone, and for ever.
fn elsewhere() -> Failure {
    Failure::new(ErrorCode::InvalidInput, "for how long and for whom is said where the action is, and not at a peer")
        .hint("let an action there publish it, or publish it for everyone")
}

async fn list(parts: &Parts, kind: Kind, peer: Option<PeerId>, schemas: bool) -> Result<Vec<Entry>, Failure> {
    if let Some(peer) = peer {
        return parts.remote.list(peer, kind, schemas).await;
    }
    if schemas {
        parts.actions.learn_schemas(kind, |_| true).await;
    }
    Ok(parts.actions.list(kind))
}

/// Over one connection: a worker's, or that of a command.
async fn perform(parts: &Parts, facts: &Facts, request: Perform) -> Result<Performed, Failure> {
    let Perform { call, peer, action, input, publish, timeout_ms, start_timeout_ms, follow, key, parent } = request;
    let session: SessionId = fact(facts)?;
    let call = call.unwrap_or_else(CallId::new);
    let timeout = timeout_ms.map(Duration::from_millis);
    let start_timeout = start_timeout_ms.map(Duration::from_millis);
    let wire: Session = fact(facts)?;
    let follower = Sink::caller(wire.clone(), follow);
    let cause = parts.causes.of(parent);
    if key.is_some() {
        let default = if peer.is_some() { parts.limits.remote_call } else { parts.limits.local_call };
        let timeout = Some(timeout.unwrap_or(default));
        let (id, asker, start_timeout) = (call, None, start_timeout.or(timeout));
        let request = JobRequest { id, asker, peer, action, input, publish, timeout, start_timeout, key, cause };
        let (call, done) = perform_keyed(parts, session, call, request, (wire, follower)).await?;
        let JobResult { result, publication, publication_error } = done;
        return Ok(Performed { call, result, publication, publication_error });
    }
    let follower = Some(follower);
    let performed = match peer {
        None => {
            let (caller, begin) = (None, None);
            let local =
                LocalCall { call, action, input, publish, caller, timeout, start_timeout, follower, cause, begin };
            // Apart, so that it is not moved with what is around it.
            parts.calls.run(session, call, Box::pin(parts.actions.perform(local))).await?
        }
        Some(peer) => {
            let remote = RemoteCall { call, action, input, publish, timeout, start_timeout, cause, follower };
            parts.calls.run(session, call, Box::pin(parts.remote.perform(peer, remote))).await?
        }
    };
    let coattail::wire::peer::Performed { result, publication, publication_error } = performed;
    Ok(Performed { call, result, publication, publication_error })
}
