//! Floor 3: what is said of the calls that are under way, and who hears it.
//!
//! A call is opened by whoever runs it or has asked a peer for it, and ends with the guard. What is said of it is
//! taken only of the plugin that runs it, or from the very session it was made on; it goes to those who follow it, in
//! order, and is dropped where there is no room.

mod feed;
mod log_file;
mod rate;
mod sink;

pub(crate) use feed::Feeds;
pub(crate) use feed::Speaker;
pub(crate) use log_file::LogFile;
pub(crate) use rate::{Passed, Rate};
pub(crate) use sink::Event;
pub(crate) use sink::Sink;
