use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use coattail::id::{IssuerHash, PublicationId};
use coattail::name::ActionName;
use coattail::wire::Failure;
use coattail::wire::fate::{DeliveredTo, Handling, Trace, TracedPublication};
use coattail::wire::trace::{Known, Looped, Traced, TracedAt, TracedReceiver};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream;

use super::tracer::{Found, MOST_MADE, MOST_SUBSCRIPTIONS, Traces, Walk, told};
use crate::store::{Outcome, Subscription, SubscriptionState};

/// Publications that led to each other, as far as they are followed.
const MOST_DEPTH: usize = 16;

/// Subscribers that are asked at a time.
const AT_ONCE: usize = 8;

impl Traces {
    /// A publication, and what it has led to.
    pub(super) fn results<'a>(
        &'a self,
        walk: &'a Walk,
        found: Found,
        depth: usize,
    ) -> BoxFuture<'a, Result<Traced, Failure>> {
        Box::pin(async move {
            let (id, issuer) = (found.publication.id, found.issuer);
            let at = (issuer, found.publication.action.clone(), found.publication.sequence);
            let mut shown = found.shown(self.issuer);
            if depth == MOST_DEPTH {
                walk.cut.store(true, Ordering::Relaxed);
                return Ok(shown);
            }
            if !walk.enter(id) {
                return Ok(shown);
            }
            if issuer == self.issuer {
                shown.more = self.delivered(walk, id, &at.1, depth, &mut shown.at).await?;
            }
            let mut here = self.received_here(id, Some(at)).await?;
            let made = self.store.caused_by(id, MOST_MADE).await?.into_iter().map(told).collect();
            let published = self.each(walk, self.issuer, made, depth).await?;
            if !published.is_empty() {
                here.get_or_insert_with(|| self.nothing_here()).published = published;
            }
            shown.at.extend(here);
            Ok(shown)
        })
    }

    /// What became of a publication in our own subscriptions, and where a loop has ended.
    pub(super) async fn received_here(
        &self,
        id: PublicationId,
        at: Option<(IssuerHash, ActionName, u64)>,
    ) -> Result<Option<TracedAt>, Failure> {
        let receivers: Vec<_> = self.store.outcomes(id, at).await?.into_iter().map(here).collect();
        let looped: Vec<_> = self.store.loops_of(id).await?;
        if receivers.is_empty() && looped.is_empty() {
            return Ok(None);
        }
        let looped = looped.into_iter().map(|looped| Looped { action: looped.action, hops: looped.hops }).collect();
        Ok(Some(TracedAt { receivers, looped, ..self.nothing_here() }))
    }

    fn nothing_here(&self) -> TracedAt {
        nothing(self.issuer, true, Known::Known)
    }

    /// What became of one of ours at those who were subscribed. Returns how many more there are.
    async fn delivered(
        &self,
        walk: &Walk,
        id: PublicationId,
        action: &ActionName,
        depth: usize,
        at: &mut Vec<TracedAt>,
    ) -> Result<u64, Failure> {
        let Some(own) = self.store.listed(id).await? else { return Ok(0) };
        let subscribed = self.store.subscribed_at(id, MOST_SUBSCRIPTIONS).await?;
        let all = self.store.reaching(action.clone(), id).await?.map_or(0, |reaching| reaching.subscribers);
        let more = all.saturating_sub(subscribed.len() as u64);
        let mut subscribers: BTreeMap<IssuerHash, Vec<SubscriptionState>> = BTreeMap::new();
        for state in subscribed {
            subscribers.entry(state.subscription.issuer).or_default().push(state);
        }
        let own = &told(own);
        let asked = subscribers.into_iter().map(|(issuer, states)| self.at(walk, own, issuer, states, depth));
        let answers: Vec<_> = stream::iter(asked).buffered(AT_ONCE).collect().await;
        for answer in answers {
            at.push(answer?);
        }
        Ok(more)
    }

    /// What became of one of ours at one subscriber.
    async fn at(
        &self,
        walk: &Walk,
        own: &TracedPublication,
        issuer: IssuerHash,
        states: Vec<SubscriptionState>,
        depth: usize,
    ) -> Result<TracedAt, Failure> {
        let (delivered, lacking): (Vec<_>, Vec<_>) = states.into_iter().partition(|state| state.cursor >= own.sequence);
        let mut at = nothing(issuer, false, Known::Known);
        at.receivers.extend(lacking.into_iter().map(undelivered));
        let Some(first) = delivered.first() else { return Ok(at) };
        let place = self.store.place(own.action.clone(), own.sequence).await?;
        let subscriptions = delivered.iter().map(|state| state.subscription.id).collect();
        let delivered_to = DeliveredTo { action: own.action.clone(), place, subscriptions };
        let trace = Trace { publication: own.id, delivered: Some(delivered_to) };
        let mut answer = self.ask_subscriber(&first.subscription, &trace, walk.end).await;
        // With the token that it gave us we may see more than with those with which we deliver.
        if let (Ok(first), Some(peer)) = (&answer, walk.peers.iter().find(|peer| peer.issuer == issuer))
            && first.hidden > 0
            && let Ok(better) = self.ask_peer(peer, &trace, walk.end).await
        {
            answer = Ok(better);
        }
        let told = match answer {
            Ok(told) => told,
            Err(known) => {
                at.known = known;
                at.receivers.extend(delivered.into_iter().map(|state| stored(state.subscription)));
                return Ok(at);
            }
        };
        for SubscriptionState { subscription, .. } in delivered {
            let told = told.receivers.iter().find(|told| told.subscription == subscription.id);
            at.receivers.push(match told {
                None => stored(subscription),
                Some(told) => TracedReceiver {
                    state: told.state,
                    attempts: Some(told.attempts),
                    stored: Some(told.stored),
                    ended: told.ended,
                    duration_ms: told.duration_ms,
                    ..stored(subscription)
                },
            });
        }
        at.hidden = told.hidden;
        at.published = self.each(walk, issuer, told.made, depth).await?;
        Ok(at)
    }

    async fn each(
        &self,
        walk: &Walk,
        issuer: IssuerHash,
        mut made: Vec<TracedPublication>,
        depth: usize,
    ) -> Result<Vec<Traced>, Failure> {
        // Whatever others say, no more than we would ask for.
        made.truncate(MOST_MADE as usize);
        if made.len() == MOST_MADE as usize {
            walk.cut.store(true, Ordering::Relaxed);
        }
        let mut published = Vec::new();
        for publication in made {
            published.push(self.results(walk, Found { issuer, publication }, depth + 1).await?);
        }
        Ok(published)
    }
}

fn nothing(issuer: IssuerHash, here: bool, known: Known) -> TracedAt {
    TracedAt { issuer, here, known, receivers: Vec::new(), published: Vec::new(), hidden: 0, looped: Vec::new() }
}

fn stored(subscription: Subscription) -> TracedReceiver {
    TracedReceiver {
        receiver: subscription.receiver,
        subscription: subscription.id,
        state: Handling::Stored,
        attempts: None,
        stored: None,
        ended: None,
        duration_ms: None,
        reason: None,
    }
}

fn undelivered(state: SubscriptionState) -> TracedReceiver {
    let why = if state.paused { Some("the subscriber is paused here".to_owned()) } else { state.last_error };
    TracedReceiver { state: Handling::Undelivered, reason: why, ..stored(state.subscription) }
}

fn here(outcome: Outcome) -> TracedReceiver {
    let Outcome { subscription, receiver, state, attempts, stored, ended, duration, reason, .. } = outcome;
    TracedReceiver {
        receiver,
        subscription,
        state,
        attempts: Some(attempts),
        stored: Some(stored),
        ended,
        duration_ms: duration,
        reason,
    }
}
