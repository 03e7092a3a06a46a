use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coattail::id::{CallId, PeerId};
use coattail::name::ActionName;
use coattail::rpc::{Deadline, Session};
use coattail::wire::fate::{Reach, Reaching};
use coattail::wire::host::Entry;
use coattail::wire::peer::{Cancel, ListActions, ListReceivers, Perform, Performed, Publish, Published};
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure, Raw};

use crate::feeds::{Feeds, Sink, Speaker};
use crate::publications::Cause;
use crate::session::Sessions;
use crate::store::{self, Store};

/// What the peer may take longer than its own time limit, for the answer to travel.
const TRAVEL: Duration = Duration::from_secs(2);

/// The actions of peers, with the rights that their tokens give us. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Remote {
    store: Store,
    sessions: Sessions,
    feeds: Feeds,
    timeout: Duration,
    /// The sessions that peers were last called over: a call over one asks neither the database nor the token again.
    // A std mutex: never held over an await.
    open: Arc<Mutex<HashMap<PeerId, Session>>>,
}

/// A call to an action of a peer.
#[derive(Debug)]
pub(crate) struct RemoteCall {
    pub(crate) call: CallId,
    pub(crate) action: ActionName,
    pub(crate) input: Option<Raw>,
    pub(crate) publish: bool,
    /// Absent: the default of the configuration.
    pub(crate) timeout: Option<Duration>,
    /// How long until a worker there has to have begun with it.
    pub(crate) start_timeout: Option<Duration>,
    /// What was being handled when it was asked for.
    pub(crate) cause: Option<Cause>,
    /// Who follows it from its beginning.
    pub(crate) follower: Option<Sink>,
}

impl Remote {
    /// `timeout` is how long a call may take that says nothing else.
    pub(crate) fn new(store: Store, sessions: Sessions, feeds: Feeds, timeout: Duration) -> Self {
        Self { store, sessions, feeds, timeout, open: Arc::default() }
    }

    /// Performs an action of a peer. Dropping the future cancels the call there.
    pub(crate) async fn perform(&self, peer: PeerId, call: RemoteCall) -> Result<Performed, Failure> {
        let RemoteCall { call, action, input, publish, timeout, start_timeout, cause, follower } = call;
        let timeout = timeout.unwrap_or(self.timeout);
        let to_dial = start_timeout.unwrap_or(timeout).min(timeout);
        let (begin, dialled) = (Instant::now(), tokio::time::timeout(to_dial, self.session(peer)).await);
        let session = dialled.unwrap_or_else(|_| {
            let message = format!("peer {peer} was not reached within {to_dial:?}: nothing was done");
            Err(Failure::new(ErrorCode::TimedOut, message))
        })?;
        let timeout_ms = Some(milliseconds(timeout));
        let start_timeout_ms = start_timeout.map(|limit| milliseconds(limit.saturating_sub(begin.elapsed())));
        let follow = follower.as_ref().is_some_and(Sink::follows);
        let deadline = Deadline::new(timeout.saturating_add(TRAVEL));
        // Before the request is sent: what comes back then finds it open.
        let _feed = self.feeds.open(call, Speaker::Peer(session.clone()), deadline.clone(), follower)?;
        let guard = CancelOnDrop { session: &session, call, armed: true };
        let (key, cause) = (None, cause.map(Cause::told));
        let request = Perform { call, action, input, publish, timeout_ms, start_timeout_ms, follow, key, cause };
        let answer = session.call_until(&deadline, &request).await;
        guard.disarm(&answer);
        answer
    }

    /// Publishes a value for an action of a peer.
    pub(crate) async fn publish(&self, peer: PeerId, publish: &Publish) -> Result<Published, Failure> {
        self.session(peer).await?.call_within(self.timeout, publish).await
    }

    /// How far a publication at a peer has got; waits there for news of it.
    pub(crate) async fn reach(&self, peer: PeerId, reach: &Reach) -> Result<Reaching, Failure> {
        let wait = Duration::from_millis(reach.wait_ms.unwrap_or(0));
        self.session(peer).await?.call_within(self.timeout.saturating_add(wait), reach).await
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

    /// A session with a peer, open already or dialled.
    pub(super) async fn session(&self, peer: PeerId) -> Result<Session, Failure> {
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

fn milliseconds(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
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
