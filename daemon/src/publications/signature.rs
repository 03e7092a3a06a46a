use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coattail::id::IssuerHash;
use coattail::wire::{ErrorCode, Failure, Publication};
use sha2::{Digest as _, Sha256};

use crate::keys::{Domain, Identity, PublicIdentity};
use crate::store::merkle::{Hash, leaf_hash, root_from_path};
use crate::store::{Signer, Store};

/// Separates these signatures from all others that the same key makes.
const DOMAIN: Domain = Domain::new("coattail publication group v1");

/// The longest inclusion path: a group has fewer than 2^32 leaves.
const MAX_PATH: usize = 32;

/// Signs the groups of what an instance publishes.
pub(crate) fn signer(identity: &Arc<Identity>) -> Signer {
    let (issuer, identity) = (identity.issuer(), identity.clone());
    Signer { issuer, sign: Arc::new(move |size, root| identity.sign(DOMAIN, &signed_bytes(size, root))) }
}

fn signed_bytes(size: u32, root: &Hash) -> [u8; 36] {
    let mut bytes = [0; 36];
    bytes[..4].copy_from_slice(&size.to_be_bytes());
    bytes[4..].copy_from_slice(root);
    bytes
}

/// The keys of one publisher: the one that he has proven, and those that it has replaced. What was published before
/// a key was replaced is still signed by it.
pub(super) struct Former<'a> {
    store: &'a Store,
    present: PublicIdentity,
    /// The last one that was looked up.
    last: PublicIdentity,
}

impl<'a> Former<'a> {
    pub(super) fn new(store: &'a Store, present: PublicIdentity) -> Self {
        Self { store, last: present.clone(), present }
    }

    /// The key of this issuer, if it is or was the publisher's; else the present one, under which nothing of that
    /// issuer verifies.
    pub(super) async fn key(&mut self, issuer: IssuerHash) -> Result<&PublicIdentity, Failure> {
        if self.last.issuer() != issuer {
            self.last = self.find(issuer).await?.unwrap_or_else(|| self.present.clone());
        }
        Ok(&self.last)
    }

    async fn find(&self, issuer: IssuerHash) -> Result<Option<PublicIdentity>, Failure> {
        let Some(first) = self.store.followed(issuer).await? else { return Ok(None) };
        let mut at = first.new;
        for _ in 0..MAX_ROTATIONS {
            if at == self.present.issuer() {
                return Ok(PublicIdentity::from_pem(&first.old_key).ok());
            }
            let Some(next) = self.store.followed(at).await? else { return Ok(None) };
            at = next.new;
        }
        Ok(None)
    }
}

/// How often a publisher may have replaced his key since he published something that is still delivered.
const MAX_ROTATIONS: usize = 64;

/// Verifies publications of one publisher. The members of a group share a signature, which is checked once.
#[derive(Debug, Default)]
pub(super) struct Verifier {
    // The last signature that held. A std mutex: it is never held over an await.
    last: Mutex<Option<([u8; 36], Vec<u8>)>>,
}

impl Verifier {
    /// Whether the publisher signed this publication, to the byte.
    pub(super) fn verify(&self, publisher: &PublicIdentity, publication: &Publication) -> Result<(), Failure> {
        let refused = |why: &str| {
            Failure::new(
                ErrorCode::InvalidInput,
                format!("publication {} of `{}`: {why}", publication.sequence, publication.action),
            )
        };
        if publication.issuer != publisher.issuer() {
            return Err(refused("it is not of the instance that delivers it"));
        }
        let proof = &publication.proof;
        if proof.path.len() > MAX_PATH {
            return Err(refused("its inclusion path is too long"));
        }
        let decode = |text: &String| STANDARD.decode(text).ok().and_then(|bytes| Hash::try_from(bytes).ok());
        let path: Option<Vec<Hash>> = proof.path.iter().map(decode).collect();
        let path = path.ok_or_else(|| refused("its inclusion path is garbled"))?;
        let payload = Sha256::digest(publication.payload.get().as_bytes()).into();
        let Publication { issuer, action, id, time, expires, .. } = publication;
        let leaf = leaf_hash(issuer, action, publication.place(), id, *time, &payload, *expires);
        let root = root_from_path(leaf, proof.index, proof.size, &path)
            .ok_or_else(|| refused("its inclusion path does not fit its group"))?;
        let signature = STANDARD.decode(&proof.signature).map_err(|_| refused("its signature is garbled"))?;
        let signed = signed_bytes(proof.size, &root);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_some_and(|(bytes, held)| *bytes == signed && *held == signature) {
            return Ok(());
        }
        publisher.verify(DOMAIN, &signed, &signature).map_err(|_| refused("its signature does not hold"))?;
        *last = Some((signed, signature));
        Ok(())
    }
}
