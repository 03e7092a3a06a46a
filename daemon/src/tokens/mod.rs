//! Tokens: what they say, who may use them, and what that allows.
//!
//! A token is a JWT with the original's claims. [`issue`] and [`verify`] go from [`Claims`] to text and
//! back, [`validation`] does so for tokens that carry a public key, [`inspect`] reads what nobody has
//! vouched for. Text becomes [`Claims`] once; [`authorize`] then decides, and is pure: everything that was
//! proven about a connection comes in as [`Evidence`].

mod authorize;
mod bearer;
mod claims;
mod compact;
mod error;
mod evidence;
mod inspect;
mod issue;
pub mod validation;
mod verify;
mod wire;

pub use authorize::{Denied, Operation, Owner, Right, authorize};
pub use bearer::{Bearer, InvalidBearer};
pub use claims::{Allowed, Claims, Grants, LEEWAY, SubscriptionGrant, Use, Validity};
pub use compact::MAX_TOKEN;
pub use error::TokenError;
pub use evidence::{Evidence, Source};
pub use inspect::{Unverified, inspect};
pub use issue::issue;
pub use validation::ValidationToken;
pub use verify::verify;
