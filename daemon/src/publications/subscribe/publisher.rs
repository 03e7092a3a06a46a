use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use coattail::id::SubscriptionId;
use coattail::kill_point;
use coattail::rpc::Session;
use coattail::wire::host::{RevokeSubscriber, Subscriber, Unsubscribed};
use coattail::wire::peer::{Attach, Attached, IssueSubscription, Revoke, Subscribe, Subscribed};
use coattail::wire::plugin::Kind;
use coattail::wire::subscriptions::{Flow, Pausing};
use coattail::wire::{ErrorCode, Failure};

use super::STEP_LIMIT;
use crate::keys::Identity;
use crate::plugins::Plugins;
use crate::publications::{Delivery, LaneKey};
use crate::session::{Caller, Sessions};
use crate::store::{Error, Store, Subscription, SubscriptionState};
use crate::tokens::{Claims, Operation, Owner, Use, Validity, authorize, inspect, validation};

/// Subscriptions that one instance may hold here: what a hostile one can cost is bounded.
const MAX_PER_SUBSCRIBER: usize = 16_384;

/// Those of them that have a filter: for each, what is published is looked into.
const MAX_FILTERED: usize = 64;

/// The side that publishes: who is subscribed here. Cheap to clone.
#[derive(Clone)]
pub(crate) struct PublisherSide {
    identity: Arc<Identity>,
    store: Store,
    sessions: Sessions,
    delivery: Delivery,
    plugins: Plugins,
}

impl PublisherSide {
    pub(crate) fn new(
        identity: Arc<Identity>,
        store: Store,
        sessions: Sessions,
        delivery: Delivery,
        plugins: Plugins,
    ) -> Self {
        Self { identity, store, sessions, delivery, plugins }
    }

    /// Steps 1 to 4. The caller has been authorized to subscribe to this action.
    pub(crate) async fn subscribe(
        &self,
        caller: &Caller,
        session: &Session,
        request: Subscribe,
    ) -> Result<Subscribed, Failure> {
        let Subscribe { action, receiver, filter } = request;
        let authentication_token = caller.token().ok_or_else(|| {
            Failure::new(ErrorCode::NotPermitted, "only the side that dialled can subscribe on a session")
        })?;
        self.plugins.check(Kind::Action, action.as_str())?;
        let existing = self.store.subscriptions_of(caller.issuer()).await?;
        // The subscriber no longer holds this one, or it would not ask: it was not heard when it ended it.
        let stale = existing.iter().map(|state| &state.subscription);
        let stale = stale.clone().find(|held| held.action == action && held.receiver == receiver).cloned();
        if existing.len() >= MAX_PER_SUBSCRIBER {
            return Err(Failure::new(ErrorCode::Busy, "this instance holds too many subscriptions here"));
        }
        let filtered = existing.iter().filter(|state| state.subscription.filter.is_some()).count();
        if filter.is_some() && filtered >= MAX_FILTERED {
            let message = format!("this instance holds {MAX_FILTERED} subscriptions with a filter here already");
            return Err(Failure::new(ErrorCode::Busy, message)
                .hint("subscribe without one, and let the receiver look at what it wants"));
        }
        let validation_token = validation::issue(&self.identity, Validity::endless(jiff::Timestamp::now()))?;
        let request = IssueSubscription {
            action: action.clone(),
            receiver: receiver.clone(),
            filter: filter.clone(),
            validation_token,
            authentication_token,
        };
        let issued = session.call_within(STEP_LIMIT, &request).await?;
        let claims = inspect(issued.token.reveal())?.into_claims();
        // The signature cannot be checked here: only the issuer accepts the token. That it says what was agreed can.
        let fits = match &claims.usage {
            Use::PublisherAuthentication(grant) => {
                grant.authentication_token == authentication_token
                    && grant.action == action
                    && grant.receiver == receiver
            }
            Use::Authentication(_) => false,
        };
        if !fits || claims.issuer != caller.issuer() {
            return Err(Failure::new(ErrorCode::InvalidInput, "the subscription token is not what was agreed on"));
        }
        let subscription = Subscription {
            id: claims.id,
            issuer: claims.issuer,
            jwt: issued.token,
            action: action.clone(),
            receiver,
            filter,
            authentication_token,
            created: jiff::Timestamp::now().as_millisecond(),
        };
        if let Some(stale) = stale {
            let removed = self.store.remove_subscription(stale.id).await;
            removed.map(drop).or_else(|error| if error.code() == ErrorCode::NotFound { Ok(()) } else { Err(error) })?;
            self.ended(&stale);
        }
        let lane = LaneKey::of(&subscription);
        kill_point!("subscribe.before-store");
        let cursor = self.store.add_subscription(subscription).await?;
        kill_point!("subscribe.stored");
        let epoch = self.store.place(action.clone(), cursor).await?.epoch;
        tracing::info!(subscription = %claims.id, subscriber = %caller.issuer(), %action, "subscribed");
        self.delivery.attach_one(session, claims.id, lane);
        Ok(Subscribed { subscription: claims.id, cursor, epoch })
    }

