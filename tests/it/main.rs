//! The promises of Coattail, kept by real processes: one file a promise.

mod moving;
mod rotation;
mod smoke;
