//! The promises of Coattail, kept by real processes: one file a promise.

mod cli_doctor;
mod cli_ends;
mod cli_faults;
mod smoke;
