//! The keys of an instance.
//!
//! [`identity`] signs and verifies, [`token_key`] is what stands behind tokens, [`tls`] makes and loads the
//! certificate, [`file`](mod@file) keeps private keys private and writes whole files or none. [`replace`] puts a new
//! pair in the place of an old one, [`rotation`] tells others that it is the same instance.

mod error;
pub mod file;
pub mod identity;
mod jwt;
pub mod replace;
pub mod rotation;
mod rsa;
mod secret;
mod short_rsa;
pub mod tls;
pub mod token_key;

pub use error::KeyError;
pub(crate) use error::{make_pair, shell_quoted};
pub use identity::{BadSignature, Domain, Identity, PublicIdentity};
pub(crate) use jwt::{JwtSigner, JwtVerifier};
pub use replace::PairFiles;
pub(crate) use rsa::{MAX_BITS, MIN_BITS};
pub use secret::SharedSecret;
pub(crate) use short_rsa::{MIN_TLS_BITS, verifies_short_rsa};
pub use tls::TlsIdentity;
pub(crate) use tls::{rsa_bits, tls_signer};
pub use token_key::{TokenKey, TokenVerifier};
