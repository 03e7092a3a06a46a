use std::time::Duration;

use governor::clock::{Clock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

/// Failed handshakes that cost nothing: a token mistyped, a clock that is wrong.
const FORGIVEN: u32 = 5;

/// The first penalty.
const FIRST: Duration = Duration::from_secs(1);

/// Failures further apart than this have nothing to do with each other.
const FORGOTTEN: Duration = Duration::from_secs(600);

/// What is remembered of a source.
pub(super) struct History<C: Clock> {
    rate: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    failures: u32,
    last_failure: Option<C::Instant>,
    shut_until: Option<C::Instant>,
}

impl<C: Clock> History<C> {
    pub(super) fn new(quota: Quota, clock: C) -> Self {
        let rate = RateLimiter::direct_with_clock(quota, clock);
        Self { rate, failures: 0, last_failure: None, shut_until: None }
    }

    pub(super) fn is_shut(&self, now: C::Instant) -> bool {
        self.shut_until.is_some_and(|until| now < until)
    }

    /// Counts a connection, unless there were too many.
    pub(super) fn spend(&self) -> bool {
        self.rate.check().is_ok()
    }

    /// Counts a failed handshake, and shuts the source out for at most `most`.
    pub(super) fn failed(&mut self, now: C::Instant, most: Duration) {
        let since = self.last_failure.map(|last| Duration::from(now.duration_since(last)));
        if since.is_some_and(|since| since > FORGOTTEN.max(most)) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
        self.last_failure = Some(now);
        let penalty = penalty(self.failures, most);
        if !penalty.is_zero() {
            self.shut_until = Some(now + penalty.into());
        }
    }

    pub(super) fn succeeded(&mut self) {
        (self.failures, self.last_failure, self.shut_until) = (0, None, None);
    }
}

/// Nothing at first, then a second, then twice as long each time.
fn penalty(failures: u32, most: Duration) -> Duration {
    match failures.checked_sub(FORGIVEN + 1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST.saturating_mul(1_u32.checked_shl(doublings).unwrap_or(u32::MAX)).min(most),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn penalties_grow_to_their_most() {
        let seconds = |failures| penalty(failures, Duration::from_secs(90)).as_secs();
        let grown: Vec<u64> = (1..=14).map(seconds).collect();
        assert_eq!(grown, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 90, 90]);
        assert_eq!(seconds(u32::MAX), 90);
    }
}
