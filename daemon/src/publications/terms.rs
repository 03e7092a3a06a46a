use std::collections::HashSet;
use std::time::Duration;

use coattail::id::IssuerHash;
use coattail::name::ActionName;
use coattail::recipient::Recipient;
use coattail::wire::{ErrorCode, Failure};

use crate::store::{Audience, Name, Store};

/// Subscribers to whom one publication may be addressed: they stand in its row.
const MOST_RECIPIENTS: usize = 1000;

/// What is said of a publication beside its value.
#[derive(Debug, Clone, Default)]
pub(crate) struct Terms {
    /// What it is called by whoever publishes it.
    pub(crate) name: Option<Name>,
    /// For how long somebody wants it, from when it is published.
    pub(crate) ttl: Option<Duration>,
    /// Who gets it; absent: everyone.
    pub(crate) to: Option<Audience>,
}

impl Terms {
    /// Those of one that only has a name, if that.
    pub(crate) fn named(name: Option<Name>) -> Self {
        Self { name, ..Self::default() }
    }

    /// For how long it lives, in milliseconds.
    pub(super) fn ttl_ms(&self) -> Result<Option<i64>, Failure> {
        let Some(ttl) = self.ttl else { return Ok(None) };
        match i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX) {
            0 => Err(Failure::new(ErrorCode::InvalidInput, "nobody can get what lives for less than 1 ms")),
            ttl => Ok(Some(ttl)),
        }
    }
}

/// The subscribers of an action that are meant, as they are known now. An unknown one is an error: nobody would hear
/// that he has not got it.
pub(super) async fn audience(store: &Store, action: &ActionName, to: Vec<Recipient>) -> Result<Audience, Failure> {
    if to.is_empty() || to.len() > MOST_RECIPIENTS {
        let message = format!("a publication is for 1 to {MOST_RECIPIENTS} subscribers, or for all of them");
        return Err(Failure::new(ErrorCode::InvalidInput, message).hint("without recipients, it is for everyone"));
    }
    let subscriptions = store.subscriptions_to(action.clone()).await?;
    let subscribed: HashSet<IssuerHash> = subscriptions.iter().map(|state| state.subscription.issuer).collect();
    let mut audience = Vec::with_capacity(to.len());
    for recipient in to {
        let issuer = match recipient {
            Recipient::Issuer(issuer) => Some(issuer),
            Recipient::Peer(peer) => store.peer(peer).await?.map(|peer| peer.issuer),
        };
        let known = issuer.filter(|issuer| subscribed.contains(issuer)).ok_or_else(|| {
            Failure::new(ErrorCode::NotFound, format!("{recipient} is not subscribed to `{action}`"))
                .hint("`coattail subscribers list` shows who is")
        })?;
        if !audience.contains(&known) {
            audience.push(known);
        }
    }
    Ok(Audience::new(audience))
}