    /// The subscriber is here and wants its publications over this session. Says what it can forget.
    pub(crate) async fn attach(
        &self,
        caller: &Caller,
        session: &Session,
        request: Attach,
    ) -> Result<Attached, Failure> {
        let Attach { subscriptions: wanted, mut places } = request;
        let held = self.store.subscriptions_of(caller.issuer()).await?;
        let (mut known, mut unknown) = (Vec::new(), Vec::new());
        let held: HashMap<_, _> = held.iter().map(|state| (state.subscription.id, state)).collect();
        for id in wanted {
            match held.get(&id).filter(|state| is_owner(caller, &state.subscription, Operation::Attach)) {
                Some(state) => known.push((id, LaneKey::of(&state.subscription))),
                None => unknown.push(id),
            }
        }
        // Before anything is delivered over it.
        let owned: HashSet<_> = known.iter().map(|(id, _)| *id).collect();
        places.retain(|reached| owned.contains(&reached.subscription));
        kill_point!("attach.received");
        self.delivery.set_back(caller.issuer(), places).await?;
        self.delivery.attach(session, known);
        kill_point!("attach.done");
        Ok(Attached { unknown, restored: self.store.restored().await? })
    }

    /// The subscriber ends its subscription. What it does not hold, it cannot end.
    pub(crate) async fn end(&self, caller: &Caller, id: SubscriptionId) -> Result<(), Failure> {
        match self.store.subscription(id).await? {
            Some(state) if is_owner(caller, &state.subscription, Operation::EndSubscription) => {
                self.store.remove_subscription(id).await?;
                self.ended(&state.subscription);
                tracing::info!(subscription = %id, subscriber = %caller.issuer(), "unsubscribed");
                Ok(())
            }
            _ => Err(not_found(id)),
        }
    }

    /// The owner of this instance ends a subscription. The row goes first, so that nothing is delivered any more
    /// whatever happens; the subscriber is told now, or when it attaches next.
    pub(crate) async fn revoke(&self, request: RevokeSubscriber) -> Result<Unsubscribed, Failure> {
        let RevokeSubscriber { subscription: id, dry_run } = request;
        let Some(SubscriptionState { subscription, lag, .. }) = self.store.subscription(id).await? else {
            return Err(not_found(id));
        };
        if dry_run {
            return Ok(Unsubscribed { id, told: false, undelivered: Some(lag) });
        }
        let attached = self.delivery.attached(id);
        self.store.remove_subscription(id).await?;
        self.ended(&subscription);
        let told = self.tell(attached, &subscription).await;
        Ok(Unsubscribed { id, told, undelivered: Some(lag) })
    }

    /// The row of a subscription is gone.
    pub(crate) fn ended(&self, subscription: &Subscription) {
        self.delivery.detach(subscription.id, &LaneKey::of(subscription));
    }

    async fn tell(&self, attached: Option<Session>, subscription: &Subscription) -> bool {
        let attempt = async {
            let session = match attached {
                Some(session) => session,
                None => self.dial(subscription).await?,
            };
            session.call_within(STEP_LIMIT, &Revoke { subscription: subscription.id }).await
        };
        match tokio::time::timeout(STEP_LIMIT, attempt).await {
            Ok(Ok(_)) => true,
            Ok(Err(failure)) => {
                tracing::info!(subscription = %subscription.id, %failure, "the subscriber will be told when it comes back");
                false
            }
            Err(_) => false,
        }
    }

