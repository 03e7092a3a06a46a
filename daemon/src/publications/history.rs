use std::collections::HashMap;
use std::time::Duration;

use coattail::id::IssuerHash;
use coattail::name::ActionName;
use coattail::wire::publications::{Entry, ListPublications, ShowPublication, Stretch, TailPublications, Verified};
use coattail::wire::{ErrorCode, Failure, Publication};
use jiff::Timestamp;

use super::delivery::Delivery;
use super::verification::verify;
use crate::keys::PublicIdentity;
use crate::store::{Audience, Head, Listed, Store};

/// Publications in a list, unless it is said how many, and at the most: some MiB.
const LISTED: u32 = 100;
const MOST_LISTED: u32 = 10_000;

/// Publications in a stretch that is read, unless it is said how many, and at the most.
const STRETCH: u32 = 100;
const MOST_STRETCH: u32 = 1_000;

/// Bytes of payload in a stretch beyond the first publication, so that it fits into a frame.
const STRETCH_BYTES: usize = 1024 * 1024;

/// How long whoever reads on may wait for more; then they ask again.
const MOST_WAIT: Duration = Duration::from_secs(30);

/// What this instance has published, for its owner to look at. Cheap to clone.
#[derive(Clone)]
pub(crate) struct History {
    store: Store,
    delivery: Delivery,
    /// The identities with which it has signed, the present one first.
    identities: Vec<PublicIdentity>,
}

impl History {
    pub(crate) fn new(store: Store, delivery: Delivery, identities: Vec<PublicIdentity>) -> Self {
        Self { store, delivery, identities }
    }

    pub(crate) async fn list(&self, request: ListPublications) -> Result<Vec<Entry>, Failure> {
        let ListPublications { action, since_ms, limit } = request;
        let limit = limit.unwrap_or(LISTED).min(MOST_LISTED);
        let listed = self.store.published(action, since_ms.unwrap_or(i64::MIN), limit).await?;
        Ok(listed.into_iter().map(without_payload).collect())
    }

    pub(crate) async fn show(&self, request: ShowPublication) -> Result<Entry, Failure> {
        let place = match request {
            ShowPublication { id: Some(id), action, sequence } => {
                let place = self.store.place_of(id).await?;
                place.filter(|(of, at)| action.is_none_or(|action| action == *of) && sequence.is_none_or(|n| n == *at))
            }
            ShowPublication { id: None, action: Some(action), sequence: Some(sequence) } => Some((action, sequence)),
            ShowPublication { .. } => {
                return Err(Failure::new(ErrorCode::InvalidInput, "the publication is not named")
                    .hint("name its id, or action and sequence"));
            }
        };
        let none = || {
            Failure::new(ErrorCode::NotFound, "there is no such publication")
                .hint("`coattail publications list` shows what is kept; what is past its retention is gone")
        };
        let (action, sequence) = place.ok_or_else(none)?;
        let Some(before) = sequence.checked_sub(1) else { return Err(none()) };
        let found = self.store.batch(action.clone(), before, 1, 0).await?.into_iter().next();
        let (found, _) = found.filter(|(found, _)| found.sequence == sequence).ok_or_else(none)?;
        Ok(with_payload(found, &self.store.audiences(action, before, sequence).await?))
    }

    /// Reads on, and waits for more if that is wanted. When the service stops, it does not wait.
    pub(crate) async fn tail(&self, request: TailPublications) -> Result<Stretch, Failure> {
        let TailPublications { action, after, limit, wait_ms } = request;
        let newest = limit.unwrap_or(STRETCH);
        let limit = newest.min(MOST_STRETCH);
        let wait = Duration::from_millis(wait_ms.unwrap_or(0)).min(MOST_WAIT);
        let over = tokio::time::sleep(wait);
        tokio::pin!(over);
        // Order: listen before looking, so that nothing is overlooked.
        let mut news = self.delivery.news();
        let after = match after {
            Some(after) => after,
            None => self.head(&action).await?.saturating_sub(u64::from(newest)),
        };
        loop {
            let stretch = self.stretch(&action, after, limit).await?;
            if !stretch.publications.is_empty() || wait.is_zero() {
                return Ok(stretch);
            }
            tokio::select! {
                biased;
                () = self.delivery.closing().cancelled() => return Ok(stretch),
                () = &mut over => return Ok(stretch),
                // `changed` is cancel-safe, and fails only once the sender is gone, which we hold.
                _ = news.changed() => {}
            }
        }
    }

    /// Looks whether everything that is kept is what was signed.
    pub(crate) async fn verify(&self, action: Option<ActionName>) -> Result<Verified, Failure> {
        let mut heads = self.store.heads().await?;
        if let Some(action) = action {
            heads.retain(|head| head.action == action);
            if heads.is_empty() {
                return Err(Failure::new(ErrorCode::NotFound, format!("nothing was ever published for `{action}`"))
                    .hint("`coattail publications list` shows what is kept"));
            }
        }
        verify(&self.store, &self.identities, heads).await
    }

    async fn head(&self, action: &ActionName) -> Result<u64, Failure> {
        Ok(self.store.head(action.clone()).await?.map_or(0, |Head { head, .. }| head))
    }

    async fn stretch(&self, action: &ActionName, after: u64, limit: u32) -> Result<Stretch, Failure> {
        let head = self.head(action).await?;
        let publications = self.store.batch(action.clone(), after, limit as usize, STRETCH_BYTES).await?;
        // What retention has removed is passed over.
        let end = publications.last().map_or(after.max(head), |(last, _)| last.sequence);
        let audiences = self.store.audiences(action.clone(), after, end).await?;
        let publications = publications.into_iter().map(|(one, _)| with_payload(one, &audiences)).collect();
        Ok(Stretch { publications, after: end, head })
    }
}

fn without_payload(listed: Listed) -> Entry {
    let Listed { id, action, sequence, time, bytes, cause, hops, signed_by, expires, audience } = listed;
    let (expires, to) = (expires.map(rfc3339), audience.as_ref().map(named));
    Entry { id, action, sequence, time: rfc3339(time), bytes, hops, cause, signed_by, expires, to, payload: None }
}

fn with_payload(publication: Publication, audiences: &HashMap<u64, Audience>) -> Entry {
    let Publication { id, issuer: signed_by, action, sequence, time, payload, cause, hops, expires, epoch: _ } =
        publication;
    let (bytes, time) = (payload.get().len() as u64, rfc3339(time));
    let (expires, to) = (expires.map(rfc3339), audiences.get(&sequence).map(named));
    Entry { id, action, sequence, time, bytes, hops, cause, signed_by, expires, to, payload: Some(payload) }
}

fn named(audience: &Audience) -> Vec<IssuerHash> {
    audience.subscribers().to_vec()
}

fn rfc3339(milliseconds: i64) -> String {
    Timestamp::from_millisecond(milliseconds).map_or_else(|_| milliseconds.to_string(), |time| time.to_string())
}
