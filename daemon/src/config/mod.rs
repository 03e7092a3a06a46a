//! What the owner of an instance may decide, read from `config.yml`.
//!
//! [`file`](mod@file) is what is written there, [`resolve`] what it means: file and defaults become a
//! [`Config`], checked once and never again. [`limits`] is the table of every bound, [`retry`] when to try
//! again, [`duration`] how lengths of time are written, [`template`] the file that a new instance gets.

mod authentication;
pub mod duration;
mod error;
pub mod file;
pub mod limits;
pub mod resolve;
pub mod retry;
pub mod template;

pub use authentication::Authentication;
pub use error::ConfigError;
pub use limits::Limits;
pub use resolve::{Config, KeyFiles, MAX_RETRIES, Runtimes, TlsFiles};
pub use retry::RetrySchedule;
