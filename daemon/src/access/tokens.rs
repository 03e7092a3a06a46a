use std::sync::{Arc, OnceLock};

use coattail::address::PeerAddress;
use coattail::id::{IssuerHash, TokenId};
use coattail::secret::Secret;
use coattail::wire::control::{IssueToken, RevokeToken, Revoked, Token};
use coattail::wire::host::RevokeSubscriber;
use coattail::wire::{ErrorCode, Failure};
use jiff::Timestamp;

use crate::actions::Jobs;
use crate::config::Config;
use crate::keys::TokenKey;
use crate::publications::PublisherSide;
use crate::session::Sessions;
use crate::store::{Held, IssuedToken, Store};
use crate::tokens::{Bearer, Claims, Grants, SubscriptionGrant, TokenError, Use, Validity, inspect, issue};

/// Makes tokens in the name of this instance.
pub(crate) struct TokenIssuer {
    pub(crate) issuer: IssuerHash,
    pub(crate) key: TokenKey,
    pub(crate) config: Config,
    /// The certificate that peers will see, if TLS is on.
    pub(crate) certificate: Option<String>,
    /// Where it listens, once it does: the port may have been left to the system.
    pub(crate) address: Arc<OnceLock<PeerAddress>>,
}

impl TokenIssuer {
    /// A token with which a publisher may deliver to one subscription of ours.
    pub(crate) fn subscription(
        &self,
        held: &Held,
        authentication_token: TokenId,
        now: Timestamp,
    ) -> Result<IssuedToken, Failure> {
        let grant = SubscriptionGrant {
            action: held.action.clone(),
            receiver: held.receiver.clone(),
            authentication_token,
            peer: Some(held.peer),
        };
        let bearers = vec![Bearer::Validation(held.validation)];
        self.sign(Validity::endless(now), bearers, Use::PublisherAuthentication(grant), Some(held.clone()))
    }

    fn sign(
        &self,
        validity: Validity,
        bearers: Vec<Bearer>,
        usage: Use,
        held: Option<Held>,
    ) -> Result<IssuedToken, Failure> {
        let port = self.address.get().map_or(self.config.port, |address| address.port);
        if port == 0 {
            let message = "the port is chosen when the service starts, so a token cannot name it yet";
            return Err(Failure::new(ErrorCode::NotRunning, message)
                .hint("start the service first, or set `service.network.port` in config.yml"));
        }
        let claims = Claims {
            id: TokenId::new(),
            issuer: self.issuer,
            validity,
            addresses: self.config.advertised(port),
            certificate: self.certificate.clone(),
            bearers,
            usage,
        };
        let jwt = Secret::from(issue(&claims, &self.key)?);
        Ok(IssuedToken { id: claims.id, jwt, issued: validity.issued.as_millisecond(), held })
    }
}

/// The tokens that this instance has issued. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Tokens {
    issuer: Arc<TokenIssuer>,
    store: Store,
    sessions: Sessions,
    jobs: Jobs,
    publisher: PublisherSide,
}

impl Tokens {
    pub(crate) fn new(
        issuer: Arc<TokenIssuer>,
        store: Store,
        sessions: Sessions,
        jobs: Jobs,
        publisher: PublisherSide,
    ) -> Self {
        Self { issuer, store, sessions, jobs, publisher }
    }

    pub(crate) fn issuer(&self) -> IssuerHash {
        self.issuer.issuer
    }

    /// Issues an authentication token. It is stored before anybody sees it.
    pub(crate) async fn issue(&self, request: IssueToken) -> Result<Token, Failure> {
        let IssueToken { bearers, performable, publishable, subscribable, not_before, expires_in } = request;
        let bearers = match bearers {
            None => Bearer::everyone(),
            Some(texts) => texts.iter().map(|text| text.parse()).collect::<Result<Vec<Bearer>, _>>()?,
        };
        let grants = Grants::parse(&performable, &publishable, &subscribable)?;
        let validity = Validity::starting(Timestamp::now(), not_before.unwrap_or(0), expires_in)?;
        let token = self.issuer.sign(validity, bearers, Use::Authentication(grants), None)?;
        self.store.add_token(token.clone()).await?;
        tracing::info!(token = %token.id, "issued a token");
        describe(&token, true)
    }

