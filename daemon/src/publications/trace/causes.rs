use std::sync::atomic::Ordering;

use coattail::id::{IssuerHash, PublicationId};
use coattail::wire::Failure;
use coattail::wire::fate::Trace;
use coattail::wire::trace::{Known, Traced};
use futures::future::join_all;

use super::tracer::{Found, Traces, Walk};

/// Publications that are looked up, one after the other: as many as may lead to one by default.
const MOST_CAUSES: usize = 16;

/// Peers that are asked for one publication.
const MOST_PEERS: usize = 16;

impl Traces {
    /// What led to a publication, the first first.
    pub(super) async fn causes(&self, walk: &Walk, found: &Found) -> Result<Vec<Traced>, Failure> {
        let (mut cause, mut near) = (found.publication.cause, found.issuer);
        let mut causes = Vec::new();
        while let Some(id) = cause {
            if causes.len() == MOST_CAUSES || !walk.enter(id) {
                walk.cut.store(true, Ordering::Relaxed);
                break;
            }
            let mut shown = match self.find(walk, id, Some(near)).await? {
                Ok(found) => {
                    (cause, near) = (found.publication.cause, found.issuer);
                    found.shown(self.issuer)
                }
                Err(known) => {
                    cause = None;
                    unknown(id, known)
                }
            };
            shown.at.extend(self.received_here(id, None).await?);
            causes.push(shown);
        }
        causes.reverse();
        Ok(causes)
    }

    /// A publication, known here or told by a peer. `near` is where something was made because of it: it is asked
    /// with the others, since it may have made it itself.
    pub(super) async fn find(
        &self,
        walk: &Walk,
        id: PublicationId,
        near: Option<IssuerHash>,
    ) -> Result<Result<Found, Known>, Failure> {
        if let Some(found) = self.find_here(id).await? {
            return Ok(Ok(found));
        }
        let trace = Trace { publication: id, delivered: None };
        let (first, others): (Vec<_>, Vec<_>) = walk.peers.iter().partition(|peer| Some(peer.issuer) == near);
        let asked = first.into_iter().chain(others).take(MOST_PEERS);
        let answers =
            join_all(asked.map(async |peer| (peer.issuer, self.ask_peer(peer, &trace, walk.end).await))).await;
        let mut known = Known::Unknown;
        for (issuer, answer) in answers {
            match answer.map(|traced| traced.published) {
                Ok(Some(publication)) if publication.id == id => return Ok(Ok(Found { issuer, publication })),
                Err(Known::Known | Known::Unknown) => {}
                // Who tells something of it but not what it is, may not.
                Ok(_) | Err(Known::NotAllowed) => known = Known::NotAllowed,
                Err(Known::Unreachable) if known == Known::Unknown => known = Known::Unreachable,
                Err(Known::Unreachable) => {}
            }
        }
        Ok(Err(known))
    }
}

fn unknown(id: PublicationId, known: Known) -> Traced {
    Traced {
        id,
        known,
        issuer: None,
        here: false,
        action: None,
        sequence: None,
        time: None,
        hops: None,
        at: Vec::new(),
        more: 0,
    }
}
