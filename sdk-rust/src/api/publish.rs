use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Coattail;
use super::call::milliseconds;
use super::coattail::{action_name, json};
use crate::Result;
use crate::key::Key;
use crate::recipient::Recipient;
use crate::wire::host;
use crate::wire::peer::Published;

/// A publication that is being prepared: made by [`Coattail::publication`].
#[must_use = "nothing is published before `send`"]
pub struct Publish<'a> {
    coattail: &'a Coattail,
    action: &'a str,
    id: Option<Key>,
    ttl: Option<Duration>,
    to: Option<Vec<Recipient>>,
}

impl<'a> Publish<'a> {
    pub(super) fn new(coattail: &'a Coattail, action: &'a str) -> Self {
        Self { coattail, action, id: None, ttl: None, to: None }
    }

    /// What the caller calls it: who publishes the same again with the same id gets the first answer, and nothing is
    /// stored twice.
    pub fn id(mut self, id: Key) -> Self {
        self.id = Some(id);
        self
    }

    /// For how long somebody wants it: after that it is not delivered, and no receiver is called with it. Not at a peer.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Only these subscribers get it. Not at a peer.
    pub fn to(mut self, subscribers: impl IntoIterator<Item = Recipient>) -> Self {
        self.to = Some(subscribers.into_iter().collect());
        self
    }

    /// Publishes a value. It is on disk when this returns.
    pub async fn send(self, value: &impl Serialize) -> Result<Published> {
        let Self { coattail, action, id, ttl, to } = self;
        let publish = host::Publish {
            peer: coattail.peer,
            action: action_name(action)?,
            input: json(value)?,
            id,
            ttl_ms: ttl.map(milliseconds),
            to,
            parent: coattail.parent,
        };
        coattail.ask(publish).await
    }
}

impl fmt::Debug for Publish<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publish").field("action", &self.action).finish_non_exhaustive()
    }
}
