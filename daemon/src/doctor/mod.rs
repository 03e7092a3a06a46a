//! What is wrong with an instance: everything is looked at, and nothing is changed.
//!
//! | file | looks at | needs the daemon |
//! |---|---|---|
//! | `config` | `config.yml` | |
//! | `keys` | modes of keys, whether their halves belong together, the end of the certificate | |
//! | `runtimes` | Node.js and Python | |
//! | `port` | whether the port is free, or ours | |
//! | `disk` | whether it takes more | yes |
//! | `database` | the file, whole | yes |
//! | `tokens` | ends of tokens and validation tokens | yes |
//! | `peers` | every peer at each of its addresses | yes |
//! | `plugins` | whether each plugin starts | yes |
//! | `receivers` | what has waited for long, and dead letters | yes |

mod checkup;
mod config;
mod database;
mod disk;
mod expiry;
mod finding;
mod keys;
mod peers;
mod plugins;
mod port;
mod receivers;
mod runtimes;
mod tokens;

pub(crate) use checkup::check;
pub use checkup::check_files;
