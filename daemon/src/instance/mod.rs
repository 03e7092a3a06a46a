//! An instance: a folder with its settings, keys, plugins and database.
//!
//! [`Instance`] knows where everything is, [`NewInstance`] makes the folder whole or not at all,
//! [`InstanceLock`] keeps two processes from working in it at once.

mod create;
mod layout;
mod lock;
mod version;

pub use create::{Cause, CreateError, NewInstance};
pub use layout::Instance;
pub use lock::{Holder, InstanceLock, LockError};
pub use version::OpenError;
