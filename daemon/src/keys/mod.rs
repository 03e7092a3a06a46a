//! The keys of an instance.
//!
//! [`identity`] signs and verifies, [`tls`] makes and loads the certificate, [`file`](mod@file) keeps
//! private keys private and writes whole files or none.

mod error;
pub mod file;
pub mod identity;
pub mod tls;

pub use error::KeyError;
pub use identity::{BadSignature, Domain, Identity, PublicIdentity};
pub use tls::TlsIdentity;
