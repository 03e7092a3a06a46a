//! An instance in one file, and back.
//!
//! `archive` is the form of the file, `make` writes one while the service may run, `restore` puts what is in it
//! into a folder, or in the place of what an instance has.

mod archive;
mod error;
mod make;
mod restore;

pub use error::BackupError;
pub use make::{BackedUp, back_up};
pub use restore::{Restored, restore};
