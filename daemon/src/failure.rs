//! Every error in its wire form: what failed with its causes, what kind it is, and what to try.

use coattail::wire::{ErrorCode, Failure};

use crate::transport::BindError;
use crate::{backup, config, instance, keys, store, tokens};

macro_rules! failures {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let hint = error.hint().map(|hint| hint.to_string());
                Failure { hint, ..Failure::of_error(error.code(), &error) }
            }
        }
    )*};
}

failures! {
    backup::BackupError,
    config::ConfigError,
    instance::CreateError,
    instance::LockError,
    instance::OpenError,
    keys::KeyError,
    store::Error,
    tokens::Denied,
    tokens::TokenError,
    BindError,
}

impl From<tokens::InvalidBearer> for Failure {
    fn from(error: tokens::InvalidBearer) -> Self {
        let hint = error.hint();
        Failure { hint, ..Failure::new(ErrorCode::InvalidInput, error.to_string()) }
    }
}
