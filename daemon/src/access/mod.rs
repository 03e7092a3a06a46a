//! Who may do what: the tokens that this instance has issued, and those that its peers gave to it.

mod peers;
mod tokens;
mod validations;

pub(crate) use peers::Peers;
pub(crate) use tokens::{TokenIssuer, Tokens};
pub(crate) use validations::Validations;
