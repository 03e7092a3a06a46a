use std::sync::{Arc, Mutex, PoisonError};

use coattail::id::{IssuerHash, SessionId, TokenId};
use coattail::name::ActionName;

use crate::admission::CallRate;
use crate::audit::{Again, Audit, Fact};
use crate::keys::PublicIdentity;
use crate::tokens::{Claims, Evidence, Source};

/// Who is at the other end of a session. A handler finds it among the facts of its call.
pub(crate) struct Caller {
    /// Names the session in both sides' logs.
    pub(crate) session: SessionId,
    /// The key that the other side has proven to hold, on this very channel.
    pub(crate) identity: PublicIdentity,
    /// What was proven when the session was opened: the key above, and where it comes from or where we dialled.
    pub(crate) evidence: Evidence,
    /// What it presented, if it dialled us. If we dialled, it holds nothing of ours but subscription tokens, which
    /// each of its calls names.
    pub(crate) claims: Option<Arc<Claims>>,
    /// What it may still call, with the token above; if we dialled, with the one that we presented.
    pub(crate) rate: Arc<CallRate>,
    /// What it was allowed, as the audit counts it.
    pub(crate) allowed: Allowed,
}

/// Methods, the actions that they were about, and the count of each.
// A std mutex: held for a look, and never over an await.
pub(crate) type Allowed = Mutex<Vec<(&'static str, ActionName, Arc<Again>)>>;

/// So many are counted beside each other for a session; what comes after them is recorded one by one.
const COUNTED: usize = 8;

impl Caller {
    /// The instance at the other end.
    pub(crate) fn issuer(&self) -> IssuerHash {
        self.identity.issuer()
    }

    /// The token that it presented.
    pub(crate) fn token(&self) -> Option<TokenId> {
        self.claims.as_ref().map(|claims| claims.id)
    }

    /// Says in the audit that it was allowed something.
    pub(crate) fn audit_allowed(&self, audit: &Audit, method: &'static str, action: &ActionName) {
        let fact = || self.sign(Fact::allowed(method).subject(action));
        let mut allowed = self.allowed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = allowed.iter().position(|(of, about, _)| *of == method && about == action);
        match known {
            Some(at) => audit.record_again(&allowed[at].2),
            None if allowed.len() < COUNTED => {
                let again = Again::new(fact());
                audit.record_again(&again);
                allowed.push((method, action.clone(), again));
            }
            None => audit.record(fact()),
        }
    }

    /// Says in the audit that it was this one.
    pub(crate) fn sign(&self, fact: Fact) -> Fact {
        let fact = fact.peer(self.issuer()).token(self.token());
        match self.evidence.source {
            Source::Network(address) => fact.address(address),
            Source::Local => fact,
        }
    }
}
