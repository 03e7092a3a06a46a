use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use coattail::id::{IssuerHash, PublicationId};
use coattail::wire::fate::TracedPublication;
use coattail::wire::trace::{Known, Trace, TracePublication, Traced};
use coattail::wire::{ErrorCode, Failure};
use tokio::time::Instant;

use crate::publications::subscribe::PublisherSide;
use crate::session::Sessions;
use crate::store::{Listed, Outcome, Peer, Store};

/// Characters of an id that have to be given: its time, to the second or so.
const PREFIX: usize = 8;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Publications in one trace: as many as a person can look at, and more.
const MOST_PUBLICATIONS: u32 = 256;

/// What was published while one publication was handled, of which an instance tells.
pub(super) const MOST_MADE: u32 = 64;

/// Subscriptions of one publication that are looked at.
pub(super) const MOST_SUBSCRIPTIONS: usize = 64;

/// Traces publications. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Traces {
    pub(super) issuer: IssuerHash,
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    pub(super) publisher: PublisherSide,
}

/// A publication, and who has made it.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) issuer: IssuerHash,
    pub(super) publication: TracedPublication,
}

/// One trace that is being made.
pub(super) struct Walk {
    pub(super) end: Instant,
    /// Those who gave us tokens.
    pub(super) peers: Vec<Peer>,
    left: AtomicU32,
    pub(super) cut: AtomicBool,
    // Held for an operation of the set, never over an await.
    seen: Mutex<HashSet<PublicationId>>,
}

impl Traces {
    pub(crate) fn new(issuer: IssuerHash, store: Store, sessions: Sessions, publisher: PublisherSide) -> Self {
        Self { issuer, store, sessions, publisher }
    }

    /// What led to a publication and what it has led to, as far as it is known here or told by others.
    pub(crate) async fn trace(&self, request: TracePublication) -> Result<Trace, Failure> {
        let id = self.resolve(request.id).await?;
        let walk = Walk {
            end: Instant::now() + PATIENCE,
            peers: self.store.peers().await?,
            left: AtomicU32::new(MOST_PUBLICATIONS),
            cut: AtomicBool::new(false),
            seen: Mutex::default(),
        };
        let found = self.find(&walk, id, None).await?.map_err(|known| nowhere(id, known))?;
        let causes = self.causes(&walk, &found).await?;
        let publication = self.results(&walk, found, 0).await?;
        Ok(Trace { causes, publication, cut: walk.cut.load(Ordering::Relaxed) })
    }

    async fn resolve(&self, text: String) -> Result<PublicationId, Failure> {
        if let Ok(id) = text.parse() {
            return Ok(id);
        }
        let hint = "`coattail publications list` shows the ids of what was published here";
        let usage = |message| Err(Failure::new(ErrorCode::InvalidInput, message).hint(hint));
        let text = text.to_lowercase();
        if text.len() < PREFIX || !text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-') {
            return usage(format!("`{text}` is neither an id nor the first {PREFIX} characters of one"));
        }
        match self.store.ids_that_begin(text.clone(), 2).await?[..] {
            [id] => Ok(id),
            [] => {
                Err(Failure::new(ErrorCode::NotFound, format!("nothing is known of a publication `{text}…`"))
                    .hint(hint))
            }
            _ => usage(format!("several publications begin with `{text}`")),
        }
    }

    /// What is known here of a publication that was made here, or has come here.
    pub(super) async fn find_here(&self, id: PublicationId) -> Result<Option<Found>, Failure> {
        if let Some(own) = self.store.listed(id).await? {
            return Ok(Some(Found { issuer: self.issuer, publication: told(own) }));
        }
        Ok(self.store.outcomes(id, None).await?.into_iter().next().map(received))
    }
}

impl Walk {
    /// Whether there is room for one more publication, and it was not there before.
    pub(super) fn enter(&self, id: PublicationId) -> bool {
        let is_new = self.seen.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        let has_room = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
        if !has_room {
            self.cut.store(true, Ordering::Relaxed);
        }
        is_new && has_room
    }
}

impl Found {
    /// As it is shown.
    pub(super) fn shown(self, here: IssuerHash) -> Traced {
        let Self { issuer, publication: TracedPublication { id, action, sequence, time, hops, cause: _ } } = self;
        Traced {
            id,
            known: Known::Known,
            issuer: Some(issuer),
            here: issuer == here,
            action: Some(action),
            sequence: Some(sequence),
            time: Some(time),
            hops: Some(hops),
            at: Vec::new(),
            more: 0,
        }
    }
}

fn received(outcome: Outcome) -> Found {
    let Outcome { publication: id, publisher, action, sequence, time, hops, cause, .. } = outcome;
    Found { issuer: publisher, publication: TracedPublication { id, action, sequence, time, hops, cause } }
}

fn nowhere(id: PublicationId, known: Known) -> Failure {
    match known {
        Known::NotAllowed => Failure::new(ErrorCode::NotPermitted, format!("no peer may tell of publication {id}"))
            .hint("ask for a token that allows to subscribe to its action"),
        Known::Unreachable => Failure::new(
            ErrorCode::Unreachable,
            format!("nothing is known here of publication {id}, and not all peers could be asked"),
        ),
        Known::Known | Known::Unknown => {
            Failure::new(ErrorCode::NotFound, format!("nothing is known of publication {id}"))
                .hint("what is past its retention is gone; `coattail publications list` shows what is kept")
        }
    }
}

/// As an instance tells of one of its own.
pub(super) fn told(listed: Listed) -> TracedPublication {
    let Listed { id, action, sequence, time, hops, cause, .. } = listed;
    TracedPublication { id, action, sequence, time, hops, cause }
}