    pub(crate) async fn list(&self) -> Result<Vec<Token>, Failure> {
        self.store.tokens().await?.iter().map(|token| describe(token, false)).collect()
    }

    pub(crate) async fn show(&self, id: TokenId, raw: bool) -> Result<Token, Failure> {
        match self.store.token(id).await? {
            Some(token) => {
                let would_end = self.would_end(id).await?;
                Ok(Token {
                    sessions: Some(would_end.sessions),
                    subscriptions: Some(would_end.subscriptions),
                    ..describe(&token, raw)?
                })
            }
            None => Err(not_found(id)),
        }
    }

    /// Deletes a token and, in the same transaction, the subscriptions that were made with it; then ends the sessions
    /// that it opened. A session that is being opened meanwhile finds no row.
    pub(crate) async fn revoke(&self, request: RevokeToken) -> Result<Revoked, Failure> {
        let RevokeToken { token: id, dry_run } = request;
        if dry_run {
            self.store.token(id).await?.ok_or_else(|| not_found(id))?;
            return self.would_end(id).await;
        }
        let revoked = match self.store.revoke_token(id).await {
            Err(error) if error.code() == ErrorCode::NotFound => return Err(not_found(id)),
            revoked => revoked?,
        };
        for subscription in &revoked.subscriptions {
            self.publisher.ended(subscription);
        }
        let sessions = self.sessions.close_token(id);
        self.jobs.end_token(id);
        tracing::info!(token = %id, sessions, subscriptions = revoked.subscriptions.len(), "revoked a token");
        Ok(Revoked { id, sessions, subscriptions: revoked.subscriptions.len() as u64 })
    }

    /// What lives on a token now.
    async fn would_end(&self, id: TokenId) -> Result<Revoked, Failure> {
        let subscriptions = self.store.subscriptions_with(id).await?.len() as u64;
        Ok(Revoked { id, sessions: self.sessions.count_token(id), subscriptions })
    }

    /// Ends the sessions that tokens had opened before they expired, and the subscriptions that were made with them.
    /// The subscribers are told, now or when they come back.
    pub(crate) async fn end_expired(&self) -> Result<(), Failure> {
        let now = Timestamp::now();
        for token in self.store.tokens().await?.into_iter().filter(|token| token.held.is_none()) {
            let validity = inspect(token.jwt.reveal())?.into_claims().validity;
            if !matches!(validity.check(now), Err(TokenError::Expired { .. })) {
                continue;
            }
            self.sessions.close_token(token.id);
            self.jobs.end_token(token.id);
            for subscription in self.store.subscriptions_with(token.id).await? {
                tracing::info!(token = %token.id, %subscription, "the token has expired: its subscription ends");
                self.publisher.revoke(RevokeSubscriber { subscription, dry_run: false }).await?;
            }
        }
        Ok(())
    }
}

fn not_found(id: TokenId) -> Failure {
    Failure::new(ErrorCode::NotFound, format!("there is no token {id}")).hint("`coattail token list` shows them")
}

/// A token of our own, as it is shown. Its text is included only when it was asked for.
fn describe(token: &IssuedToken, raw: bool) -> Result<Token, Failure> {
    let claims = inspect(token.jwt.reveal())?.into_claims();
    let grants = claims.usage.grants();
    let subscription = match &claims.usage {
        Use::Authentication(_) => None,
        Use::PublisherAuthentication(subscription) => Some(subscription),
    };
    Ok(Token {
        id: claims.id,
        usage: claims.usage.name().to_owned(),
        issuer: claims.issuer,
        issued: claims.validity.issued.to_string(),
        effective: claims.validity.not_before.to_string(),
        expires: claims.validity.expires.map(|at| at.to_string()),
        addresses: claims.addresses,
        bearers: claims.bearers.iter().map(ToString::to_string).collect(),
        performable: grants.performable,
        publishable: grants.publishable,
        subscribable: grants.subscribable,
        subscribed_to: subscription.map(|subscription| subscription.action.to_string()).into_iter().collect(),
        receiver: subscription.map(|subscription| subscription.receiver.to_string()),
        sessions: None,
        subscriptions: None,
        raw: raw.then(|| token.jwt.clone()),
    })
}
