use std::time::{Duration, Instant};

use coattail::address::PeerAddress;
use coattail::wire::Failure;

use super::registry::Sessions;
use super::target::Target;
use crate::transport::Dialer;

impl Sessions {
    /// Logs in at one address of a peer, beside the session that there may be, and ends that at once. Returns how long
    /// it took.
    pub(crate) async fn try_address(&self, target: &Target, address: &PeerAddress) -> Result<Duration, Failure> {
        let dialer = Dialer { addresses: vec![address.clone()], pins: target.dialer.pins.clone() };
        let started = Instant::now();
        let session = super::open::open(self.clone(), Target { dialer, ..target.clone() }).await?;
        let took = started.elapsed();
        session.close();
        Ok(took)
    }
}
