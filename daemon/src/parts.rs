use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use coattail::address::PeerAddress;
use coattail::wire::Failure;
use coattail::wire::control::ServiceStatus;
use coattail::wire::doctor::Disk;
use tokio_util::sync::CancellationToken;

use crate::access::{Keys, Peers, Tokens, Validations};
use crate::actions::{Actions, Calls, Jobs, Remote};
use crate::audit::Audit;
use crate::config::Limits;
use crate::feeds::Feeds;
use crate::plugins::{Journals, Plugins};
use crate::publications::{
    Causes, DeadLetters, History, Inbox, PublisherSide, Reaches, Schedule, SubscriberSide, Subscriptions, Traces, stuck,
};
use crate::session::Sessions;
use crate::store::{self, Store};

/// What the handlers of the tables call.
pub(crate) struct Parts {
    pub(crate) instance: PathBuf,
    pub(crate) limits: Limits,
    pub(crate) store: Store,
    pub(crate) audit: Audit,
    pub(crate) sessions: Sessions,
    pub(crate) plugins: Plugins,
    pub(crate) feeds: Feeds,
    pub(crate) journals: Journals,
    pub(crate) actions: Actions,
    pub(crate) remote: Remote,
    pub(crate) calls: Calls,
    pub(crate) jobs: Jobs,
    pub(crate) causes: Causes,
    pub(crate) history: History,
    pub(crate) reaches: Reaches,
    pub(crate) traces: Traces,
    pub(crate) schedule: Schedule,
    pub(crate) inbox: Inbox,
    pub(crate) dead_letters: DeadLetters,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) publisher: PublisherSide,
    pub(crate) subscriber: SubscriberSide,
    pub(crate) tokens: Tokens,
    pub(crate) validations: Validations,
    pub(crate) peers: Peers,
    pub(crate) keys: Keys,
    /// Cancelled by whoever wants the service to stop.
    pub(crate) stop: CancellationToken,
    /// Cancelled when a key was replaced: the service opens the instance anew.
    pub(crate) renew: CancellationToken,
    pub(crate) started: jiff::Timestamp,
    /// Where it listens, once it does.
    pub(crate) address: Arc<OnceLock<PeerAddress>>,
}

impl Parts {
    pub(crate) async fn status(&self) -> Result<ServiceStatus, Failure> {
        let restored = self.store.restored().await?.and_then(|time| jiff::Timestamp::from_millisecond(time).ok());
        Ok(ServiceStatus {
            instance: self.instance.display().to_string(),
            issuer: self.tokens.issuer(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            address: self.address.get().cloned(),
            started: self.started.to_string(),
            sessions: self.sessions.count(),
            restored: restored.map(|time| time.to_string()),
            disk: Some(self.disk().await?),
            stuck: stuck(&self.store, jiff::Timestamp::now()).await?,
            counts: self.store.counts().await?,
        })
    }

    async fn disk(&self) -> Result<Disk, Failure> {
        let store::Disk { free, reserve, refusal } = self.store.disk().await?;
        let hint = refusal.as_ref().and_then(|error| error.hint()).map(str::to_owned);
        Ok(Disk { free, reserve, refusal: refusal.map(|error| error.to_string()), hint })
    }
}
