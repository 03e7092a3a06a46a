//! What led to a publication, and what it has led to, across instances.
//!
//! Each instance knows three things of a publication: that it made it, what its receivers did with it, and what it
//! published meanwhile. Whoever traces puts together what it knows itself with what its neighbours tell, and each of
//! these decides alone what it tells: nothing is passed on that somebody else has told.

mod answer;
mod ask;
mod causes;
mod results;
mod tracer;

pub(crate) use tracer::Traces;

use crate::store::Listed;
use coattail::wire::peer::TracedPublication;

/// What was published while one publication was handled, of which an instance tells.
const MOST_MADE: u32 = 64;

/// Subscriptions of one publication that are looked at.
const MOST_SUBSCRIPTIONS: usize = 64;

fn told(listed: Listed) -> TracedPublication {
    let Listed { id, action, sequence, time, hops, cause, bytes: _, signed_by: _ } = listed;
    TracedPublication { id, action, sequence, time, hops, cause }
}
