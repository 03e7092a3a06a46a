use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::to_raw_value;

use crate::Result;
use crate::id::{CallId, PeerId};
use crate::name::{ActionName, InvalidName, ReceiverName};
use crate::rpc::Session;
use crate::wire::host::{self, Entry, Peer, Performed, Subscriber, Subscription, Unsubscribed};
use crate::wire::peer::Published;
use crate::wire::{ErrorCode, Failure, Method, Raw};

/// The Coattail API, on this instance or [`at`](Self::at) a peer.
///
/// It acts with the rights of the instance itself; at a peer, with what the peer's token allows.
#[derive(Debug, Clone)]
pub struct Coattail {
    session: Session,
    /// The call that asks: carries cause and hops on.
    parent: CallId,
    peer: Option<PeerId>,
}

impl Coattail {
    pub(super) fn new(session: Session, parent: CallId) -> Self {
        Self { session, parent, peer: None }
    }

    /// The same at a peer: for performing, publishing and listing.
    #[must_use]
    pub fn at(&self, peer: PeerId) -> Self {
        Self { peer: Some(peer), ..self.clone() }
    }

    /// Lists the actions that may be used.
    pub async fn actions(&self) -> Result<Vec<Entry>> {
        self.ask(host::ListActions { peer: self.peer, schemas: false }).await
    }

    /// Lists the receivers.
    pub async fn receivers(&self) -> Result<Vec<Entry>> {
        self.ask(host::ListReceivers { peer: self.peer, schemas: false }).await
    }

    /// Performs an action and returns its result. Dropping the future cancels the call.
    pub async fn perform<O: DeserializeOwned>(&self, action: &str, input: &impl Serialize) -> Result<O> {
        let done = self.start(action, input, false).await?;
        let result = done.result.as_ref().map_or("null", |raw| raw.get());
        serde_json::from_str(result).map_err(|error| {
            Failure::new(ErrorCode::Failed, format!("the result of `{action}` is not what was expected: {error}"))
        })
    }

    /// Performs an action and publishes its result. Dropping the future cancels the call.
    pub async fn perform_and_publish(&self, action: &str, input: &impl Serialize) -> Result<Performed> {
        self.start(action, input, true).await
    }

    /// Publishes a value for an action without performing it. It is on disk when this returns.
    pub async fn publish(&self, action: &str, value: &impl Serialize) -> Result<Published> {
        let (action, input) = (self.action(action)?, json(value)?);
        self.ask(host::Publish { peer: self.peer, action, input, parent: Some(self.parent) }).await
    }

    /// Lists the peers of this instance.
    pub async fn peers(&self) -> Result<Vec<Peer>> {
        self.ask(host::ListPeers {}).await
    }

    /// Subscribes a receiver of this instance to an action of a peer.
    pub async fn subscribe(&self, peer: PeerId, action: &str, receiver: &str) -> Result<Subscription> {
        let (action, receiver) = (self.action(action)?, self.receiver(receiver)?);
        self.ask(host::Subscribe { peer, action, receiver }).await
    }

    /// Ends a subscription of this instance.
    pub async fn unsubscribe(&self, peer: PeerId, action: &str, receiver: &str) -> Result<Unsubscribed> {
        let (action, receiver) = (self.action(action)?, self.receiver(receiver)?);
        self.ask(host::Unsubscribe { peer, action, receiver, dry_run: false }).await
    }

    /// Lists who is subscribed to this instance.
    pub async fn subscribers(&self) -> Result<Vec<Subscriber>> {
        self.ask(host::ListSubscribers {}).await
    }

    async fn start(&self, action: &str, input: &impl Serialize, publish: bool) -> Result<Performed> {
        let call = CallId::new();
        let perform = host::Perform {
            call: Some(call),
            peer: self.peer,
            action: self.action(action)?,
            input: Some(json(input)?),
            publish,
            timeout_ms: None,
            key: None,
            start_timeout_ms: None,
            follow: false,
            parent: Some(self.parent),
        };
        let mut guard = CancelOnDrop { session: &self.session, call, armed: true };
        let done = self.ask(perform).await;
        guard.armed = false;
        done
    }

    async fn ask<M: Method>(&self, method: M) -> Result<M::Reply> {
        self.session.call(&method).await.map_err(Failure::from)
    }

    fn action(&self, name: &str) -> Result<ActionName> {
        ActionName::new(name).map_err(|error| invalid(name, &error))
    }

    fn receiver(&self, name: &str) -> Result<ReceiverName> {
        ReceiverName::new(name).map_err(|error| invalid(name, &error))
    }
}

/// Tells the daemon that nobody waits for a call any more.
struct CancelOnDrop<'a> {
    session: &'a Session,
    call: CallId,
    armed: bool,
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.session.try_notify(&host::Cancel { call: self.call });
        }
    }
}

fn json(value: &impl Serialize) -> Result<Raw> {
    to_raw_value(value).map_err(|error| Failure::new(ErrorCode::InvalidInput, format!("not JSON: {error}")))
}

fn invalid(name: &str, error: &InvalidName) -> Failure {
    Failure::new(ErrorCode::InvalidInput, format!("{name:?} is no name: {error}"))
}
