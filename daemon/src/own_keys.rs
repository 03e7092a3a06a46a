use std::sync::Arc;

use coattail::id::IssuerHash;
use coattail::wire::control::KeyKind;
use coattail::wire::peer::Rotation;
use coattail::wire::{ErrorCode, Failure};
use jiff::Timestamp;

use crate::access::{KINDS, pair_files};
use crate::config::Config;
use crate::keys::rotation::MAX_CHAIN;
use crate::keys::{Identity, PublicIdentity, TlsIdentity, TokenKey, TokenVerifier};
use crate::store::{Database, RetiredKey};
use crate::transport::{Replaced, server_tls};

/// The keys of an instance that is being opened, and those that they have replaced.
pub(crate) struct InstanceKeys {
    pub(crate) identity: Arc<Identity>,
    /// How the identity came to replace earlier ones, oldest first, as far as others are told.
    pub(crate) rotations: Vec<Rotation>,
    /// The identity and all earlier ones.
    pub(crate) issuers: Arc<[IssuerHash]>,
    /// Signs tokens.
    pub(crate) signing: TokenKey,
    /// Verifies them.
    pub(crate) verifying: Vec<TokenVerifier>,
    /// The certificate that is presented, if TLS is on.
    pub(crate) certificate: Option<String>,
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    pub(crate) retired: Vec<RetiredKey>,
}

impl InstanceKeys {
    /// Finishes what a rotation has left to do, and loads what there is.
    pub(crate) fn load(config: &Config, database: &Database) -> Result<Self, Failure> {
        let retired = database.retired_keys()?;
        let of = |kind| retired.iter().filter(move |key: &&RetiredKey| key.kind == kind);
        for kind in KINDS {
            if let Some(files) = pair_files(config, kind) {
                files.finish(|text| of(kind).any(|key| key.public == text))?;
            }
        }
        let identity = Arc::new(config.validation.load()?);
        check_not_retired(of(KeyKind::Identity), &identity.issuer().to_string(), "identity")?;
        let signing = config.authentication.load()?;
        check_not_retired(of(KeyKind::Auth), &signing.verifier().key_id(), "key that signs tokens")?;

        let statements: Vec<Rotation> =
            of(KeyKind::Identity).filter_map(|key| serde_json::from_str(key.statement.as_deref()?).ok()).collect();
        let rotations = statements[statements.len().saturating_sub(MAX_CHAIN)..].to_vec();
        let former = of(KeyKind::Identity).filter_map(|key| key.id.parse().ok());
        let issuers = [identity.issuer()].into_iter().chain(former).collect();
        let mut verifying = vec![signing.verifier()];
        for key in of(KeyKind::Auth) {
            verifying.push(TokenVerifier::from(PublicIdentity::from_pem(&key.public)?).until(end(key)));
        }
        let tls = config.tls.as_ref().map(|files| TlsIdentity::load(&files.key, &files.cert)).transpose()?;
        let certificate = tls.as_ref().map(|tls| tls.certificate_pem.clone());
        let replaced = replaced(config, of(KeyKind::Tls));
        let tls = tls.map(|tls| server_tls(tls, replaced)).transpose().map_err(|error| {
            Failure::new(ErrorCode::Failed, format!("the TLS key and certificate cannot be used: {error}"))
                .hint("check `service.tls` in config.yml")
        })?;
        Ok(Self { identity, rotations, issuers, signing, verifying, certificate, tls, retired })
    }
}

/// The identity and all earlier ones, by which an instance knows what it has published itself.
pub(crate) fn own_identities(identity: &Identity, retired: &[RetiredKey]) -> Result<Vec<PublicIdentity>, Failure> {
    let mut identities = vec![identity.public().clone()];
    for key in retired.iter().filter(|key| key.kind == KeyKind::Identity) {
        identities.push(PublicIdentity::from_pem(&key.public)?);
    }
    Ok(identities)
}

/// A key that was replaced is not taken up again: nobody who knows its successor takes it any more.
fn check_not_retired<'a>(
    mut retired: impl Iterator<Item = &'a RetiredKey>,
    id: &str,
    what: &str,
) -> Result<(), Failure> {
    if !retired.any(|key| key.id == id) {
        return Ok(());
    }
    let message = format!("the {what} in the folder of keys is one that was replaced: {id}");
    Err(Failure::new(ErrorCode::Usage, message)
        .hint("restore the keys from a backup of after that, or the database from before"))
}

/// The certificates that are still presented to those who expect them. The key of one whose time is over goes.
fn replaced<'a>(config: &Config, retired: impl Iterator<Item = &'a RetiredKey>) -> Vec<Replaced> {
    let Some(files) = pair_files(config, KeyKind::Tls) else { return Vec::new() };
    let mut replaced = Vec::new();
    for key in retired {
        let (old, until) = (files.old(&key.id), end(key));
        let outcome = if until <= Timestamp::now() {
            old.remove()
        } else {
            TlsIdentity::load(&old.private, &old.public).map(|identity| replaced.push(Replaced { identity, until }))
        };
        // It serves only those who have not come yet.
        if let Err(error) = outcome {
            tracing::warn!(certificate = %key.id, %error, "a certificate that was replaced is not presented any more");
        }
    }
    replaced
}

fn end(key: &RetiredKey) -> Timestamp {
    Timestamp::from_millisecond(key.until).unwrap_or(Timestamp::UNIX_EPOCH)
}
