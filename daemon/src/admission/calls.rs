use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use coattail::id::{IssuerHash, TokenId};
use coattail::wire::{ErrorCode, Failure};
use governor::clock::{Clock, DefaultClock, Reference as _};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::config::Limits;

/// Tokens whose rate is remembered while no session of theirs is open, so that to connect anew gives no new burst.
const REMEMBERED: usize = 4_096;

/// Calls over its rate that a token makes in one go before it has to wait: as many as one session has under way by
/// default, so that whoever sent them all at once hears of each at once.
const EXCESS: u32 = 1_024;

/// How long each further one makes it wait. One costs some 20 µs of a core: a flood that is taken in at this pace, the
/// five hundredth part of a core.
const EXCESS_EVERY: Duration = Duration::from_millis(10);

/// What each token may still call. A session asks once; its calls then meet no other token, and within the rate no lock.
pub(crate) struct CallRates<C: Clock = DefaultClock> {
    clock: C,
    quota: Quota,
    sessions: usize,
    // Held for map operations, at a login.
    rates: Mutex<HashMap<Issued, Arc<CallRate<C>>>>,
}

/// Names a token. Its id alone does not: whoever issues tokens chooses their ids, and could choose that of another's.
type Issued = (IssuerHash, TokenId);

/// What one token may still call, in all of its sessions together.
pub(crate) struct CallRate<C: Clock = DefaultClock> {
    token: TokenId,
    clock: C,
    limiter: RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<C::Instant>>,
    quota: Quota,
    // When it will have waited for all of its excess. Held for a sum.
    excess: Mutex<C::Instant>,
}

