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
