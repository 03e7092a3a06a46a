use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coattail::id::IssuerHash;
use coattail::wire::{ErrorCode, Failure, PROTOCOL};

use super::proof::NONCE;
use crate::keys::PublicIdentity;
use crate::keys::rotation::NotFollowed;
use crate::tokens::TokenError;

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("the other side speaks version {theirs} of the protocol, this one speaks {PROTOCOL}")]
    Version { theirs: u32 },
    #[error("the nonce is not {NONCE} bytes of base64")]
    Nonce,
    #[error("the identity is no public key: {0}")]
    Identity(#[from] crate::keys::KeyError),
    #[error("the proof of the key does not hold on this connection")]
    Proof,
    #[error("the peer at {address} has the key {found}, the token is from {expected}")]
    WrongPeer { address: String, expected: IssuerHash, found: IssuerHash },
    #[error("the peer at {address} cannot be taken for {expected}: {source}")]
    NotFollowed { address: String, expected: IssuerHash, source: NotFollowed },
    #[error("the key {0} was replaced by its owner, and no longer counts")]
    Replaced(IssuerHash),
    #[error("`{0}` was not expected now")]
    OutOfOrder(&'static str),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error("the token may not be used by this instance, or not from this address")]
    NotBearer,
    #[error("the token is unknown to its issuer, or was revoked")]
    Revoked,
    #[error("the handshake was not finished within {0:?}")]
    TimedOut(std::time::Duration),
    #[error("what answers at {address} does not speak as Coattail does: {why}")]
    NotCoattail { address: String, why: String },
    #[error("{0}")]
    Refused(Failure),
    #[error("the service is stopping")]
    Stopping,
}

impl HandshakeError {
    /// Whether it counts against whoever caused it: honest programs seldom do, and attackers often.
    pub(super) fn is_held_against_caller(&self) -> bool {
        match self {
            Self::Nonce
            | Self::Identity(_)
            | Self::Proof
            | Self::WrongPeer { .. }
            | Self::OutOfOrder(_)
            | Self::Token(_)
            | Self::NotBearer
            | Self::Revoked
            | Self::TimedOut(_) => true,
            // The fault of an update, of ours, or of nobody.
            Self::Version { .. }
            | Self::NotCoattail { .. }
            | Self::NotFollowed { .. }
            | Self::Replaced(_)
            | Self::Refused(_)
            | Self::Stopping => false,
        }
    }
}

impl From<HandshakeError> for Failure {
    fn from(error: HandshakeError) -> Self {
        let message = error.to_string();
        match error {
            HandshakeError::Refused(failure) => failure,
            HandshakeError::Version { .. } => {
                Failure::new(ErrorCode::UnsupportedVersion, message).hint("update the older of the two programs")
            }
            HandshakeError::NotFollowed { .. } => Failure::new(ErrorCode::WrongPeer, message)
                .hint("ask the peer's owner for a new token; `coattail peer remove` forgets the old one"),
            HandshakeError::Replaced(_) => Failure::new(ErrorCode::TokenRefused, message)
                .hint("an instance that was restored from a backup needs the keys that it had last"),
            HandshakeError::WrongPeer { .. } | HandshakeError::Proof => Failure::new(ErrorCode::WrongPeer, message)
                .hint("another instance answers at this address; ask the peer's owner where it listens now"),
            HandshakeError::Token(error) => error.into(),
            HandshakeError::NotBearer => Failure::new(ErrorCode::TokenRefused, message)
                .hint("ask its issuer for a token that is bound to this instance's validation token"),
            HandshakeError::Revoked => {
                Failure::new(ErrorCode::TokenRevoked, message).hint("ask the peer's owner for a new token")
            }
            HandshakeError::TimedOut(_) | HandshakeError::NotCoattail { .. } => {
                Failure::new(ErrorCode::Unreachable, message)
                    .hint("check that a Coattail service listens at this address, with TLS if the token says so")
            }
            HandshakeError::Stopping => Failure::new(ErrorCode::ShuttingDown, message),
            HandshakeError::Nonce | HandshakeError::Identity(_) | HandshakeError::OutOfOrder(_) => {
                Failure::new(ErrorCode::InvalidInput, message)
            }
        }
    }
}

pub(super) fn check_version(theirs: u32) -> Result<(), HandshakeError> {
    if theirs == PROTOCOL { Ok(()) } else { Err(HandshakeError::Version { theirs }) }
}

pub(super) fn new_nonce() -> [u8; NONCE] {
    rand::random()
}

pub(super) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn decode_nonce(text: &str) -> Result<[u8; NONCE], HandshakeError> {
    STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok()).ok_or(HandshakeError::Nonce)
}

pub(super) fn decode_proof(text: &str) -> Result<Vec<u8>, HandshakeError> {
    STANDARD.decode(text).map_err(|_| HandshakeError::Proof)
}

pub(super) fn decode_identity(pem: &str) -> Result<PublicIdentity, HandshakeError> {
    Ok(PublicIdentity::from_pem(pem)?)
}
