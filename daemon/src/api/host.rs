use std::sync::Arc;
use std::time::Duration;

use coattail::id::{CallId, PeerId, SessionId};
use coattail::rpc::{Facts, Service};
use coattail::wire::host::{
    Cancel, Entry, Level, ListActions, ListPeers, ListReceivers, ListSubscribers, Log, Perform, Performed, Progress,
    Publish, RevokeSubscriber, ShowPeer, Subscribe, Unsubscribe,
};
use coattail::wire::plugin::Kind;
use coattail::wire::{Done, Failure, Method as _};

use super::fact;
use crate::actions::LocalCall;
use crate::audit::Fact;
use crate::parts::Parts;

/// The Coattail API, for workers and for the command line: they act with the rights of the instance.
pub(crate) fn host_service(parts: &Arc<Parts>) -> Service {
    Service::new()
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
            let Publish { peer, action, input, parent } = request;
            match peer {
                None => parts.actions.publish(action, input, parts.causes.of(parent)).await,
                Some(peer) => parts.remote.publish(peer, action, input).await,
            }
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
}

/// What a worker may call beyond that: to say what it does.
pub(crate) fn worker_service(parts: &Arc<Parts>) -> Service {
    host_service(parts)
        .on_in_order(parts, |_: &Parts, facts, request: Log| {
            let plugin = facts.get::<crate::plugins::PluginId>();
            let (plugin, call) = (tracing::field::display(Shown(plugin)), request.call.map(tracing::field::display));
            let message = request.message;
            match request.level {
                Level::Debug => tracing::debug!(target: "plugin", plugin, call, "{message}"),
                Level::Info => tracing::info!(target: "plugin", plugin, call, "{message}"),
                Level::Warn => tracing::warn!(target: "plugin", plugin, call, "{message}"),
                Level::Error => tracing::error!(target: "plugin", plugin, call, "{message}"),
            }
            Ok(Done {})
        })
        .on_in_order(parts, |_: &Parts, _, request: Progress| {
            tracing::debug!(target: "plugin", call = %request.call, fraction = request.fraction, message = request.message, "progress");
            Ok(Done {})
        })
}

struct Shown(Option<crate::plugins::PluginId>);

impl std::fmt::Display for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Some(name) => name.fmt(f),
            None => f.write_str("?"),
        }
    }
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

async fn perform(parts: &Parts, facts: &Facts, request: Perform) -> Result<Performed, Failure> {
    let Perform { call, peer, action, input, publish, timeout_ms, parent } = request;
    let session: SessionId = fact(facts)?;
    let call = call.unwrap_or_else(CallId::new);
    let timeout = timeout_ms.map(Duration::from_millis);
    let performed = match peer {
        None => {
            let cause = parts.causes.of(parent);
            let local = LocalCall { call, action, input, publish, caller: None, timeout, cause };
            parts.calls.run(session, call, parts.actions.perform(local)).await?
        }
        Some(peer) => {
            let work = parts.remote.perform(peer, call, action, input, publish, timeout);
            parts.calls.run(session, call, work).await?
        }
    };
    let coattail::wire::peer::Performed { result, publication, publication_error } = performed;
    Ok(Performed { call, result, publication, publication_error })
}
