use std::slice;

use coattail::name::ActionName;
use coattail::wire::publications::{Fault, Verified};
use coattail::wire::{ErrorCode, Failure, GroupProof, Publication};

use super::signature::Verifier;
use crate::keys::PublicIdentity;
use crate::store::{Error, Head, Store};

/// Publications that are read at once, and bytes of their payloads.
const BATCH: usize = 256;
const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// Faults that are named; what is wrong a thousand times is wrong.
const MOST_FAULTS: usize = 1_000;

/// Computes leaf, path and signature of every publication of these logs anew, and looks for those that are missing.
pub(super) async fn verify(
    store: &Store,
    identities: &[PublicIdentity],
    heads: Vec<Head>,
) -> Result<Verified, Failure> {
    let mut log = Log { store, identities, verifier: Verifier::default(), found: Verified::default() };
    for head in heads {
        log.walk(head).await?;
    }
    Ok(log.found)
}

struct Log<'a> {
    store: &'a Store,
    identities: &'a [PublicIdentity],
    verifier: Verifier,
    found: Verified,
}

impl Log<'_> {
    async fn walk(&mut self, head: Head) -> Result<(), Failure> {
        let action = head.action;
        let (mut after, mut count) = (head.oldest - 1, BATCH);
        while after < head.head && self.found.faults.len() < MOST_FAULTS {
            match self.store.batch(action.clone(), after, count, BATCH_BYTES).await {
                Ok(batch) => {
                    if batch.is_empty() {
                        break;
                    }
                    for (publication, proof) in &batch {
                        self.note_missing(&action, after, publication.sequence).await?;
                        self.check(publication, proof);
                        after = publication.sequence;
                    }
                }
                // One of them cannot be read: one by one, to find out which.
                Err(Error::Damaged(_)) if count > 1 => count = 1,
                Err(Error::Damaged(source)) => {
                    let next = self.store.next_sequence(action.clone(), after).await?;
                    let sequence = next.ok_or_else(|| Failure::from(Error::Damaged(source.clone())))?;
                    self.note_missing(&action, after, sequence).await?;
                    self.fault(Fault {
                        action: action.clone(),
                        sequence,
                        id: None,
                        message: format!("it cannot be read: {source}"),
                    });
                    (after, count) = (sequence, BATCH);
                }
                Err(error) => return Err(error.into()),
            }
        }
        if self.found.faults.len() < MOST_FAULTS {
            self.note_missing(&action, after, head.head + 1).await?;
        }
        Ok(())
    }

    fn check(&mut self, publication: &Publication, proof: &GroupProof) {
        let signer = self.identities.iter().find(|identity| identity.issuer() == publication.issuer);
        let checked = match signer {
            Some(signer) => self.verifier.verify(signer, slice::from_ref(publication), proof),
            None => Err(Failure::new(
                ErrorCode::InvalidInput,
                format!("it is signed by {}, which this instance never was", publication.issuer),
            )),
        };
        match checked {
            Ok(()) => self.found.hold += 1,
            Err(failure) => self.fault(Fault {
                action: publication.action.clone(),
                sequence: publication.sequence,
                id: Some(publication.id),
                message: failure.message,
            }),
        }
    }

    /// Sequences count up by one: what lies between two has been removed, by retention in this very moment or by
    /// somebody else.
    async fn note_missing(&mut self, action: &ActionName, after: u64, next: u64) -> Result<(), Failure> {
        if next == after + 1 {
            return Ok(());
        }
        let oldest = self.store.head(action.clone()).await?.map_or(1, |head| head.oldest);
        let first = oldest.max(after + 1);
        if first < next {
            let message = match next - first {
                1 => "it is missing".to_owned(),
                more => format!("it and the next {} are missing", more - 1),
            };
            self.fault(Fault { action: action.clone(), sequence: first, id: None, message });
        }
        Ok(())
    }

    fn fault(&mut self, fault: Fault) {
        if self.found.faults.len() < MOST_FAULTS {
            self.found.faults.push(fault);
        }
    }
}
