//! An instance: a folder with its settings, keys, plugins and database.
//!
//! [`Instance`] knows where everything is, [`NewInstance`] makes the folder whole or not at all,
//! [`InstanceLock`] keeps two processes from working in it at once, and replaces what is in it by what was restored.

mod create;
mod layout;
mod lock;
mod replace;
mod version;

pub use create::{Cause, CreateError, NewInstance, place};
pub use layout::Instance;
pub use lock::{Holder, InstanceLock, LockError};
pub use version::OpenError;
