//! Calls that outlive whoever asked for them: detached ones, and those that were given a key.
//!
//! A job is a row before it is anything else. It is committed that it runs before a worker, or a peer, is given it, and
//! what became of it before anybody hears that. So after `kill -9` at any line: what is queued was not begun, and is run;
//! what runs here is lost; what runs at a peer is asked for there again, with its own id as the key.
//!
//! | file | what |
//! |---|---|
//! | `handle` | [`Jobs`]: start, join, wait, cancel |
//! | `live` | the jobs that somebody works on now |
//! | `gate` | whether a job has begun, decided once |
//! | `said` | what a job says: its followers, its log |
//! | `run` | one job from its row to its end |
//! | `at_peer` | one job at a peer, asked for until there is an answer |
//! | `outcome` | the state in which a job ends; a row in the words of the wire |

mod at_peer;
mod gate;
mod handle;
mod live;
mod outcome;
mod run;
mod said;

pub(crate) use handle::{JobRequest, Jobs};
