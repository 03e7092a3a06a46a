//! P1, P2 and P3 under `kill -9` at every named point: what was accepted is handled by every subscriber, in order, stored
//! once, and a receiver that finished is called again only where P3 says so.
//!
//! `points` has the table of the points, each of which is passed so often:
//!
//! * `COATTAIL_SEEDS=1000` does it with so many seeds for each point, instead of 20;
//! * `COATTAIL_FIRST_SEED=17` begins with another seed, `COATTAIL_POINT=inbox.stored` takes that point alone: so a
//!   failure, which names both, is looked for again.

mod check;
mod delivering;
mod fleet;
mod points;
mod rounds;
mod subscribing;
mod traffic;
mod upkeep;
