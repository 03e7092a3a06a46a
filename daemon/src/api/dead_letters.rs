use std::sync::Arc;

use coattail::name::ReceiverName;
use coattail::rpc::Service;
use coattail::wire::Method as _;
use coattail::wire::dead_letters::{DropDeadLetters, ListDeadLetters, ReplayDeadLetters, ShowDeadLetter};

use crate::audit::Fact;
use crate::parts::Parts;

/// What receivers did not take: for the owner alone, since it holds what they printed.
pub(super) fn dead_letters_service(parts: &Arc<Parts>) -> Service {
    Service::new()
        .on(
            parts,
            |parts: Arc<Parts>, _, request: ListDeadLetters| async move { parts.dead_letters.list(request).await },
        )
        .on(
            parts,
            |parts: Arc<Parts>, _, request: ShowDeadLetter| async move { parts.dead_letters.show(request.id).await },
        )
        .on(parts, |parts: Arc<Parts>, _, request: ReplayDeadLetters| async move {
            let fact = Fact::allowed(ReplayDeadLetters::NAME);
            let fact = about(fact, request.id.map(|id| id.to_string()), request.receiver.as_ref());
            let is_dry = request.dry_run;
            let replayed = parts.dead_letters.replay(request).await?;
            if !is_dry {
                parts.audit.record(fact);
            }
            Ok(replayed)
        })
        .on(parts, |parts: Arc<Parts>, _, request: DropDeadLetters| async move {
            let fact = Fact::allowed(DropDeadLetters::NAME);
            let fact = about(fact, request.id.map(|id| id.to_string()), request.receiver.as_ref());
            let is_dry = request.dry_run;
            let dropped = parts.dead_letters.drop(request).await?;
            if !is_dry {
                parts.audit.record(fact);
            }
            Ok(dropped)
        })
}

/// On which it was done, if not on all.
fn about(fact: Fact, id: Option<String>, receiver: Option<&ReceiverName>) -> Fact {
    match id.or_else(|| receiver.map(ToString::to_string)) {
        Some(subject) => fact.subject(subject),
        None => fact,
    }
}
