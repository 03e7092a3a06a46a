//! Where instances are, as they say themselves once they have proven who they are: addresses are hints, and the key is
//! the peer.

use std::time::Duration;

use coattail::id::IssuerHash;
use coattail::rpc::Session;
use coattail::wire::peer::Whereabouts;
use coattail::wire::{ErrorCode, Failure};

use super::registry::Sessions;
use crate::keys::file::MAX_PEM;
use crate::keys::tls::certificate;
use crate::store::Store;

/// Addresses that an instance may name: each is tried, and a dial takes seconds.
const MAX_ADDRESSES: usize = 16;

/// How long the other side may take to store where we are.
const TELL_LIMIT: Duration = Duration::from_secs(10);

/// Stores where an instance says it is, unless that is known.
pub(super) async fn learn(store: &Store, issuer: IssuerHash, stated: Whereabouts) -> Result<(), Failure> {
    let invalid = |why: &str| Failure::new(ErrorCode::InvalidInput, why);
    let Whereabouts { addresses, certificate: pem } = stated;
    if addresses.len() > MAX_ADDRESSES {
        return Err(invalid("too many addresses"));
    }
    if pem.as_ref().is_some_and(|pem| pem.len() as u64 > MAX_PEM || certificate(pem).is_err()) {
        return Err(invalid("the certificate cannot be read"));
    }
    let known = store.remote(issuer).await?;
    if (&known.addresses, &known.certificate) != (&addresses, &pem) {
        store.set_whereabouts(issuer, addresses, pem).await?;
    }
    Ok(())
}

impl Sessions {
    /// Tells the other end where we are, if it has to be told.
    pub(crate) async fn tell(&self, session: &Session, issuer: IssuerHash) -> Result<(), Failure> {
        let store = self.store();
        let Some(ours) = self.whereabouts() else { return Ok(()) };
        if !store.remote(issuer).await?.untold {
            return Ok(());
        }
        match session.call_within(TELL_LIMIT, ours).await {
            // An older version, which cannot be told.
            Err(failure) if failure.code != ErrorCode::UnknownMethod => Err(failure),
            _ => Ok(store.told(issuer).await?),
        }
    }

    /// The other end of a session says where it is.
    pub(crate) async fn learn(&self, issuer: IssuerHash, stated: Whereabouts) -> Result<(), Failure> {
        learn(self.store(), issuer, stated).await
    }
}
