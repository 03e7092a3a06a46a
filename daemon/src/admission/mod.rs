//! Who gets in, how often, and how many at once: rates, connection limits and penalties. All of it is in memory and
//! bounded; after a restart everyone begins anew.
//!
//! | limit | of | at the limit |
//! |---|---|---|
//! | rate with a burst | new connections of a source | closed before TLS |
//! | number | connections of a source | closed before TLS |
//! | penalty | a source with failed handshakes | closed before TLS, for a time that doubles |
//! | number | connections that have not authenticated | the oldest of the busiest source is closed for the new one |
//! | number | sessions of a token | the login is refused as busy |
//! | rate with a burst | calls with a token | the call is refused as busy, with a time to come back; beyond a number of refusals, it is read slowly |
//!
//! A [`Source`] is all that is known of a stranger. Whoever shares one with an attacker (two programs on a machine,
//! a network behind one address) shares the penalty: it ends after 90 seconds by default, does not touch sessions that
//! are open, and one successful login clears it.

mod calls;
mod gate;
mod history;
mod source;
mod sources;
mod waiting;

pub(crate) use calls::{CallRate, CallRates, Excess};
pub(crate) use gate::{Gate, Guest};
pub(crate) use source::Source;
