//! Every error in its wire form: what failed with its causes, what kind it is, and what to try.

use std::error::Error;

use coattail::wire::{ErrorCode, Failure};

use crate::transport::BindError;
use crate::{config, instance, keys, store, tokens};

macro_rules! failures {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                let hint = error.hint().map(|hint| hint.to_string());
                Failure { hint, ..Failure::new(error.code(), with_causes(&error)) }
            }
        }
    )*};
}

failures! {
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

/// The message of an error, and those of what caused it.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut message = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // Some messages name their cause already.
        if !message.ends_with(&text) {
            message = format!("{message}: {text}");
        }
        cause = error.source();
    }
    message
}
