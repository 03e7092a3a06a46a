use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coattail::id::SubscriptionId;
use coattail::name::ActionName;
use coattail::wire::Failure;

use crate::store::{Held, IssuedToken, Store};
use crate::tokens::{Claims, Evidence, Operation, authorize, inspect};

/// Subscriptions of which is kept in mind what their tokens say: some hundred bytes each.
const MOST_KEPT: usize = 4_096;

/// What the tokens of our subscriptions allow their publishers.
///
/// The row of a token never changes until it is deleted. So what the token says is read once, and whether its row is still
/// there each time: whatever was revoked is refused.
pub(super) struct Grants {
    store: Store,
    // Held for map operations, never over an await.
    kept: Mutex<HashMap<SubscriptionId, Arc<Grant>>>,
}

/// What one token says.
#[derive(Debug)]
pub(super) struct Grant {
    pub(super) held: Held,
    claims: Claims,
}

impl Grants {
    pub(super) fn new(store: Store) -> Self {
        Self { store, kept: Mutex::default() }
    }

    /// What the tokens of these subscriptions say; `None` for those that have ended.
    pub(super) async fn of(&self, ids: Vec<SubscriptionId>) -> Result<Vec<Option<Arc<Grant>>>, Failure> {
        let exist = self.store.have_tokens(ids.clone()).await?;
        let there = || ids.iter().zip(&exist).filter(|(_, exists)| **exists).map(|(id, _)| *id);
        let mut known: HashMap<_, _> = {
            let kept = self.kept();
            there().filter_map(|id| Some((id, kept.get(&id)?.clone()))).collect()
        };
        let unread: Vec<_> = there().filter(|id| !known.contains_key(id)).collect();
        if !unread.is_empty() {
            let tokens = self.store.tokens_of(unread.clone()).await?;
            let mut read = HashMap::new();
            for (id, token) in unread.into_iter().zip(tokens) {
                if let Some(grant) = Grant::read(token)? {
                    read.insert(id, Arc::new(grant));
                }
            }
            self.keep(&read);
            known.extend(read);
        }
        Ok(ids.iter().map(|id| known.get(id).cloned()).collect())
    }

    fn keep(&self, read: &HashMap<SubscriptionId, Arc<Grant>>) {
        let mut kept = self.kept();
        if kept.len() + read.len() > MOST_KEPT {
            kept.clear();
        }
        let more = read.iter().take(MOST_KEPT);
        kept.extend(more.map(|(id, grant)| (*id, grant.clone())));
    }

    fn kept(&self) -> MutexGuard<'_, HashMap<SubscriptionId, Arc<Grant>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Grant {
    /// `None` if there is no such token, or it is not for a subscription of ours.
    pub(super) fn read(token: Option<IssuedToken>) -> Result<Option<Self>, Failure> {
        let Some(IssuedToken { jwt, held: Some(held), .. }) = token else { return Ok(None) };
        // Our own row: nobody else has written it.
        Ok(Some(Self { held, claims: inspect(jwt.reveal())?.into_claims() }))
    }

    /// Whether whoever has proven this may deliver publications of an action to a subscription. Without a publication, the
    /// publisher speaks of the log that the token is for.
    pub(super) fn check(
        &self,
        evidence: &Evidence,
        subscription: SubscriptionId,
        action: Option<&ActionName>,
    ) -> Result<(), Failure> {
        let Held { action: own, receiver, .. } = &self.held;
        let operation = Operation::Deliver { subscription, action: action.unwrap_or(own), receiver };
        Ok(authorize(&self.claims, evidence, &operation)?)
    }
}
