//! What an instance remembers, in one SQLite file. The only place with SQL.
//!
//! Callers see the domain: append a publication, move a cursor, store a delivery. A second backend can stand
//! behind the same functions of [`Store`].
//!
//! One thread writes. Writes that wait at the same time share a transaction and its one fsync, and each is
//! answered after the commit: what was answered is on disk, and after a crash at any line the file holds all of a
//! transaction or nothing of it. Two more threads read.
//!
//! | file | what |
//! |---|---|
//! | `database` | the file, before anything is done with it |
//! | `inspection` | whether something is wrong with the file |
//! | `handle` | [`Store`]: open, close, hand work to the threads |
//! | `thread` | the loops of the writing and the reading threads |
//! | `group` | one transaction that many writes share |
//! | `migrate` | numbered migrations, and whether a file is ours |
//! | `peers`, `tokens`, `validations` | who gave us a token, whom we gave one, whose key we know |
//! | `keys`, `remotes` | keys of ours that were replaced; where others are, and which keys of theirs were replaced |
//! | `subscriptions`, `publications`, `retention`, [`merkle`] | the publisher's side: cursors, logs, signed groups |
//! | `stretch`, `audience` | what of a log is for one subscriber; who gets a publication that is not for everyone |
//! | `names` | what publishers call their publications, so that none is stored twice |
//! | `scheduled` | what is to be published later |
//! | `history` | what stands in the logs, without payloads |
//! | `places` | where in a log a sequence or a time is |
//! | `resets` | subscriptions that go on from elsewhere, on both sides |
//! | `backup` | a copy of the file, and what it takes to work with one again |
//! | `epochs` | what was published before and after the database was put back |
//! | `arrivals`, `inbox`, `dead_letters` | the subscriber's side: what is taken of a delivery, what waits, what was given up |
//! | `ordered` | what waits, by the keys that are handled in order |
//! | `outcomes`, `traces` | what receivers did with what came; what led to what |
//! | `steps` | what a delivery consists of |
//! | `backlogs` | what waits of each of our subscriptions, and since when |
//! | `jobs` | calls that outlive whoever asked for them |
//! | `kept` | both of these, for whoever looks at a receiver's publications |
//! | `audit` | who was let in or refused |
//! | `room` | what the disk has left, and whether it is written to |
//! | `counts` | what happened since the database was made |

mod arrivals;
mod audience;
mod audit;
mod backlogs;
mod backup;
mod columns;
mod counts;
mod database;
mod dead_letters;
mod epochs;
mod error;
mod group;
mod handle;
mod history;
mod inbox;
mod inspection;
mod jobs;
mod kept;
mod keys;
mod log;
pub mod merkle;
mod migrate;
mod names;
mod ordered;
mod outcomes;
mod peers;
mod places;
mod publications;
mod remotes;
mod resets;
mod retention;
mod room;
mod scheduled;
mod steps;
mod stretch;
mod subscriptions;
#[cfg(test)]
pub(crate) mod testing;
mod thread;
mod tokens;
mod traces;
mod validations;

pub use arrivals::Taken;
pub use audience::Audience;
pub use audit::{AuditFact, AuditRow};
pub use backlogs::{Backlog, Front, StuckLane, Waiting};
pub use backup::{adopt, copy_database};
pub use database::Database;
pub use dead_letters::{DeadLetter, WhichDead};
pub use epochs::last_epoch;
pub use error::Error;
pub use group::Signer;
pub use handle::Store;
pub use history::Listed;
pub use inbox::{FailedTry, InboxItem, InboxLane};
pub use jobs::{Added, Asker, JobDraft, JobEnd, JobResult, JobRow, LOST_HINT, MostJobs};
pub use kept::Received;
pub use keys::RetiredKey;
pub use migrate::{Migrated, Migration, migrate};
pub use names::Name;
pub use ordered::{Unsorted, WhichWaiting};
pub use outcomes::{LastTry, Outcome};
pub use peers::{Peer, PeerRemoved};
pub use publications::{Appended, Draft, Head};
pub use remotes::{Followed, Remote};
pub use resets::{Jump, Pending};
pub use retention::Trimmed;
pub use room::Disk;
pub use scheduled::Scheduled;
pub use stretch::{Reader, Stretch};
pub use subscriptions::{Advance, Member, SetBack, Subscription, SubscriptionState};
pub use tokens::{Held, HeldSubscription, IssuedToken, Revoked};
pub use traces::Looped;
pub use validations::{Validation, ValidationRemoved};
