use std::sync::Arc;

use coattail::id::{PeerId, TokenId, ValidationId};
use coattail::wire::control::{IssueValidation, RemoveValidation, Validation, ValidationRemoved};
use coattail::wire::{ErrorCode, Failure};
use jiff::Timestamp;

use crate::actions::Jobs;
use crate::keys::Identity;
use crate::publications::PublisherSide;
use crate::session::Sessions;
use crate::store::{self, Store};
use crate::tokens::{Bearer, Validity, inspect, validation};

/// The keys of other instances, to which tokens can be bound. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Validations {
    identity: Arc<Identity>,
    store: Store,
    sessions: Sessions,
    jobs: Jobs,
    publisher: PublisherSide,
}

impl Validations {
    pub(crate) fn new(
        identity: Arc<Identity>,
        store: Store,
        sessions: Sessions,
        jobs: Jobs,
        publisher: PublisherSide,
    ) -> Self {
        Self { identity, store, sessions, jobs, publisher }
    }

    /// Our own key, for another instance to bind a token to.
    pub(crate) fn issue(&self, request: &IssueValidation) -> Result<Validation, Failure> {
        let validity = Validity::starting(Timestamp::now(), request.not_before.unwrap_or(0), request.expires_in)?;
        describe(None, None, validation::issue(&self.identity, validity)?)
    }

    pub(crate) async fn add(&self, token: String) -> Result<Validation, Failure> {
        let token = token.trim().to_owned();
        let parsed = validation::read_stored(&token)?;
        let row = store::Validation {
            id: ValidationId::new(),
            issuer: parsed.issuer(),
            jwt: token,
            public_key: parsed.key.pem().to_owned(),
            added: Timestamp::now().as_millisecond(),
            peer: None,
        };
        let known = self.store.validations_of_key(row.public_key.clone()).await?;
        for id in known {
            // One learned by subscribing goes with its peer, so it does not stand in for one added by hand.
            if let Some(known) =
                self.store.validation(id).await?.filter(|known| known.peer.is_none() && known.jwt == row.jwt)
            {
                let message = format!("this validation token is stored already, as {}", known.id);
                return Err(Failure::new(ErrorCode::AlreadyExists, message).hint("use that id in `vt://ID`"));
            }
        }
        self.store.add_validation(row.clone()).await?;
        tracing::info!(validation = %row.id, issuer = %row.issuer, "added a validation token");
        describe(Some(row.id), None, row.jwt)
    }

    pub(crate) async fn list(&self) -> Result<Vec<Validation>, Failure> {
        self.store.validations().await?.into_iter().map(stored).collect()
    }

    pub(crate) async fn show(&self, id: ValidationId) -> Result<Validation, Failure> {
        stored(self.store.validation(id).await?.ok_or_else(|| not_found(id))?)
    }

    /// Forgets a key and, in the same transaction, the tokens that only its holder could use with the subscriptions
    /// made with them; then ends the sessions that it let in.
    pub(crate) async fn remove(&self, request: RemoveValidation) -> Result<ValidationRemoved, Failure> {
        let RemoveValidation { validation: id, dry_run } = request;
        let tokens = self.only_for(id).await?;
        if dry_run {
            self.store.validation(id).await?.ok_or_else(|| not_found(id))?;
            let mut subscriptions = 0;
            for token in &tokens {
                subscriptions += self.store.subscriptions_with(*token).await?.len() as u64;
            }
            let held = self.store.held().await?.iter().filter(|held| held.held.validation == id).count() as u64;
            let sessions = tokens.iter().map(|token| self.sessions.count_token(*token)).sum();
            return Ok(ValidationRemoved { id, tokens, subscriptions, held, sessions });
        }
        let removed = match self.store.remove_validation(id, tokens.clone()).await {
            Err(error) if error.code() == ErrorCode::NotFound => return Err(not_found(id)),
            removed => removed?,
        };
        for subscription in &removed.subscriptions {
            self.publisher.ended(subscription);
        }
        tokens.iter().for_each(|token| self.jobs.end_token(*token));
        let revoked: u64 = tokens.iter().map(|token| self.sessions.close_token(*token)).sum();
        // Sessions of other tokens that this key alone had opened; those with another bearer log in again.
        let sessions = revoked + self.sessions.close_validation(id);
        tracing::info!(validation = %id, tokens = tokens.len(), sessions, "removed a validation token");
        let (subscriptions, held) = (removed.subscriptions.len() as u64, removed.held.len() as u64);
        Ok(ValidationRemoved { id, tokens, subscriptions, held, sessions })
    }

    /// The authentication tokens whose only bearer it is.
    async fn only_for(&self, id: ValidationId) -> Result<Vec<TokenId>, Failure> {
        let mut only = Vec::new();
        for token in self.store.tokens().await?.into_iter().filter(|token| token.held.is_none()) {
            let bearers = inspect(token.jwt.reveal())?.into_claims().bearers;
            if !bearers.is_empty() && bearers.iter().all(|bearer| *bearer == Bearer::Validation(id)) {
                only.push(token.id);
            }
        }
        Ok(only)
    }
}

fn not_found(id: ValidationId) -> Failure {
    Failure::new(ErrorCode::NotFound, format!("there is no validation token {id}"))
        .hint("`coattail validation list` shows them")
}

/// A validation token from our database. Whose it is, the row says: the token has the key from before that was replaced.
fn stored(row: store::Validation) -> Result<Validation, Failure> {
    Ok(Validation { issuer: row.issuer, ..describe(Some(row.id), row.peer, row.jwt)? })
}

fn describe(id: Option<ValidationId>, peer: Option<PeerId>, raw: String) -> Result<Validation, Failure> {
    let parsed = validation::read_stored(&raw)?;
    Ok(Validation {
        id,
        issuer: parsed.issuer(),
        signed: validation::read(&raw).is_ok(),
        issued: parsed.validity.issued.to_string(),
        effective: parsed.validity.not_before.to_string(),
        expires: parsed.validity.expires.map(|at| at.to_string()),
        peer,
        raw,
    })
}
