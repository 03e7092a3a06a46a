use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use coattail::filter::Filter;
use coattail::id::{PeerId, SubscriptionId, TokenId, ValidationId};
use coattail::kill_point;
use coattail::name::{ActionName, ReceiverName};
use coattail::rpc::Session;
use coattail::wire::host::{Subscribe, Subscription, Unsubscribe, Unsubscribed};
use coattail::wire::peer::{self, IssueSubscription, IssuedSubscription};
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure, Place};

use super::STEP_LIMIT;
use jiff::Timestamp;

use crate::plugins::Plugins;
use crate::publications::{Links, Unconfirmed};
use crate::session::{Caller, Sessions};
use crate::store::{Held, IssuedToken, Peer, Store, Validation};
use crate::tokens::{Operation, Validity, authorize, inspect, validation};

/// The side that subscribes: what this instance holds at its peers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct SubscriberSide {
    inner: Arc<Inner>,
}

struct Inner {
    issue: IssueToken,
    store: Store,
    sessions: Sessions,
    links: Links,
    plugins: Plugins,
    // What we have asked for and not got yet. Held for list operations, never over an await.
    asked: Mutex<Vec<Asked>>,
}

/// Issues the token of a subscription, in the name of this instance.
pub(crate) type IssueToken = Box<dyn Fn(&Held, TokenId, Timestamp) -> Result<IssuedToken, Failure> + Send + Sync>;

/// A subscription that was asked for on a session, and may be issued on that session once.
struct Asked {
    session: Session,
    peer: PeerId,
    token: TokenId,
    action: ActionName,
    receiver: ReceiverName,
    filter: Option<Filter>,
    /// Filled when it is issued, and emptied when the publisher has answered.
    unconfirmed: Arc<OnceLock<Unconfirmed>>,
}

impl Asked {
    fn is_for(&self, session: &Session, action: &ActionName, receiver: &ReceiverName) -> bool {
        self.session.is_same(session) && self.action == *action && self.receiver == *receiver
    }
}

/// If it was never issued, it no longer may be when the call is over, or when nobody waits for it any more.
struct Asking<'a> {
    side: &'a SubscriberSide,
    unconfirmed: &'a Arc<OnceLock<Unconfirmed>>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        self.side.asked().retain(|asked| !Arc::ptr_eq(&asked.unconfirmed, self.unconfirmed));
    }
}

impl SubscriberSide {
    pub(crate) fn new(issue: IssueToken, store: Store, sessions: Sessions, links: Links, plugins: Plugins) -> Self {
        let inner = Inner { issue, store, sessions, links, plugins, asked: Mutex::default() };
        Self { inner: Arc::new(inner) }
    }

    /// Subscribes a receiver of this instance to an action of a peer.
    pub(crate) async fn subscribe(&self, request: Subscribe) -> Result<Subscription, Failure> {
        let Subscribe { peer, action, receiver, filter } = request;
        let Inner { store, sessions, plugins, links, .. } = &*self.inner;
        plugins.check(Kind::Receiver, receiver.as_str())?;
        if let Some(held) = store.find_held(peer, action.clone(), receiver.clone()).await? {
            let message = format!("receiver `{receiver}` is subscribed to `{action}` of this peer already");
            return Err(Failure::new(ErrorCode::AlreadyExists, message)
                .hint(format!("its subscription is {}; `coattail action unsubscribe` ends it", held.id)));
        }
        let row = self.peer(peer).await?;
        let target = sessions.target(&row.jwt, row.issuer).await?;
        let session = sessions.get_or_dial(&target).await?;
        let unconfirmed = Arc::new(OnceLock::new());
        self.ask(Asked {
            unconfirmed: unconfirmed.clone(),
            session: session.clone(),
            peer,
            token: target.token_id,
            action: action.clone(),
            receiver: receiver.clone(),
            filter: filter.clone(),
        })?;
        let request = peer::Subscribe { action: action.clone(), receiver: receiver.clone(), filter: filter.clone() };
        let answer = {
            let _asking = Asking { side: self, unconfirmed: &unconfirmed };
            session.call_within(2 * STEP_LIMIT, &request).await
        };
        match answer {
            Ok(subscribed) => {
                let peer::Subscribed { subscription: id, cursor, epoch } = subscribed;
                // Of what was issued for this: a publisher speaks for no other subscription.
                if unconfirmed.get().is_some_and(|issued| issued.id() == id) {
                    kill_point!("subscribe.answered");
                    store.begin_at(id, Place { epoch, sequence: cursor }).await?;
                    kill_point!("subscribe.begun");
                }
                Ok(Subscription { id, peer, action, receiver, filter, cursor: Some(cursor) })
            }
            Err(failure) => {
                // A token that was issued all the same is of no use. If the publisher has stored it although we did
                // not hear so, its first delivery is refused, and it forgets it.
                // Only that one: somebody else may have subscribed the same receiver meanwhile.
                if let Some(issued) = unconfirmed.get() {
                    links.forget(issued.id()).await?;
                }
                Err(failure)
            }
        }
    }

