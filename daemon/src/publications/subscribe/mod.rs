//! How a subscription comes to be and ends: the message sequence of the original, on one session.
//!
//! 1. subscriber → publisher: `actions.subscribe`;
//! 2. publisher → subscriber: `subscriptions.issue`, with the publisher's validation token;
//! 3. the subscriber stores that, and answers with a subscription token which only the publisher's key can use;
//! 4. the publisher stores that, and answers the first call.
//!
//! A kill between 3 and 4 leaves a token at the subscriber that its publisher does not know: it is removed when the
//! subscriber attaches next.

mod publisher;
mod subscriber;

pub(crate) use publisher::PublisherSide;
pub(super) use publisher::{is_owner, not_found};
pub(crate) use subscriber::SubscriberSide;

use std::time::Duration;

/// How long the other side may take to answer a step.
pub(super) const STEP_LIMIT: Duration = Duration::from_secs(10);
