use std::sync::Arc;

use coattail::rpc::{Service, Session};
use coattail::wire::control::{
    AddPeer, AddValidation, IssueToken, IssueValidation, Issuer, ListAudit, ListKeys, ListTokens, ListValidations,
    PluginLogs, RemovePeer, RemoveValidation, RevokeToken, RotateKey, SetPeerAddress, ShowPeerToken, ShowToken,
    ShowValidation, Status, Stop,
};
use coattail::wire::doctor::Doctor;
use coattail::wire::fate::{Reach, Reaching};
use coattail::wire::plugins::{ReloadPlugins, ShowPlugin};
use coattail::wire::publications::{
    ListPublications, ListScheduled, Reached, SchedulePublication, ShowPublication, TailPublications,
    UnschedulePublication, VerifyPublications, WatchReach,
};
use coattail::wire::trace::TracePublication;
use coattail::wire::{Done, Method as _};

use super::dead_letters::dead_letters_service;
use super::dev::dev_service;
use super::fact;
use super::host::{host_service, terms};
use super::subscriptions::subscriptions_service;
use crate::audit::Fact;
use crate::doctor;
use crate::parts::Parts;
use crate::plugins::PluginId;

/// What the owner may call over the control socket: everything.
pub(crate) fn control_service(parts: &Arc<Parts>) -> Service {
    host_service(parts)
        .with(dev_service(parts))
        .on(parts, |parts: Arc<Parts>, _, _: Status| async move { parts.status().await })
        .on(parts, |parts: Arc<Parts>, _, _: Doctor| async move { Ok(doctor::check(&parts).await) })
        .on_in_order(parts, |parts: &Parts, _, _: Stop| {
            parts.stop.cancel();
            Ok(Done {})
        })
        .on_in_order(parts, |parts: &Parts, _, _: Issuer| Ok(parts.tokens.issuer()))
        .on(parts, |parts: Arc<Parts>, _, request: IssueToken| async move {
            let token = parts.tokens.issue(request).await?;
            parts.audit.record(Fact::allowed(IssueToken::NAME).token(Some(token.id)));
            Ok(token)
        })
        .on(parts, |parts: Arc<Parts>, _, _: ListTokens| async move { parts.tokens.list().await })
        .on(parts, |parts: Arc<Parts>, _, request: ShowToken| async move {
            let token = parts.tokens.show(request.token, request.raw).await?;
            if request.raw {
                parts.audit.record(Fact::allowed(ShowToken::NAME).token(Some(token.id)));
            }
            Ok(token)
        })
        .on(parts, |parts: Arc<Parts>, _, request: RevokeToken| async move {
            let is_dry = request.dry_run;
            let revoked = parts.tokens.revoke(request).await?;
            if !is_dry {
                parts.audit.record(Fact::allowed(RevokeToken::NAME).token(Some(revoked.id)));
            }
            Ok(revoked)
        })
        .on_in_order(parts, |parts: &Parts, _, request: IssueValidation| parts.validations.issue(&request))
        .on(parts, |parts: Arc<Parts>, _, request: AddValidation| async move {
            let added = parts.validations.add(request.token).await?;
            let fact = Fact::allowed(AddValidation::NAME).peer(added.issuer);
            parts.audit.record(match added.id {
                Some(id) => fact.subject(id),
                None => fact,
            });
            Ok(added)
        })
        .on(parts, |parts: Arc<Parts>, _, _: ListValidations| async move { parts.validations.list().await })
        .on(parts, |parts: Arc<Parts>, _, request: ShowValidation| async move {
            parts.validations.show(request.validation).await
        })
        .on(parts, |parts: Arc<Parts>, _, request: RemoveValidation| async move {
            let is_dry = request.dry_run;
            let removed = parts.validations.remove(request).await?;
            if !is_dry {
                parts.audit.record(Fact::allowed(RemoveValidation::NAME).subject(removed.id));
            }
            Ok(removed)
        })
        .on(parts, |parts: Arc<Parts>, _, request: AddPeer| async move {
            let added = parts.peers.add(request.token).await?;
            parts.audit.record(Fact::allowed(AddPeer::NAME).peer(added.issuer).subject(added.id));
            Ok(added)
        })
        .on(parts, |parts: Arc<Parts>, _, request: ShowPeerToken| async move {
            let token = parts.peers.token(request.peer).await?;
            parts.audit.record(Fact::allowed(ShowPeerToken::NAME).subject(request.peer));
            Ok(token)
        })
        .on(parts, |parts: Arc<Parts>, _, request: RemovePeer| async move {
            let is_dry = request.dry_run;
            let removed = parts.peers.remove(request).await?;
            if !is_dry {
                parts.audit.record(Fact::allowed(RemovePeer::NAME).subject(removed.id));
            }
            Ok(removed)
        })
        .on(parts, |parts: Arc<Parts>, _, request: ListAudit| async move { parts.audit.list(request).await })
        .on(parts, |parts: Arc<Parts>, _, request: SetPeerAddress| async move {
            let peer = parts.peers.set_address(request).await?;
            parts.audit.record(Fact::allowed(SetPeerAddress::NAME).peer(peer.issuer).subject(peer.id));
            Ok(peer)
        })
        .on(parts, |parts: Arc<Parts>, facts, request: PluginLogs| async move {
            let PluginLogs { kind, name, lines, follow } = request;
            let lines = lines.unwrap_or(LOG_LINES).min(MOST_LOG_LINES) as usize;
            let follower = follow.then(|| fact::<Session>(&facts)).transpose()?;
            parts.journals.read(PluginId { kind, name }, lines, follower).await
        })
        .on_in_order(parts, |parts: &Parts, _, request: ShowPlugin| parts.plugins.show(request.kind, &request.name))
        .on(parts, |parts: Arc<Parts>, _, request: ReloadPlugins| async move {
            parts.plugins.reload(request.kind, request.name.as_deref()).await
        })
        .on(parts, |parts: Arc<Parts>, _, request: ListPublications| async move { parts.history.list(request).await })
        .on(parts, |parts: Arc<Parts>, _, request: ShowPublication| async move { parts.history.show(request).await })
        .on(parts, |parts: Arc<Parts>, _, request: TailPublications| async move { parts.history.tail(request).await })
        .on(parts, |parts: Arc<Parts>, _, request: WatchReach| async move {
            let WatchReach { peer, action, publication, seen, wait_ms, who } = request;
            let reach = Reach { action, publication, seen, wait_ms };
            match peer {
                None if who => parts.reaches.who(&reach).await,
                None => parts.reaches.watch(&reach).await.map(without_names),
                Some(peer) => parts.remote.reach(peer, &reach).await.map(without_names),
            }
        })
        .on(parts, |parts: Arc<Parts>, _, request: TracePublication| async move { parts.traces.trace(request).await })
        .on(parts, |parts: Arc<Parts>, _, request: SchedulePublication| async move {
            let SchedulePublication { action, input, due_ms, ttl_ms, to, parent } = request;
            let terms = terms(&parts, &action, None, ttl_ms, to).await?;
            parts.actions.schedule(action, input, due_ms, terms, parts.causes.of(parent)).await
        })
        .on(parts, |parts: Arc<Parts>, _, _: ListScheduled| async move { parts.schedule.list().await })
        .on(parts, |parts: Arc<Parts>, _, request: UnschedulePublication| async move {
            parts.schedule.remove(request.id).await
        })
        .on(parts, |parts: Arc<Parts>, _, request: VerifyPublications| async move {
            parts.history.verify(request.action).await
        })
        .on_in_order(parts, |parts: &Parts, _, _: ListKeys| Ok(parts.keys.list()))
        .on(parts, |parts: Arc<Parts>, _, request: RotateKey| async move {
            let keys = parts.keys.rotate(request).await?;
            parts.audit.record(Fact::allowed(RotateKey::NAME));
            Ok(keys)
        })
        .with(dead_letters_service(parts))
        .with(subscriptions_service(parts))
}

fn without_names(reaching: Reaching) -> Reached {
    Reached { reaching, missing: Vec::new() }
}

/// Lines of a log that are shown unless it is said how many, and at the most: some MiB.
const LOG_LINES: u32 = 100;
const MOST_LOG_LINES: u32 = 10_000;