    /// Step 3. A publisher may ask for it only on a session, and for an action and a receiver, for which we have sent
    /// `actions.subscribe`, and only once (fault S2 of the original).
    pub(crate) async fn issue(
        &self,
        caller: &Caller,
        session: &Session,
        request: IssueSubscription,
    ) -> Result<IssuedSubscription, Failure> {
        let IssueSubscription { action, receiver, filter, validation_token, authentication_token } = request;
        let asked = self
            .take(session, &action, &receiver)
            .filter(|asked| asked.token == authentication_token)
            .ok_or_else(|| Failure::new(ErrorCode::NotPermitted, "this subscription was not asked for"))?;
        // Before anything is promised: without it, everything would come. The publisher passes this on to who asked.
        if asked.filter != filter {
            return Err(Failure::new(ErrorCode::InvalidInput, "the publisher is of a version that knows no filters")
                .hint("subscribe without `--where`, or ask the publisher's owner to update Coattail"));
        }
        let now = jiff::Timestamp::now();
        let parsed = validation::read(&validation_token)?;
        parsed.validity.check(now)?;
        if parsed.issuer() != caller.issuer() {
            return Err(Failure::new(ErrorCode::NotPermitted, "the validation token is not that of the publisher"));
        }
        let known = self.known_validation(parsed.key.pem(), asked.peer, now).await?;
        let validation = Validation {
            id: known.unwrap_or_else(ValidationId::new),
            issuer: parsed.issuer(),
            jwt: validation_token,
            public_key: parsed.key.pem().to_owned(),
            added: now.as_millisecond(),
            peer: Some(asked.peer),
        };
        let held = Held { peer: asked.peer, validation: validation.id, action, receiver, filter };
        // In this order: a token whose validation token is missing would not do.
        if known.is_none() {
            self.inner.store.add_validation(validation).await?;
        }
        let token = (self.inner.issue)(&held, authentication_token, now)?;
        let jwt = token.jwt.clone();
        // Set once: `take` has given this one out once.
        let _ = asked.unconfirmed.set(self.inner.links.begin(asked.peer, token.id));
        kill_point!("subscribe.before-token");
        self.inner.store.add_token(token).await?;
        kill_point!("subscribe.token-stored");
        Ok(IssuedSubscription { token: jwt })
    }

    /// Ends a subscription of this instance. The rows go first, so that nothing is taken any more whatever happens;
    /// the publisher is told now, or refused at its next delivery.
    pub(crate) async fn unsubscribe(&self, request: Unsubscribe) -> Result<Unsubscribed, Failure> {
        let Unsubscribe { peer, action, receiver, dry_run } = request;
        let row = self.peer(peer).await?;
        let Some(held) = self.inner.store.find_held(peer, action.clone(), receiver.clone()).await? else {
            let message = format!("receiver `{receiver}` is not subscribed to `{action}` of this peer");
            return Err(Failure::new(ErrorCode::NotFound, message).hint("`coattail token list` shows what is held"));
        };
        if dry_run {
            return Ok(Unsubscribed { id: held.id, told: false, undelivered: None });
        }
        self.inner.store.revoke_token(held.id).await?;
        self.inner.links.refresh(peer);
        let told = self.tell(&row, held.id).await;
        Ok(Unsubscribed { id: held.id, told, undelivered: None })
    }

