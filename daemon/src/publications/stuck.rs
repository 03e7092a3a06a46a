use std::time::Duration;

use coattail::wire::subscriptions::Stuck;
use jiff::Timestamp;

use crate::store::{Error, Store};

/// Subscriptions of ours whose receivers have left something waiting for long, those first that have longest. Paused
/// ones are meant to.
pub(crate) async fn stuck(store: &Store, now: Timestamp) -> Result<Vec<Stuck>, Error> {
    let before = now - LONG;
    let stuck = store.stuck(before.as_millisecond()).await?;
    Ok(stuck
        .into_iter()
        .take(MOST)
        .map(|stuck| Stuck {
            subscription: stuck.subscription,
            receiver: stuck.receiver,
            since: Timestamp::from_millisecond(stuck.first.since).unwrap_or_default().to_string(),
            attempts: stuck.first.attempts,
            reason: stuck.first.reason,
        })
        .collect())
}

/// What waits for longer needs somebody to look: several tries have failed by then.
const LONG: Duration = Duration::from_hours(1);

/// How many are told of; whoever has more has one cause for all of them.
const MOST: usize = 100;
