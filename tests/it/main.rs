//! The promises of Coattail, kept by real processes: one file a promise.

mod architecture;
mod audit;
mod bad_data;
mod bad_frames;
mod bad_peers;
mod bad_plugins;
mod bad_sessions;
mod bad_storage;
mod bad_tokens;
mod cli_doctor;
mod cli_ends;
mod cli_faults;
mod delivery;
mod durability;
mod isolation;
mod limits;
mod orphans;
mod outcomes;
mod permissions;
mod protocol;
mod raw_peer;
mod service;
mod smoke;
mod tidy;
mod tour;
mod waterfall;
