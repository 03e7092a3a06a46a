use std::time::Duration;

use coattail::id::{CallId, PublicationId};
use coattail::name::{ActionName, ReceiverName};
use coattail::wire::plugin::{Kind, Source};
use coattail::wire::{Failure, Raw};
use tokio::time::Instant;

use super::call::Outcome;
use super::handle::stopping;
use super::{PerformCall, PluginId, Plugins, ReceiveCall, Settings};
use crate::feeds::Sink;

/// One test of a plugin.
#[derive(Debug)]
pub struct Trial {
    /// Which one.
    pub id: PluginId,
    /// Names the call.
    pub call: CallId,
    /// What to give to it.
    pub input: Option<Raw>,
    /// Where it is said to come from, for a receiver.
    pub source: Option<Source>,
    /// How long it may take; the sidecar's limit holds all the same.
    pub timeout: Option<Duration>,
    /// Who follows it.
    pub follower: Option<Sink>,
}

/// What came of it.
#[derive(Debug)]
pub struct Tried {
    /// How long loading took, if there was something to load.
    pub load: Option<Duration>,
    /// How long the call took, if it came to that.
    pub call: Option<Duration>,
    /// What it returned, or why it failed.
    pub outcome: Outcome,
}

impl Plugins {
    /// Runs the present files of a plugin once, in a worker of its own: beside the pool, with everything else as for any
    /// other call. Dropping the future ends it.
    ///
    /// # Errors
    /// `NotFound`, `ShuttingDown`: nothing was started.
    pub async fn test(&self, trial: Trial) -> Result<Tried, Failure> {
        let Trial { id, call, input, source, timeout, follower } = trial;
        let shared = &self.shared;
        if shared.stopping.is_cancelled() {
            return Err(stopping(&id));
        }
        super::discover::look_for(&shared.settings, &id)?;
        // It ends with this future, and with the calls of the daemon.
        let end = shared.closing.child_token();
        let _guard = end.clone().drop_guard();
        let settings = Settings::clone(&shared.settings);
        let issuer = settings.issuer;
        let (alone, run) = Self::new(settings, shared.host.clone(), end.clone());
        // Whoever ends the workers waits for it.
        shared.workers.spawn(run);

        let started = Instant::now();
        let load = match alone.warm(id.kind, &id.name).await {
            Ok(has_worker) => has_worker.then(|| started.elapsed()),
            Err(failure) => return Ok(Tried { load: None, call: None, outcome: Err(failure) }),
        };
        let started = Instant::now();
        let outcome = match id.kind {
            Kind::Action => {
                let call = PerformCall {
                    call,
                    input,
                    caller: None,
                    timeout,
                    start_timeout: None,
                    follower,
                    cancel: end,
                    begin: None,
                };
                alone.perform(&ActionName::new(&id.name)?, call).await
            }
            Kind::Receiver => {
                let input = input.unwrap_or_else(|| Raw::from(serde_json::value::RawValue::NULL.to_owned()));
                let source = source.unwrap_or_else(|| first(issuer, &id.name));
                let call = ReceiveCall { call, input, source, timeout, follower, cancel: end };
                alone.receive(&ReceiverName::new(&id.name)?, call).await.map(|()| None)
            }
        };
        let call = started.elapsed();
        // What it still prints while it ends belongs to it, too.
        alone.shutdown(Duration::ZERO).await;
        Ok(Tried { load, call: Some(call), outcome })
    }
}

/// A publication of this instance itself, of an action that is called like the receiver.
fn first(issuer: coattail::id::IssuerHash, name: &str) -> Source {
    Source {
        id: PublicationId::new(),
        issuer,
        action: name.to_owned(),
        sequence: 1,
        time: jiff::Timestamp::now().as_millisecond(),
        hops: 0,
        attempt: 1,
    }
}