/// A call that is over the rate.
#[derive(Debug)]
pub(crate) struct Excess {
    pub(crate) failure: Failure,
    /// For how long nothing more should be taken from whoever made it.
    pub(crate) rest: Duration,
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
    pub(crate) fn enter(&self, issuer: IssuerHash, token: TokenId) -> Result<Arc<CallRate<C>>, Failure> {
        let mut rates = self.rates.lock().unwrap_or_else(PoisonError::into_inner);
        if rates.len() >= REMEMBERED && !rates.contains_key(&(issuer, token)) {
            rates.retain(|_, rate| Arc::strong_count(rate) > 1);
        }
        let rate = rates.entry((issuer, token)).or_insert_with(|| {
            let (clock, quota) = (self.clock.clone(), self.quota);
            let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
            Arc::new(CallRate { token, excess: Mutex::new(clock.now()), clock, limiter, quota })
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
    pub(crate) fn spend(&self) -> Result<(), Excess> {
        let Err(until) = self.limiter.check() else { return Ok(()) };
        let (token, burst) = (self.token, self.quota.burst_size());
        let rate = self.quota.burst_size_replenished_in().as_secs_f64();
        let rate = (f64::from(burst.get()) / rate).round();
        let message = format!("token {token} makes more than {rate} calls a second (`calls_per_second`, `burst`)");
        let failure = Failure::new(ErrorCode::Busy, message)
            .hint("make fewer calls, or ask the owner of the other instance for a higher limit")
            .retry_after(until.wait_time_from(self.clock.now()));
        Err(Excess { failure, rest: self.rest() })
    }

    /// Each of its sessions takes a turn of its own, so that many of them are taken no more from than one.
    fn rest(&self) -> Duration {
        let now = self.clock.now();
        let mut excess = self.excess.lock().unwrap_or_else(PoisonError::into_inner);
        *excess = (*excess).max(now) + EXCESS_EVERY.into();
        Duration::from(excess.duration_since(now)).saturating_sub(EXCESS_EVERY * EXCESS)
    }
}

/// So many a second, and so many at once.
pub(super) fn quota(per_second: u32, burst: u32) -> Quota {
    let nonzero = |number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN);
    Quota::per_second(nonzero(per_second)).allow_burst(nonzero(burst))
}

#[cfg(test)]
mod tests {
    use governor::clock::FakeRelativeClock;

    use super::*;

    fn rates(clock: &FakeRelativeClock) -> CallRates<FakeRelativeClock> {
        let limits = Limits { calls_per_second: 10, burst: 20, sessions_per_token: 3, ..Limits::default() };
        CallRates::with_clock(&limits, clock.clone())
    }

    fn us() -> IssuerHash {
        IssuerHash::of_public_key("us")
    }

    /// How many calls are within the rate; the one after them is not.
    fn spend(rate: &CallRate<FakeRelativeClock>) -> usize {
        std::iter::from_fn(|| rate.spend().ok()).count()
    }

    #[test]
    fn a_token_has_its_burst_then_its_rate_and_no_other_token_pays() {
        let clock = FakeRelativeClock::default();
        let rates = rates(&clock);
        let (greedy, modest) = (rates.enter(us(), TokenId::new()).unwrap(), rates.enter(us(), TokenId::new()).unwrap());
        assert_eq!(spend(&greedy), 20);
        let refused = greedy.spend().unwrap_err().failure;
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
        let mut sessions: Vec<_> = (0..3).map(|_| rates.enter(us(), token).unwrap()).collect();
        assert_eq!(spend(&sessions[0]), 20);
        assert!(sessions[1].spend().is_err());
        assert_eq!(rates.enter(us(), token).err().map(|failure| failure.code), Some(ErrorCode::Busy));
        sessions.clear();
        let again = rates.enter(us(), token).unwrap();
        assert!(again.spend().is_err(), "to connect anew gives no new burst");
    }

    #[test]
    fn another_issuer_cannot_share_a_rate_by_choosing_the_id_of_a_token() {
        let rates = rates(&FakeRelativeClock::default());
        let token = TokenId::new();
        let stranger = rates.enter(IssuerHash::of_public_key("a stranger"), token).unwrap();
        assert_eq!(spend(&stranger), 20);
        assert_eq!(spend(&rates.enter(us(), token).unwrap()), 20);
        let sessions: Vec<_> = (0..3).map(|_| rates.enter(us(), token).unwrap()).collect();
        assert!(sessions.len() == 3 && rates.enter(us(), token).is_err());
    }

    #[test]
    fn beyond_its_excess_a_token_waits_however_many_sessions_it_has() {
        let clock = FakeRelativeClock::default();
        let rates = rates(&clock);
        let token = TokenId::new();
        let (one, other) = (rates.enter(us(), token).unwrap(), rates.enter(us(), token).unwrap());
        let rest = |rate: &CallRate<FakeRelativeClock>| rate.spend().unwrap_err().rest;
        assert_eq!(spend(&one), 20);
        for _ in 1..EXCESS {
            assert_eq!(rest(&one), Duration::ZERO, "what was sent in one go is answered in one go");
        }
        assert_eq!((rest(&one), rest(&other), rest(&one)), (EXCESS_EVERY, EXCESS_EVERY * 2, EXCESS_EVERY * 3));
        clock.advance(EXCESS_EVERY * 3);
        // A tenth of a second gives a call.
        assert_eq!(rest(&other), EXCESS_EVERY, "it has waited");
        clock.advance(EXCESS_EVERY * 2 * EXCESS);
        assert_eq!(spend(&one), 20);
        assert_eq!((1..EXCESS).map(|_| rest(&one)).max(), Some(Duration::ZERO), "and begins anew, with no more");
        assert_eq!(rest(&one), EXCESS_EVERY);
    }

    #[test]
    fn the_memory_is_bounded() {
        let rates = rates(&FakeRelativeClock::default());
        let open = rates.enter(us(), TokenId::new()).unwrap();
        for _ in 0..2 * REMEMBERED {
            rates.enter(us(), TokenId::new()).unwrap();
        }
        let rates = rates.rates.lock().unwrap();
        assert!(rates.len() <= REMEMBERED && rates.contains_key(&(us(), open.token)));
    }
}
