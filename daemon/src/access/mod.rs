//! Who may do what: the tokens that this instance has issued, and those that its peers gave to it.

mod announce;
mod keys;
mod peers;
mod tokens;
mod validations;

pub(crate) use announce::Announcer;
pub(crate) use keys::{KINDS, Keys, pair_files};
pub(crate) use peers::Peers;
pub(crate) use tokens::{TokenIssuer, Tokens};
pub(crate) use validations::Validations;
