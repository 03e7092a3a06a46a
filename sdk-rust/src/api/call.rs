use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::Said;
use super::coattail::{Coattail, action_name, json};
use super::followers::Hear;
use crate::Result;
use crate::id::CallId;
use crate::key::Key;
use crate::rpc::Session;
use crate::wire::host::{self, Performed};
use crate::wire::jobs::{Job, StartJob};
use crate::wire::{ErrorCode, Failure, Raw};

/// A call that is being prepared: [`perform`](Self::perform) waits for its result, [`start`](Self::start) makes it a
/// job. What is wrong with its parts is told then.
#[must_use = "nothing is called until it is performed or started"]
pub struct Call<'a> {
    coattail: &'a Coattail,
    action: &'a str,
    input: Option<Result<Raw>>,
    publish: bool,
    timeout: Option<Duration>,
    start_timeout: Option<Duration>,
    key: Option<&'a str>,
    hear: Option<Hear<'a>>,
}

impl<'a> Call<'a> {
    pub(super) fn new(coattail: &'a Coattail, action: &'a str) -> Self {
        let (input, publish, timeout, start_timeout, key, hear) = (None, false, None, None, None, None);
        Self { coattail, action, input, publish, timeout, start_timeout, key, hear }
    }

    /// What the action is given. Without it nothing, which is not `null`.
    pub fn input(mut self, input: &impl Serialize) -> Self {
        self.input = Some(json(input));
        self
    }

    /// Publishes the result, too.
    pub fn publish(mut self) -> Self {
        self.publish = true;
        self
    }

    /// How long it may take; otherwise as long as the daemon's settings say. It begins anew each time the action says
    /// that it is still working.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// How long it may wait until it has begun. If it fails with [`ErrorCode::TimedOut`] for that, nothing was done.
    pub fn start_timeout(mut self, limit: Duration) -> Self {
        self.start_timeout = Some(limit);
        self
    }

    /// Whoever asks again with the same key, of 1 to 255 bytes, gets the outcome of the first time: the action is not
    /// performed twice. Such a call goes on when its future is dropped.
    pub fn key(mut self, key: &'a str) -> Self {
        self.key = Some(key);
        self
    }

    /// Hears what the action says while it runs, in order and before its result. It is called where the future of
    /// [`perform`](Self::perform) is polled. A [job](Self::start) is followed with [`Jobs::follow`](super::Jobs::follow).
    pub fn follow(mut self, hear: impl FnMut(Said) + Send + 'a) -> Self {
        self.hear = Some(Box::new(hear));
        self
    }

    /// Performs the action, and waits until it has ended. Dropping the future cancels the call, unless it has a key.
    pub async fn perform(mut self) -> Result<Performed> {
        let (coattail, call, hear) = (self.coattail, CallId::new(), self.hear.take());
        let (key, is_keyed) = (key(self.key)?, self.key.is_some());
        let perform = host::Perform {
            call: Some(call),
            peer: coattail.peer,
            action: action_name(self.action)?,
            input: self.input.transpose()?,
            publish: self.publish,
            timeout_ms: self.timeout.map(milliseconds),
            start_timeout_ms: self.start_timeout.map(milliseconds),
            follow: hear.is_some(),
            key,
            parent: coattail.parent,
        };
        let mut guard = CancelOnDrop { session: &coattail.session, call, armed: !is_keyed };
        let done = coattail.followers.during(call, hear, coattail.ask(perform)).await;
        guard.armed = false;
        done
    }

    /// Stores the call as a job, which is performed whatever becomes of this program. It is on disk when this returns.
    pub async fn start(self) -> Result<Job> {
        let coattail = self.coattail;
        let start = StartJob {
            peer: coattail.peer,
            action: action_name(self.action)?,
            input: self.input.transpose()?,
            publish: self.publish,
            timeout_ms: self.timeout.map(milliseconds),
            start_timeout_ms: self.start_timeout.map(milliseconds),
            key: key(self.key)?,
            parent: coattail.parent,
        };
        coattail.ask(start).await
    }
}

impl fmt::Debug for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("action", &self.action).finish_non_exhaustive()
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

fn key(text: Option<&str>) -> Result<Option<Key>> {
    let parse = |text: &str| text.parse().map_err(|error| Failure::of_error(ErrorCode::InvalidInput, &error));
    text.map(parse).transpose()
}

pub(super) fn milliseconds(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
}
