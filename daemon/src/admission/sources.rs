use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use governor::Quota;
use governor::clock::{Clock, DefaultClock};
use lru::LruCache;

use super::calls::quota;
use super::history::History;
use super::source::Source;
use crate::config::Limits;

/// Sources that are remembered; the one not seen for longest is forgotten for a new one. Some 3 MB when full.
const REMEMBERED: NonZeroUsize = NonZeroUsize::new(16_384).expect("not zero");

/// Why a connection is closed at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too many of its handshakes have failed.
    Penalty,
    /// It connects too often.
    Rate,
    /// It has too many connections.
    Connections,
}

impl Refusal {
    /// Its name, for the audit.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Penalty => "penalty",
            Self::Rate => "rate",
            Self::Connections => "connections",
        }
    }
}

/// What is held for and against each source.
pub(super) struct Sources<C: Clock = DefaultClock> {
    clock: C,
    quota: Quota,
    connections: usize,
    penalty: Duration,
    state: Mutex<State<C>>,
}

struct State<C: Clock> {
    // As many as there are connections.
    open: HashMap<Source, usize>,
    histories: LruCache<Source, History<C>>,
}

impl Sources {
    pub(super) fn new(limits: &Limits) -> Self {
        Self::with_clock(limits, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Sources<C> {
    fn with_clock(limits: &Limits, clock: C) -> Self {
        Self {
            clock,
            quota: quota(limits.connections_per_second_per_address, limits.connection_burst_per_address),
            connections: limits.connections_per_address,
            penalty: limits.penalty,
            state: Mutex::new(State { open: HashMap::new(), histories: LruCache::new(REMEMBERED) }),
        }
    }

    /// Counts a connection among those of its source. Whoever enters [`leave`](Self::leave)s.
    pub(super) fn enter(&self, source: Source) -> Result<(), Refusal> {
        let mut state = self.state();
        let State { open, histories } = &mut *state;
        let history = self.history(histories, source);
        if history.is_shut(self.clock.now()) {
            return Err(Refusal::Penalty);
        }
        if !history.spend() {
            return Err(Refusal::Rate);
        }
        let open = open.entry(source).or_default();
        if *open >= self.connections {
            return Err(Refusal::Connections);
        }
        *open += 1;
        Ok(())
    }

    pub(super) fn leave(&self, source: Source) {
        let mut state = self.state();
        if let Some(open) = state.open.get_mut(&source) {
            *open -= 1;
            if *open == 0 {
                state.open.remove(&source);
            }
        }
    }

    pub(super) fn failed(&self, source: Source) {
        let mut state = self.state();
        self.history(&mut state.histories, source).failed(self.clock.now(), self.penalty);
    }

    pub(super) fn succeeded(&self, source: Source) {
        let mut state = self.state();
        self.history(&mut state.histories, source).succeeded();
    }

    fn history<'s>(&self, histories: &'s mut LruCache<Source, History<C>>, source: Source) -> &'s mut History<C> {
        histories.get_or_insert_mut(source, || History::new(self.quota, self.clock.clone()))
    }

    // Held for map operations, never over an await.
    fn state(&self) -> MutexGuard<'_, State<C>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn sources(clock: &FakeRelativeClock) -> Sources<FakeRelativeClock> {
        let limits = Limits {
            connections_per_address: 3,
            connections_per_second_per_address: 2,
            connection_burst_per_address: 10,
            penalty: Duration::from_secs(90),
            ..Limits::default()
        };
        Sources::with_clock(&limits, clock.clone())
    }

    fn source(address: &str) -> Source {
        Source::of(address.parse().unwrap())
    }

    #[test]
    fn a_source_has_so_many_connections_and_no_other_source_pays() {
        let sources = sources(&FakeRelativeClock::default());
        let (greedy, modest) = (source("192.0.2.1"), source("192.0.2.2"));
        for _ in 0..3 {
            sources.enter(greedy).unwrap();
        }
        assert_eq!(sources.enter(greedy), Err(Refusal::Connections));
        sources.enter(modest).unwrap();
        sources.leave(greedy);
        sources.enter(greedy).unwrap();
        for _ in 0..3 {
            sources.leave(greedy);
        }
        sources.leave(modest);
        assert!(sources.state().open.is_empty());
    }

    #[test]
    fn a_source_connects_so_often() {
        let clock = FakeRelativeClock::default();
        let sources = sources(&clock);
        let source = source("192.0.2.1");
        let connect = || sources.enter(source).map(|()| sources.leave(source));
        assert_eq!(std::iter::from_fn(|| connect().ok()).count(), 10);
        assert_eq!(connect(), Err(Refusal::Rate));
        clock.advance(Duration::from_millis(500));
        assert_eq!(connect(), Ok(()));
        assert_eq!(connect(), Err(Refusal::Rate));
    }

    #[test]
    fn failures_shut_a_source_out_and_a_success_clears_them() {
        let clock = FakeRelativeClock::default();
        let sources = sources(&clock);
        let (bad, good) = (source("2001:db8::1"), source("2001:db8:0:1::1"));
        let same_network = source("2001:db8::2");
        let try_it = |source| sources.enter(source).map(|()| sources.leave(source));
        for _ in 0..5 {
            sources.failed(bad);
        }
        assert_eq!(try_it(bad), Ok(()), "a few are forgiven");
        sources.failed(bad);
        assert_eq!(try_it(same_network), Err(Refusal::Penalty));
        assert_eq!(try_it(good), Ok(()));
        clock.advance(Duration::from_millis(999));
        assert_eq!(try_it(bad), Err(Refusal::Penalty));
        clock.advance(Duration::from_millis(1));
        assert_eq!(try_it(bad), Ok(()));
        sources.failed(bad);
        clock.advance(Duration::from_secs(1));
        assert_eq!(try_it(bad), Err(Refusal::Penalty), "the next one is longer");
        clock.advance(Duration::from_secs(1));
        sources.succeeded(bad);
        sources.failed(bad);
        assert_eq!(try_it(bad), Ok(()));
        for _ in 0..20 {
            sources.failed(bad);
        }
        clock.advance(Duration::from_secs(90));
        assert_eq!(try_it(bad), Ok(()), "never longer than the most");
        clock.advance(Duration::from_secs(601));
        sources.failed(bad);
        assert_eq!(try_it(bad), Ok(()), "long ago is forgotten");
    }

    #[test]
    fn the_memory_is_bounded_and_the_oldest_goes() {
        let sources = sources(&FakeRelativeClock::default());
        let nth = |n: usize| Source::of(Ipv6Addr::from_bits((n as u128) << 64).into());
        for n in 0..REMEMBERED.get() + 10 {
            sources.failed(nth(n));
        }
        let state = sources.state();
        assert_eq!(state.histories.len(), REMEMBERED.get());
        assert!(!state.histories.contains(&nth(0)) && state.histories.contains(&nth(REMEMBERED.get())));
    }
}
