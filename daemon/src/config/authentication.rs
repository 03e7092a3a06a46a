use super::KeyFiles;
use crate::keys::{Identity, KeyError, SharedSecret, TokenKey};

/// What signs the tokens of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Authentication {
    /// A key pair in files.
    Files(KeyFiles),
    /// A shared secret of the original.
    Secret(SharedSecret),
}

impl Authentication {
    /// Loads the key, and checks that nobody else can read it.
    pub fn load(&self) -> Result<TokenKey, KeyError> {
        match self {
            Self::Files(files) => Ok(files.load()?.into()),
            Self::Secret(secret) => {
                if secret.is_short() {
                    tracing::warn!(
                        "the shared secret of `authentication` is so short that it can be guessed from any token; use \
                         a key pair, or at least 32 random bytes"
                    );
                }
                Ok(TokenKey::Secret(secret.clone()))
            }
        }
    }
}

impl KeyFiles {
    /// Loads the pair, and checks that nobody else can read it.
    pub fn load(&self) -> Result<Identity, KeyError> {
        Identity::load(&self.private, &self.public)
    }
}
