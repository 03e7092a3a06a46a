use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coattail::id::IssuerHash;
use coattail::wire::{ErrorCode, Failure, GroupProof, Publication};
use sha2::{Digest as _, Sha256};

use crate::keys::{Domain, Identity, PublicIdentity};
use crate::store::merkle::{Hash, leaf_hash, root_from_leaves};
use crate::store::{Signer, Store};

/// Separates these signatures from all others that the same key makes.
const DOMAIN: Domain = Domain::new("coattail publication group v1");

/// Hashes in a proof, at the most, for each of its leaves: a group has fewer than 2^32.
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
    /// Whether the publisher signed these publications, to the byte.
    pub(super) fn verify(
        &self,
        publisher: &PublicIdentity,
        publications: &[Publication],
        proof: &GroupProof,
    ) -> Result<(), Failure> {
        let refused = |why: &str| refused(publications, why);
        if publications.iter().any(|publication| publication.issuer != publisher.issuer()) {
            return Err(refused("it is not of the instance that delivers it"));
        }
        if publications.len() != proof.leaves.len() || proof.path.len() > MAX_PATH * publications.len() {
            return Err(refused("its proof is not of its length"));
        }
        let decode = |text: &String| STANDARD.decode(text).ok().and_then(|bytes| Hash::try_from(bytes).ok());
        let path: Option<Vec<Hash>> = proof.path.iter().map(decode).collect();
        let path = path.ok_or_else(|| refused("its inclusion path is garbled"))?;
        let leaves: Vec<_> = proof.leaves.iter().copied().zip(publications.iter().map(leaf)).collect();
        let root = root_from_leaves(&leaves, proof.size, &path)
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

/// Distributes publications among the proofs that show who published them. None is left over.
pub(super) fn shown<'p>(
    mut publications: &'p mut [Publication],
    proofs: &'p [GroupProof],
) -> Result<Vec<(&'p mut [Publication], &'p GroupProof)>, Failure> {
    let mut groups = Vec::with_capacity(proofs.len());
    for proof in proofs {
        let count = proof.leaves.len();
        let Some((of, rest)) = publications.split_at_mut_checked(count).filter(|(of, _)| !of.is_empty()) else {
            return Err(Failure::new(ErrorCode::InvalidInput, "a proof is not of the publications that are delivered"));
        };
        groups.push((of, proof));
        publications = rest;
    }
    if publications.is_empty() { Ok(groups) } else { Err(refused(publications, "nothing shows who published it")) }
}

fn refused(publications: &[Publication], why: &str) -> Failure {
    let first = publications.first().expect("there is no proof of nothing");
    let message = format!("publication {} of `{}`: {why}", first.sequence, first.action);
    Failure::new(ErrorCode::InvalidInput, message)
}

fn leaf(publication: &Publication) -> Hash {
    let Publication { issuer, action, id, time, payload, expires, .. } = publication;
    let payload = Sha256::digest(payload.get().as_bytes()).into();
    leaf_hash(issuer, action, publication.place(), id, *time, &payload, *expires)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::{action, draft, issuer, store};
    use crate::store::{Reader, Stretch};

    #[tokio::test]
    async fn every_publication_is_shown_by_one_proof() {
        let store = store();
        store.append_all(vec![draft("a", "1"), draft("b", "2"), draft("a", "3")]).await.unwrap();
        store.append_all(vec![draft("a", "4")]).await.unwrap();
        let reader = Reader { action: action("a"), subscriber: issuer("them"), filter: None };
        let Stretch { mut publications, proofs, .. } = store.stretch(reader, 0, 0, 9, 9).await.unwrap();
        let leaves: Vec<_> = proofs.iter().map(|proof| (proof.size, &proof.leaves[..])).collect();
        assert_eq!(leaves, [(3, &[0, 2][..]), (1, &[0])]);
        assert_eq!(proofs[0].path.len(), 1, "the leaf of the other log");
        let mut counts = |proofs: &[GroupProof]| {
            shown(&mut publications, proofs).ok().map(|shown| shown.iter().map(|(of, _)| of.len()).collect::<Vec<_>>())
        };
        assert_eq!(counts(&proofs), Some(vec![2, 1]));
        let of_nothing = GroupProof { leaves: Vec::new(), ..proofs[0].clone() };
        for wrong in [&proofs[..1], &proofs[1..], &[], &[&proofs[..], &proofs[1..]].concat(), &[of_nothing]] {
            assert_eq!(counts(wrong), None, "{wrong:?}");
        }
    }
}
