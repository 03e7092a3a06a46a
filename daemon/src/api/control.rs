use std::sync::Arc;

use coattail::rpc::Service;
use coattail::wire::Done;
use coattail::wire::control::{
    AddPeer, AddValidation, IssueToken, IssueValidation, Issuer, ListKeys, ListTokens, ListValidations, RemovePeer,
    RemoveValidation, RevokeToken, RotateKey, SetPeerAddress, ShowPeerToken, ShowToken, ShowValidation, Status, Stop,
};

use super::host::host_service;
use crate::parts::Parts;

/// What the owner may call over the control socket: everything.
pub(crate) fn control_service(parts: &Arc<Parts>) -> Service {
    host_service(parts)
        .on(parts, |parts: Arc<Parts>, _, _: Status| async move { parts.status().await })
        .on_in_order(parts, |parts: &Parts, _, _: Stop| {
            parts.stop.cancel();
            Ok(Done {})
        })
        .on_in_order(parts, |parts: &Parts, _, _: Issuer| Ok(parts.tokens.issuer()))
        .on(parts, |parts: Arc<Parts>, _, request: IssueToken| async move { parts.tokens.issue(request).await })
        .on(parts, |parts: Arc<Parts>, _, _: ListTokens| async move { parts.tokens.list().await })
        .on(parts, |parts: Arc<Parts>, _, request: ShowToken| async move {
            parts.tokens.show(request.token, request.raw).await
        })
        .on(parts, |parts: Arc<Parts>, _, request: RevokeToken| async move { parts.tokens.revoke(request.token).await })
        .on_in_order(parts, |parts: &Parts, _, request: IssueValidation| parts.validations.issue(&request))
        .on(
            parts,
            |parts: Arc<Parts>, _, request: AddValidation| async move { parts.validations.add(request.token).await },
        )
        .on(parts, |parts: Arc<Parts>, _, _: ListValidations| async move { parts.validations.list().await })
        .on(parts, |parts: Arc<Parts>, _, request: ShowValidation| async move {
            parts.validations.show(request.validation).await
        })
        .on(
            parts,
            |parts: Arc<Parts>, _, request: RemoveValidation| async move { parts.validations.remove(request).await },
        )
        .on(parts, |parts: Arc<Parts>, _, request: AddPeer| async move { parts.peers.add(request.token).await })
        .on(parts, |parts: Arc<Parts>, _, request: ShowPeerToken| async move { parts.peers.token(request.peer).await })
        .on(parts, |parts: Arc<Parts>, _, request: RemovePeer| async move { parts.peers.remove(request.peer).await })
        .on(
            parts,
            |parts: Arc<Parts>, _, request: SetPeerAddress| async move { parts.peers.set_address(request).await },
        )
        .on_in_order(parts, |parts: &Parts, _, _: ListKeys| Ok(parts.keys.list()))
        .on(parts, |parts: Arc<Parts>, _, request: RotateKey| async move { parts.keys.rotate(request).await })
}
