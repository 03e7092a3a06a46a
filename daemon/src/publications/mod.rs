//! What becomes of a result that is made public: one signed row in its action's log, lanes that deliver it to
//! subscribers from their cursors, an inbox at each subscriber that runs the receivers.
//!
//! A publication exists if and only if its row was committed; nothing held in memory is needed to deliver it. After a
//! kill at any line the rows say where to go on: what was sent and not yet answered is sent again and recognised.

mod by_key;
mod cause;
mod dead_letters;
mod delivery;
mod gaps;
mod grants;
mod history;
mod inbox;
mod keys;
mod lane;
mod lanes;
mod links;
mod publish;
mod reach;
mod received;
mod reset;
mod room;
mod runner;
mod schedule;
mod signature;
mod stuck;
mod subscribe;
mod subscriptions;
mod terms;
mod trace;
mod turns;
mod verification;

pub(crate) use cause::{Cause, Causes};
pub(crate) use dead_letters::DeadLetters;
pub(crate) use delivery::{Delivery, LaneKey};
pub(crate) use history::History;
pub(crate) use inbox::Inbox;
pub(crate) use links::{Links, Unconfirmed};
pub(crate) use publish::Publisher;
pub(crate) use reach::Reaches;
pub(crate) use received::read as read_received;
pub(crate) use reset::{PublisherResets, SubscriberResets};
pub(crate) use runner::ReceiverSettings;
pub(crate) use schedule::Schedule;
pub(crate) use signature::signer;
pub(crate) use stuck::stuck;
pub(crate) use subscribe::{PublisherSide, SubscriberSide};
pub(crate) use subscriptions::Subscriptions;
pub(crate) use terms::Terms;
pub(crate) use trace::Traces;
