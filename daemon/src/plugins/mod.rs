//! Floor 3: the executables in `actions/` and `receivers/`, and the processes that run them.
//!
//! [`Plugins`] is the handle. A call goes `handle` → `discover` (which file is it, can it be run) → `pool` (wait
//! for a turn, start a worker if all are full) → `worker` (one warm process, JSON-RPC) or `plain` (one process
//! per call, with a guard that `spare` keeps ready) → `process` (start, stop) → `guard` (leave nothing behind). What happens without a call, `supervise` does:
//! it keeps workers warm, sees that files have changed, reloads, and tells how plugins are.
//!
//! What holds here:
//! * Each call ends once: succeeded, failed, refused, timed out, cancelled or lost.
//! * No process of a plugin outlives the daemon, however the daemon ends.
//! * A plugin can crash, hang, flood or lie, and only its own calls fail.
//! * Only `process`, and the `guard` it starts, start processes.

mod call;
mod discover;
mod files;
mod guard;
mod handle;
mod handover;
mod journal;
mod launch;
mod manifest;
mod output;
mod plain;
mod pool;
mod process;
mod runtime;
mod schema;
mod settings;
mod spare;
mod spec;
mod supervise;
mod tap;
mod tree;
mod trial;
mod venv;
mod version;
mod work;
mod worker;

pub use call::{Begin, PerformCall, ReceiveCall};
pub use guard::{GUARD, guard_main};
pub use handle::{Host, Plugins};
pub use journal::Journals;
pub(crate) use output::LAST_OUTPUT;
pub use settings::Settings;
pub use spec::{Condition, Found, PluginId, Problem};
pub use tap::Tap;
pub use trial::{Trial, Tried};
pub use version::{Interpreted, interpreters};

use handle::nearest;
