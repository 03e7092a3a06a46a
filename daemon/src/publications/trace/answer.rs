use coattail::id::{PublicationId, SubscriptionId};
use coattail::name::ActionName;
use coattail::wire::fate::{DeliveredTo, Trace, Traced, TracedReceiver};
use coattail::wire::{ErrorCode, Failure};

use super::tracer::{MOST_MADE, MOST_SUBSCRIPTIONS, Traces, told};
use crate::publications::grants::Grant;
use crate::session::Caller;
use crate::store::Outcome;

impl Traces {
    /// What the caller may know of a publication. `grants` says whether its token allows to subscribe to an action.
    pub(crate) async fn answer(
        &self,
        caller: &Caller,
        grants: impl Fn(&ActionName) -> bool,
        request: Trace,
    ) -> Result<Traced, Failure> {
        let Trace { publication: id, delivered } = request;
        let subscribed = self.store.subscriptions_of(caller.issuer()).await?;
        let may_see =
            |action: &ActionName| grants(action) || subscribed.iter().any(|state| state.subscription.action == *action);
        // Authorization first: what was not delivered by the caller is not looked up for it.
        let receivers = match &delivered {
            Some(delivered) => self.receivers_for(caller, delivered, id).await?,
            None => Vec::new(),
        };
        let own = self.store.listed(id).await?.map(told);
        let made = self.store.caused_by(id, MOST_MADE).await?;
        let (made, hidden): (Vec<_>, Vec<_>) = made.into_iter().map(told).partition(|made| may_see(&made.action));
        let is_own = own.is_some();
        let traced = Traced {
            published: own.filter(|own| may_see(&own.action)),
            // That there is more is told to whom has led to it, and to nobody else.
            hidden: if receivers.is_empty() { 0 } else { hidden.len() as u64 },
            receivers,
            made,
        };
        if traced.published.is_some() || !traced.receivers.is_empty() || !traced.made.is_empty() {
            return Ok(traced);
        }
        if is_own || !hidden.is_empty() || self.store.has_come(id).await? {
            return Err(Failure::new(ErrorCode::NotPermitted, "the token does not allow to see this publication")
                .hint("ask its issuer for a token that has its action in the list `subscribable`"));
        }
        Err(Failure::new(ErrorCode::NotFound, "nothing is known of this publication"))
    }

    async fn receivers_for(
        &self,
        caller: &Caller,
        delivered: &DeliveredTo,
        id: PublicationId,
    ) -> Result<Vec<TracedReceiver>, Failure> {
        let DeliveredTo { action, place, subscriptions } = delivered;
        if subscriptions.len() > MOST_SUBSCRIPTIONS {
            let message = format!("at most {MOST_SUBSCRIPTIONS} subscriptions are looked at");
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        let evidence = self.sessions.evidence(caller).await?;
        let tokens = self.store.tokens_of(subscriptions.clone()).await?;
        let mut receivers = Vec::new();
        for (subscription, token) in subscriptions.iter().zip(tokens) {
            let may = |grant: Grant| grant.check(&evidence, *subscription, Some(action)).is_ok();
            if !Grant::read(token)?.is_some_and(may) {
                continue;
            }
            if let Some(outcome) = self.store.outcome(id, *subscription, *place).await? {
                receivers.push(without_reason(*subscription, &outcome));
            }
        }
        Ok(receivers)
    }
}

/// Why a receiver fails is for the owner of its instance.
fn without_reason(subscription: SubscriptionId, outcome: &Outcome) -> TracedReceiver {
    let Outcome { state, attempts, stored, ended, duration, .. } = *outcome;
    TracedReceiver { subscription, state, attempts, stored, ended, duration_ms: duration }
}
