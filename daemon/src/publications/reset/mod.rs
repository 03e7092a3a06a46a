//! How a subscription goes on from elsewhere in the log, at the wish of either owner.
//!
//! Where that is, the publisher says, who has the log. What a subscriber has on disk decides what it takes: so its place
//! is what counts, and the publisher's cursor follows it.
//!
//! **The subscriber's owner** wants it: 1. `subscriptions.locate` asks for the place and changes nothing; 2. one
//! transaction here sets our place, and drops what waits before it: that decides; 3. `subscriptions.reset` tells the
//! publisher. A kill between 2 and 3, or a publisher that does not hear of 3: if we went back, its next delivery begins
//! beyond our place, or we say how far we are when we attach, and its cursor goes back; if we went forward, it sends
//! what we recognise as had.
//!
//! **The publisher's owner** wants it: 1. one transaction there notes the order: that decides; 2. before anything else is
//! delivered, `subscriptions.move` has the subscriber set its place, in one transaction; 3. the cursor follows, and the
//! order is done with. A kill between any of them: the order is there, and is told again, before anything was delivered
//! since. If the subscriber's owner decides otherwise meanwhile, that is later, and the order is void.
//!
//! What was sent before and is answered since moves no cursor, since that is not where it was when it was sent.

mod publisher;
mod subscriber;

pub(crate) use publisher::PublisherResets;
pub(crate) use subscriber::SubscriberResets;
