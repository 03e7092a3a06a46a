use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coattail::id::{CallId, PeerId};
use coattail::name::ActionName;
use coattail::rpc::Session;
use coattail::wire::host::Entry;
use coattail::wire::peer::{Cancel, ListActions, ListReceivers, Perform, Performed, Publish, Published};
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure, Raw};

use crate::session::Sessions;
use crate::store::{self, Store};

/// What the peer may take longer than its own time limit, for the answer to travel.
const TRAVEL: Duration = Duration::from_secs(2);

/// The actions of peers, with the rights that their tokens give us. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Remote {
    store: Store,
    sessions: Sessions,
    timeout: Duration,
    /// The sessions that peers were last called over: a call over one asks neither the database nor the token again.
    // A std mutex: never held over an await.
    open: Arc<Mutex<HashMap<PeerId, Session>>>,
}

impl Remote {
    /// `timeout` is how long a call may take that says nothing else.
    pub(crate) fn new(store: Store, sessions: Sessions, timeout: Duration) -> Self {
        Self { store, sessions, timeout, open: Arc::default() }
    }

    /// Performs an action of a peer. Dropping the future cancels the call there.
    pub(crate) async fn perform(
        &self,
        peer: PeerId,
        call: CallId,
        action: ActionName,
        input: Option<Raw>,
        publish: bool,
        timeout: Option<Duration>,
    ) -> Result<Performed, Failure> {
        let timeout = timeout.unwrap_or(self.timeout);
        let dialled = tokio::time::timeout(timeout, self.session(peer)).await;
        let session = dialled.unwrap_or_else(|_| {
            Err(Failure::new(ErrorCode::TimedOut, format!("peer {peer} was not reached within {timeout:?}")))
        })?;
        let timeout_ms = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        let guard = CancelOnDrop { session: &session, call, armed: true };
        let request = Perform { call, action, input, publish, timeout_ms };
        let answer = session.call_within(timeout.saturating_add(TRAVEL), &request).await;
        guard.disarm(&answer);
        answer
    }

    /// Publishes a value for an action of a peer.
    pub(crate) async fn publish(&self, peer: PeerId, action: ActionName, input: Raw) -> Result<Published, Failure> {
        self.session(peer).await?.call_within(self.timeout, &Publish { action, input }).await
    }

    /// What a peer offers to us.
    pub(crate) async fn list(&self, peer: PeerId, kind: Kind, schemas: bool) -> Result<Vec<Entry>, Failure> {
        let session = self.session(peer).await?;
        match kind {
            Kind::Action => {
                let actions = session.call_within(self.timeout, &ListActions { schemas }).await?;
                Ok(actions
                    .into_iter()
                    .map(|action| Entry {
                        name: action.name.to_string(),
                        kind,
                        performable: action.performable,
                        publishable: action.publishable,
                        subscribable: action.subscribable,
                        runtime: None,
                        description: action.description,
                        input: action.input,
                        output: action.output,
                        problem: None,
                        state: None,
                        reason: None,
                    })
                    .collect())
            }
            Kind::Receiver => {
                let receivers = session.call_within(self.timeout, &ListReceivers {}).await?;
                Ok(receivers
                    .into_iter()
                    .map(|name| Entry {
                        name: name.to_string(),
                        kind,
                        performable: false,
                        publishable: false,
                        subscribable: false,
                        runtime: None,
                        description: None,
                        input: None,
                        output: None,
                        problem: None,
                        state: None,
                        reason: None,
                    })
                    .collect())
            }
        }
    }

    async fn session(&self, peer: PeerId) -> Result<Session, Failure> {
        let open = self.open().get(&peer).filter(|session| !session.is_closed()).cloned();
        if let Some(session) = open {
            return Ok(session);
        }
        let row = self.row(peer).await?;
        let session = self.sessions.get_or_dial(&self.sessions.target(&row.jwt, row.issuer).await?).await?;
        {
            let mut open = self.open();
            open.retain(|_, session| !session.is_closed());
            open.insert(peer, session.clone());
        }
        // Order: first the entry, then the look. Whoever removes a peer deletes the row, then closes its session: either
        // we see that the row is gone, or the session that we keep is closed with it.
        self.row(peer).await.inspect_err(|_| session.close())?;
        Ok(session)
    }

    async fn row(&self, peer: PeerId) -> Result<store::Peer, Failure> {
        self.store.peer(peer).await?.ok_or_else(|| {
            Failure::new(ErrorCode::NotFound, format!("there is no peer {peer}"))
                .hint("`coattail peer list` shows them")
        })
    }

    fn open(&self) -> MutexGuard<'_, HashMap<PeerId, Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the peer that nobody waits for the call any more.
struct CancelOnDrop<'a> {
    session: &'a Session,
    call: CallId,
    armed: bool,
}

impl CancelOnDrop<'_> {
    /// The peer has ended the call itself, unless it did not answer in time.
    fn disarm(mut self, answer: &Result<Performed, Failure>) {
        self.armed = matches!(answer, Err(failure) if failure.code == ErrorCode::TimedOut);
    }
}

impl Drop for CancelOnDrop<'_> {
    fn drop(&mut self) {
        if self.armed {
            // If there is no room to say it, the peer's own time limit ends the call.
            self.session.try_notify(&Cancel { call: self.call });
        }
    }
}
