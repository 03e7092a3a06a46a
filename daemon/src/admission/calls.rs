use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

use coattail::id::TokenId;
use coattail::wire::{ErrorCode, Failure};
use governor::clock::{Clock, DefaultClock};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::config::Limits;

/// Tokens whose rate is remembered while no session of theirs is open, so that to connect anew gives no new burst.
const REMEMBERED: usize = 4_096;

/// What each token may still call. A session asks once; its calls then meet no lock and no other token.
pub(crate) struct CallRates<C: Clock = DefaultClock> {
    clock: C,
    quota: Quota,
    sessions: usize,
    // Held for map operations, at a login.
    rates: Mutex<HashMap<TokenId, Arc<CallRate<C>>>>,
}

/// What one token may still call, in all of its sessions together.
pub(crate) struct CallRate<C: Clock = DefaultClock> {
    token: TokenId,
    clock: C,
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    quota: Quota,
}

impl CallRates {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self::with_clock(limits, DefaultClock::default())
    }
}

impl<C: Clock + Clone> CallRates<C> {
    fn with_clock(limits: &Limits, clock: C) -> Self {
        let quota = quota(limits.calls_per_second, limits.burst);
        Self { clock, quota, sessions: limits.sessions_per_token, rates: Mutex::default() }
    }

    /// The rate of a token, for one more session of it. The session keeps it until it ends.
    pub(crate) fn enter(&self, token: TokenId) -> Result<Arc<CallRate<C>>, Failure> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.len() >= REMEMBERED && !rates.contains_key(&token) {
            rates.retain(|_, rate| Arc::strong_count(rate) > 1);
        }
        let rate = rates.entry(token).or_insert_with(|| {
            let limiter = RateLimiter::direct_with_clock(self.quota, self.clock.clone());
            Arc::new(CallRate { token, clock: self.clock.clone(), limiter, quota: self.quota })
        });
        // Only sessions and this map hold it, and it is given out under this lock.
        if Arc::strong_count(rate) > self.sessions {
            let message =
                format!("token {token} has {} sessions open, the most that `sessions_per_token` allows", self.sessions);
            return Err(
                Failure::busy(message).hint("close some of them, or ask the owner for another token or a higher limit")
            );
        }
        Ok(rate.clone())
    }
}

impl<C: Clock> CallRate<C> {
    /// Counts a call, or says when it may be made.
    pub(crate) fn spend(&self) -> Result<(), Failure> {
        let Err(until) = self.limiter.check() else { return Ok(()) };
        let (token, burst) = (self.token, self.quota.burst_size());
        let rate = self.quota.burst_size_replenished_in().as_secs_f64();
        let rate = (f64::from(burst.get()) / rate).round();
        let message = format!("token {token} makes more than {rate} calls a second (`calls_per_second`, `burst`)");
        Err(Failure::new(ErrorCode::Busy, message)
            .hint("make fewer calls, or ask the owner of the other instance for a higher limit")
            .retry_after(until.wait_time_from(self.clock.now())))
    }
}

/// So many a second, and so many at once.
pub(super) fn quota(per_second: u32, burst: u32) -> Quota {
    let nonzero = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(nonzero(per_second)).allow_burst(nonzero(burst))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn rates(clock: &FakeRelativeClock) -> CallRates<FakeRelativeClock> {
        let limits = Limits { calls_per_second: 10, burst: 20, sessions_per_token: 3, ..Limits::default() };
        CallRates::with_clock(&limits, clock.clone())
    }

    fn spend(rate: &CallRate<FakeRelativeClock>) -> usize {
        std::iter::from_fn(|| rate.spend().ok()).count()
    }

    #[test]
    fn a_token_has_its_burst_then_its_rate_and_no_other_token_pays() {
        let clock = FakeRelativeClock::default();
        let rates = rates(&clock);
        let (greedy, modest) = (rates.enter(TokenId::new()).unwrap(), rates.enter(TokenId::new()).unwrap());
        assert_eq!(spend(&greedy), 20);
        let refused = greedy.spend().unwrap_err();
        assert_eq!((refused.code, refused.retry_after_ms), (ErrorCode::Busy, Some(100)));
        assert!(refused.message.contains("more than 10 calls a second") && refused.hint.is_some(), "{refused:?}");
        assert_eq!(spend(&modest), 20);
        clock.advance(Duration::from_millis(100));
        assert_eq!(spend(&greedy), 1, "what was said is true");
        clock.advance(Duration::from_secs(60));
        assert_eq!(spend(&greedy), 20, "no more than a burst is saved up");
    }

    #[test]
    fn sessions_of_a_token_share_its_rate_and_are_bounded() {
        let rates = rates(&FakeRelativeClock::default());
        let token = TokenId::new();
        let mut sessions: Vec<_> = (0..3).map(|_| rates.enter(token).unwrap()).collect();
        assert_eq!(spend(&sessions[0]), 20);
        assert!(sessions[1].spend().is_err());
        assert_eq!(rates.enter(token).err().map(|failure| failure.code), Some(ErrorCode::Busy));
        sessions.clear();
        let again = rates.enter(token).unwrap();
        assert!(again.spend().is_err(), "to connect anew gives no new burst");
    }

    #[test]
    fn the_memory_is_bounded() {
        let rates = rates(&FakeRelativeClock::default());
        let open = rates.enter(TokenId::new()).unwrap();
        for _ in 0..2 * REMEMBERED {
            rates.enter(TokenId::new()).unwrap();
        }
        let rates = rates.rates.lock().unwrap();
        assert!(rates.len() <= REMEMBERED && rates.contains_key(&open.token));
    }
}
