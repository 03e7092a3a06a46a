//! Rules of the sources that no compiler checks. Each reads every Rust file of the workspace and names the file, the
//! line and the rule; each is itself tested with made-up files that break it.
//!
//! | file | rule |
//! |---|---|
//! | `floors` | a module uses lower floors, and on its own floor only what is listed |
//! | `homes` | SQL, sockets, processes and JSON-RPC each have one home |
//! | `words` | nothing unfinished, silenced or left running |
//! | `shape` | files are short, and a `mod.rs` holds no logic |

mod floors;
mod homes;
mod shape;
pub(crate) mod source;
mod words;
