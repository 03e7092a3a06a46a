//! The calls of one plugin, and the workers that do them.
//!
//! A [`Pool`] lives as long as the plugin is used. Its `line` is where calls wait for their turn. Its `crew` are the
//! workers of one state of the plugin's files: it starts them, gives calls to them, and asks the `breaker` whether
//! another may be started after some have crashed. When the files change, `takeover` starts the first worker of
//! another crew, which takes over once that worker is ready; the old crew ends with its last call. `tally` counts.
//!
//! All of it is memory: a daemon that was killed finds cold plugins, closed breakers, and counts of zero.

mod breaker;
mod calls;
mod crew;
mod line;
mod report;
mod takeover;
mod tally;

pub(super) use calls::Pool;
pub(super) use takeover::Change;
