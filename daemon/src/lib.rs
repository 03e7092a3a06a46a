//! The Coattail daemon as a library.

pub mod backup;
pub mod config;
pub mod doctor;
pub mod instance;
pub mod keys;
#[doc(hidden)] // Public for its own tests only, which need an executable to be the guard.
pub mod plugins;
pub mod store;
pub mod tokens;

mod access;
mod actions;
mod admission;
mod api;
mod audit;
mod create;
mod daemon;
mod door;
mod expiry;
mod failure;
mod feeds;
mod footprint;
mod inspection;
#[cfg(test)]
mod legacy_vectors;
mod own_keys;
mod parts;
mod publications;
mod retention;
mod running;
mod service;
mod session;
mod signals;
mod telemetry;
mod transport;

pub use create::{CreatedInstance, create_instance, migrate_instance, repair_tls};
pub use daemon::{Daemon, Purpose};
pub use plugins::guard_main;
pub use running::{RunningService, running_services};
pub use service::run_service;
pub use telemetry::{LogEvent, log_to, log_to_stderr};
