//! The promises of Coattail, kept by real processes: one file a promise.

mod audit;
mod limits;
mod smoke;
