//! Who may do what: the tokens that this instance has issued, and those that its peers gave to it.

mod peers;
mod tokens;

pub(crate) use peers::Peers;
pub(crate) use tokens::{TokenIssuer, Tokens};
