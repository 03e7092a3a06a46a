//! `coattail demo`: three instances on this machine that do what Coattail is for, with real processes of
//! this very program, real TLS, and a real `kill -9` in the middle.
//!
//! ```text
//! site                      office                              desk
//! machine ──publication──▶  log
//!         └─────────────▶   relay ▶ Health Score ──publication──▶ board
//!         └────────────────────────────────────────publication──▶ board
//! ```
//!
//! [`run`] owns the [`stage`] and clears it whatever happens; the [`story`] plays on it, step by step, and
//! [`check`] compares what came out with what had to.

mod check;
mod instance;
mod narrate;
mod plugins;
mod run;
mod stage;
mod story;

pub(super) use run::run;