    async fn dial(&self, subscription: &Subscription) -> Result<Session, Failure> {
        let target = self.sessions.target(&subscription.jwt, subscription.issuer).await?;
        self.sessions.get_or_dial(&target).await
    }

    /// A session with a subscriber: the one that it has attached, or one that we dial.
    pub(in crate::publications) async fn session(&self, subscription: &Subscription) -> Result<Session, Failure> {
        match self.delivery.attached(subscription.id) {
            Some(session) => Ok(session),
            None => self.dial(subscription).await,
        }
    }

    /// Everyone who is subscribed.
    pub(crate) async fn list(&self) -> Result<Vec<Subscriber>, Failure> {
        let mut subscribers = Vec::new();
        let behind = self.store.behind_since().await?;
        let now = jiff::Timestamp::now().as_millisecond();
        for state in self.store.subscriptions().await? {
            let since = behind.get(&state.subscription.id);
            let seconds = since.map(|since| u64::try_from((now - since) / 1000).unwrap_or_default());
            subscribers.push(Subscriber { lag_seconds: seconds, ..self.describe(state).await? });
        }
        Ok(subscribers)
    }

    /// Some of those who are subscribed; what has ended meanwhile is left out.
    pub(in crate::publications) async fn describe_all(
        &self,
        which: Vec<SubscriptionId>,
    ) -> Result<Vec<Subscriber>, Failure> {
        let mut subscribers = Vec::new();
        for id in which {
            if let Some(state) = self.store.subscription(id).await? {
                subscribers.push(self.describe(state).await?);
            }
        }
        Ok(subscribers)
    }

    /// Delivers nothing for a subscription from now on, or again.
    pub(crate) async fn pause(&self, id: SubscriptionId, paused: bool) -> Result<Pausing, Failure> {
        let subscription = self.store.pause_subscriber(id, paused).await.map_err(|error| match error {
            Error::Missing(_) => not_found(id),
            error => error.into(),
        })?;
        self.delivery.note_moved();
        if !paused {
            self.delivery.ensure_lane(LaneKey::of(&subscription));
        }
        Ok(Pausing { id, paused })
    }

    async fn describe(&self, state: SubscriptionState) -> Result<Subscriber, Failure> {
        let SubscriptionState { subscription, cursor, lag, ahead, last_error, paused, epoch: _ } = state;
        let next_attempt = self.delivery.next_attempt(subscription.id);
        let flow = match &last_error {
            _ if paused => Flow::Paused,
            Some(_) => Flow::Failing,
            None => Flow::Running,
        };
        // One that cannot be read hides no other, and can still be ended (fault R4 of the original).
        let addresses = match self.sessions.target(&subscription.jwt, subscription.issuer).await {
            Ok(target) => target.dialer.addresses,
            Err(error) => {
                tracing::warn!(subscription = %subscription.id, %error, "a stored subscription token cannot be read");
                Vec::new()
            }
        };
        Ok(Subscriber {
            id: subscription.id,
            issuer: subscription.issuer,
            addresses,
            attached: self.delivery.attached(subscription.id).is_some(),
            action: subscription.action,
            receiver: subscription.receiver,
            filter: subscription.filter,
            token: subscription.authentication_token.to_string(),
            cursor,
            lag,
            ahead,
            lag_seconds: None,
            state: flow,
            next_attempt: next_attempt.filter(|_| flow == Flow::Failing).map(|next| next.to_string()),
            last_error,
        })
    }
}

/// Whether the caller may do something with a subscription, as its owner.
fn is_owner(caller: &Caller, subscription: &Subscription, operation: fn(Owner) -> Operation<'static>) -> bool {
    let owner = Owner { authentication_token: subscription.authentication_token, subscriber: subscription.issuer };
    let now = jiff::Timestamp::now();
    let is_valid = |claims: &Claims| claims.validity.check(now).is_ok();
    let claims = caller.claims.as_deref().filter(|claims| is_valid(claims));
    claims.is_some_and(|claims| authorize(claims, &caller.evidence, &operation(owner)).is_ok())
}

fn not_found(id: SubscriptionId) -> Failure {
    Failure::new(ErrorCode::NotFound, format!("there is no subscription {id}"))
        .hint("`coattail subscribers list` shows them")
}
