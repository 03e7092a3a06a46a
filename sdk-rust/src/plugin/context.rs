use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::api::{Coattail, Followers};
use crate::id::{CallId, IssuerHash};
use crate::rpc::Session;
use crate::wire::plugin::Source;
use crate::wire::{Failure, host};

/// The circumstances of a call, and what it may do. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Context {
    pub(super) session: Session,
    pub(super) followers: Arc<Followers>,
    pub(super) call: CallId,
    pub(super) caller: Option<IssuerHash>,
    pub(super) source: Option<Source>,
    pub(super) cancel: CancellationToken,
}

impl Context {
    /// Names this call.
    pub fn call(&self) -> CallId {
        self.call
    }

    /// Who asked for it; `None` if this instance itself did.
    pub fn caller(&self) -> Option<IssuerHash> {
        self.caller
    }

    /// In a receiver: where the publication came from.
    pub fn source(&self) -> Option<&Source> {
        self.source.as_ref()
    }

    /// Writes to the daemon's log.
    pub fn log(&self) -> Log<'_> {
        Log { context: self }
    }

    /// Tells the caller how far it is: `fraction` from 0 to 1.
    pub fn progress(&self, fraction: impl Into<Option<f64>>, message: impl fmt::Display) {
        let (fraction, message) = (fraction.into(), Some(message.to_string()));
        self.session.try_notify(&host::Progress { call: self.call, fraction, message });
    }

    /// Says that the call is still worked on: its time limit begins anew, with its whole length, also for whoever waits
    /// for it. Returns when the daemon has heard it.
    pub async fn working(&self) -> Result<()> {
        self.session.call(&host::Working { call: self.call }).await.map(|_| ()).map_err(Failure::from)
    }

    /// Resolves when the call is no longer wanted. Finish soon: a few seconds later the handler is dropped.
    pub async fn cancelled(&self) {
        self.cancel.cancelled().await;
    }

    /// Whether the call is no longer wanted.
    pub fn is_cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }

    /// To hand on to what can be cancelled.
    pub fn cancellation(&self) -> &CancellationToken {
        &self.cancel
    }

    /// What this call may ask of Coattail: perform, publish, subscribe, and so on. It counts as a consequence of the call.
    pub fn coattail(&self) -> Coattail {
        Coattail::new(self.session.clone(), self.followers.clone(), Some(self.call))
    }
}

/// Writes log lines that name the call. What finds no room on the way to the daemon is dropped.
#[derive(Debug)]
pub struct Log<'a> {
    context: &'a Context,
}

impl Log<'_> {
    /// For whoever looks for a fault.
    pub fn debug(&self, message: impl fmt::Display) {
        self.write(host::Level::Debug, message);
    }

    /// What happens.
    pub fn info(&self, message: impl fmt::Display) {
        self.write(host::Level::Info, message);
    }

    /// Not as it should be.
    pub fn warn(&self, message: impl fmt::Display) {
        self.write(host::Level::Warn, message);
    }

    /// Something failed.
    pub fn error(&self, message: impl fmt::Display) {
        self.write(host::Level::Error, message);
    }

    fn write(&self, level: host::Level, message: impl fmt::Display) {
        let call = Some(self.context.call);
        self.context.session.try_notify(&host::Log { call, level, message: message.to_string() });
    }
}