    async fn tell(&self, peer: &Peer, id: SubscriptionId) -> bool {
        let attempt = async {
            let sessions = &self.inner.sessions;
            let session = sessions.get_or_dial(&sessions.target(&peer.jwt, peer.issuer).await?).await?;
            session.call_within(STEP_LIMIT, &peer::Unsubscribe { subscription: id }).await
        };
        matches!(tokio::time::timeout(STEP_LIMIT, attempt).await, Ok(Ok(_)))
    }

    /// The publisher ends a subscription: it may do so with the token that it holds for it.
    pub(crate) async fn revoked(&self, caller: &Caller, id: SubscriptionId) -> Result<(), Failure> {
        let Some(token) = self.inner.store.token(id).await? else {
            return Err(Failure::new(ErrorCode::TokenRevoked, "the subscription has ended"));
        };
        let evidence = self.inner.sessions.evidence(caller).await?;
        let claims = inspect(token.jwt.reveal())?.into_claims();
        authorize(&claims, &evidence, &Operation::RevokeSubscription { subscription: id })?;
        self.inner.store.revoke_token(id).await?;
        tracing::warn!(subscription = %id, publisher = %caller.issuer(), "the publisher has ended the subscription");
        if let Some(held) = token.held {
            self.inner.links.refresh(held.peer);
        }
        Ok(())
    }

    /// The receivers that a publisher may deliver to.
    pub(crate) async fn receivers_for(&self, caller: &Caller) -> Result<Vec<ReceiverName>, Failure> {
        let Some(peer) = self.inner.store.peer_of_issuer(caller.issuer()).await? else { return Ok(Vec::new()) };
        let evidence = self.inner.sessions.evidence(caller).await?;
        let mut visible = Vec::new();
        for held in self.inner.store.held_at(peer.id).await? {
            let Some(token) = self.inner.store.token(held.id).await? else { continue };
            let claims = inspect(token.jwt.reveal())?.into_claims();
            let receiver = held.held.receiver;
            if authorize(&claims, &evidence, &Operation::ListReceiver(&receiver)).is_ok()
                && !visible.contains(&receiver)
            {
                visible.push(receiver);
            }
        }
        Ok(visible)
    }

    /// The validation token that we have from a publisher already, if it is one for ever: every delivery looks at all
    /// that there are of a key, so subscribing again and again must not add more.
    async fn known_validation(&self, key: &str, peer: PeerId, now: Timestamp) -> Result<Option<ValidationId>, Failure> {
        for row in self.inner.store.validations_with_key(key.to_owned()).await? {
            let good = |known: Validity| known.expires.is_none() && known.check(now).is_ok();
            if row.peer == Some(peer) && validation::read(&row.jwt).is_ok_and(|known| good(known.validity)) {
                return Ok(Some(row.id));
            }
        }
        Ok(None)
    }

    async fn peer(&self, id: PeerId) -> Result<Peer, Failure> {
        self.inner.store.peer(id).await?.ok_or_else(|| {
            Failure::new(ErrorCode::NotFound, format!("there is no peer {id}")).hint("`coattail peer list` shows them")
        })
    }

    /// One at a time, so that what is issued is issued for whoever asked.
    fn ask(&self, new: Asked) -> Result<(), Failure> {
        let mut asked = self.asked();
        if asked.iter().any(|asked| asked.is_for(&new.session, &new.action, &new.receiver)) {
            let message = format!("receiver `{}` is being subscribed to `{}` already", new.receiver, new.action);
            return Err(Failure::new(ErrorCode::AlreadyExists, message));
        }
        asked.push(new);
        Ok(())
    }

    fn take(&self, session: &Session, action: &ActionName, receiver: &ReceiverName) -> Option<Asked> {
        let mut asked = self.asked();
        let at = asked.iter().position(|asked| asked.is_for(session, action, receiver))?;
        Some(asked.swap_remove(at))
    }

    fn asked(&self) -> MutexGuard<'_, Vec<Asked>> {
        self.inner.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
