use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::source::Source;
use super::sources::{Refusal, Sources};
use super::waiting::{Place, WaitingRoom};
use crate::config::Limits;

/// Decides about connections before anything is spent on them.
pub(crate) struct Gate {
    sources: Arc<Sources>,
    room: WaitingRoom,
    /// What connections in the room and those that were evicted and are not yet closed may take together.
    handling: Arc<Semaphore>,
}

/// Leave to accept one more connection.
pub(crate) struct Leave {
    _permit: OwnedSemaphorePermit,
}

/// A connection that was let in to authenticate. Dropped when the connection has ended.
pub(crate) struct Guest {
    sources: Arc<Sources>,
    source: Source,
    evicted: CancellationToken,
    // Given up once it has authenticated. Never held over an await.
    waiting: Mutex<Option<(Place, Leave)>>,
}

impl Gate {
    pub(crate) fn new(limits: &Limits) -> Self {
        let places = limits.unauthenticated_connections;
        Self {
            sources: Arc::new(Sources::new(limits)),
            room: WaitingRoom::new(places),
            handling: Arc::new(Semaphore::new(2 * places)),
        }
    }

    /// Waits until one more connection can be handled: overload waits in the kernel, and not in our memory. Who only
    /// waits does not hold it up, since he is evicted.
    pub(crate) async fn leave(&self) -> Leave {
        Leave { _permit: self.handling.clone().acquire_owned().await.expect("never closed") }
    }

    pub(crate) fn enter(&self, leave: Leave, address: IpAddr) -> Result<Guest, Refusal> {
        let source = Source::of(address);
        self.sources.enter(source)?;
        let place = self.room.enter(source);
        Ok(Guest {
            sources: self.sources.clone(),
            source,
            evicted: place.evicted.clone(),
            waiting: Mutex::new(Some((place, leave))),
        })
    }
}

impl Guest {
    /// Cancelled when its place is needed for somebody else, unless it has authenticated by then.
    pub(crate) fn evicted(&self) -> &CancellationToken {
        &self.evicted
    }

    /// Its handshake failed in a way that honest programs seldom do.
    pub(crate) fn failed(&self) {
        self.sources.failed(self.source);
    }

    /// Whether it has not authenticated.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// It is a stranger no more.
    pub(crate) fn authenticated(&self) {
        self.sources.succeeded(self.source);
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.sources.leave(self.source);
    }
}
