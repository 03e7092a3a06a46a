use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::to_raw_value;

use super::{Call, Followers, Jobs, Publish};
use crate::Result;
use crate::filter::Filter;
use crate::id::{CallId, PeerId, SubscriptionId};
use crate::key::Key;
use crate::name::{ActionName, InvalidName, ReceiverName};
use crate::rpc::Session;
use crate::wire::host::{self, Entry, Peer, Subscriber, Subscription, Unsubscribed};
use crate::wire::peer::Published;
use crate::wire::places::Beginning;
use crate::wire::{ErrorCode, Failure, Method, Raw};

/// The Coattail API, on this instance or [`at`](Self::at) a peer. Cheap to clone.
///
/// It acts with the rights of the instance itself; at a peer, with what the peer's token allows. Everything fails with
/// a [`Failure`]: programs go by its code, people read its message and its hint.
#[derive(Debug, Clone)]
pub struct Coattail {
    pub(super) session: Session,
    pub(super) followers: Arc<Followers>,
    /// The call that asks: carries cause and hops on.
    pub(super) parent: Option<CallId>,
    pub(super) peer: Option<PeerId>,
}

impl Coattail {
    pub(crate) fn new(session: Session, followers: Arc<Followers>, parent: Option<CallId>) -> Self {
        Self { session, followers, parent, peer: None }
    }

    /// The same at a peer: for performing, publishing and listing.
    #[must_use]
    pub fn at(&self, peer: PeerId) -> Self {
        Self { peer: Some(peer), ..self.clone() }
    }

    /// Performs an action and returns its result. Dropping the future cancels the call.
    pub async fn perform<O: DeserializeOwned>(&self, action: &str, input: &impl Serialize) -> Result<O> {
        self.call(action).input(input).perform().await?.read()
    }

    /// Prepares a call of an action: what it is given, how long it may take, who hears what it says, and whether it is
    /// waited for or becomes a job.
    pub fn call<'a>(&'a self, action: &'a str) -> Call<'a> {
        Call::new(self, action)
    }

    /// The jobs of this instance: calls that it keeps on disk. Those at peers are among them.
    pub fn jobs(&self) -> Jobs<'_> {
        Jobs::new(self)
    }

    /// Publishes a value for an action without performing it. It is on disk when this returns.
    pub async fn publish(&self, action: &str, value: &impl Serialize) -> Result<Published> {
        self.publication(action).send(value).await
    }

    /// As [`publish`](Self::publish), under an id of the caller's choice: who publishes the same again with the same id
    /// gets the first answer, and nothing is stored twice.
    pub async fn publish_once(&self, action: &str, id: Key, value: &impl Serialize) -> Result<Published> {
        self.publication(action).id(id).send(value).await
    }

    /// Prepares a publication: what it is called, for how long somebody wants it, and who gets it.
    pub fn publication<'a>(&'a self, action: &'a str) -> Publish<'a> {
        Publish::new(self, action)
    }

    /// Lists the actions that may be used.
    pub async fn actions(&self) -> Result<Vec<Entry>> {
        self.ask(host::ListActions { peer: self.peer, schemas: false }).await
    }

    /// As [`actions`](Self::actions), with what they take and return. Those that have not said so yet are started.
    pub async fn actions_with_schemas(&self) -> Result<Vec<Entry>> {
        self.ask(host::ListActions { peer: self.peer, schemas: true }).await
    }

    /// Lists the receivers.
    pub async fn receivers(&self) -> Result<Vec<Entry>> {
        self.ask(host::ListReceivers { peer: self.peer, schemas: false }).await
    }

    /// As [`receivers`](Self::receivers), with what they take. Those that have not said so yet are started.
    pub async fn receivers_with_schemas(&self) -> Result<Vec<Entry>> {
        self.ask(host::ListReceivers { peer: self.peer, schemas: true }).await
    }

    /// Lists the peers of this instance.
    pub async fn peers(&self) -> Result<Vec<Peer>> {
        self.ask(host::ListPeers {}).await
    }

    /// Shows one peer of this instance.
    pub async fn peer(&self, peer: PeerId) -> Result<Peer> {
        self.ask(host::ShowPeer { peer }).await
    }

    /// Subscribes a receiver of this instance to an action of a peer.
    pub async fn subscribe(&self, peer: PeerId, action: &str, receiver: &str) -> Result<Subscription> {
        let (action, receiver, filter) = (action_name(action)?, receiver_name(receiver)?, None);
        self.ask(host::Subscribe { peer, action, receiver, from: Beginning::Now, filter }).await
    }

    /// As [`subscribe`](Self::subscribe), beginning with what was published before. A peer of an older version begins now
    /// all the same, and then the answer has no [`waiting`](Subscription::waiting).
    pub async fn subscribe_from(
        &self,
        peer: PeerId,
        action: &str,
        receiver: &str,
        from: Beginning,
    ) -> Result<Subscription> {
        let (action, receiver, filter) = (action_name(action)?, receiver_name(receiver)?, None);
        self.ask(host::Subscribe { peer, action, receiver, from, filter }).await
    }

    /// As [`subscribe`](Self::subscribe), to those of its publications that a filter lets through. The peer looks at it.
    pub async fn subscribe_where(
        &self,
        peer: PeerId,
        action: &str,
        receiver: &str,
        filter: Filter,
    ) -> Result<Subscription> {
        let (action, receiver, filter) = (action_name(action)?, receiver_name(receiver)?, Some(filter));
        self.ask(host::Subscribe { peer, action, receiver, from: Beginning::Now, filter }).await
    }

    /// Ends a subscription of this instance.
    pub async fn unsubscribe(&self, peer: PeerId, action: &str, receiver: &str) -> Result<Unsubscribed> {
        let (action, receiver) = (action_name(action)?, receiver_name(receiver)?);
        self.ask(host::Unsubscribe { peer, action, receiver, dry_run: false }).await
    }

    /// Lists who is subscribed to this instance.
    pub async fn subscribers(&self) -> Result<Vec<Subscriber>> {
        self.ask(host::ListSubscribers {}).await
    }

    /// Ends a subscription that a remote instance holds here.
    pub async fn revoke(&self, subscription: SubscriptionId) -> Result<Unsubscribed> {
        self.ask(host::RevokeSubscriber { subscription, dry_run: false }).await
    }

    pub(crate) async fn ask<M: Method>(&self, method: M) -> Result<M::Reply> {
        self.session.call(&method).await.map_err(Failure::from)
    }
}

pub(super) fn action_name(name: &str) -> Result<ActionName> {
    ActionName::new(name).map_err(|error| invalid(name, &error))
}

pub(super) fn json(value: &impl Serialize) -> Result<Raw> {
    to_raw_value(value).map_err(|error| Failure::new(ErrorCode::InvalidInput, format!("not JSON: {error}")))
}

fn receiver_name(name: &str) -> Result<ReceiverName> {
    ReceiverName::new(name).map_err(|error| invalid(name, &error))
}

fn invalid(name: &str, error: &InvalidName) -> Failure {
    Failure::new(ErrorCode::InvalidInput, format!("{name:?} is no name: {error}"))
}
