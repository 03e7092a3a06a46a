use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

/// So many crashes within [`WINDOW`] open the breaker.
const CRASHES: usize = 5;
/// Crashes that are further apart are accidents, and no loop.
const WINDOW: Duration = Duration::from_secs(60);
/// How long no worker is started then; twice as long after each trial that fails.
const PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);
/// The first pause before a worker that crashed is started again; each further one is twice as long.
const BACK_OFF: Duration = Duration::from_millis(100);

/// Whether another worker may be started, after how those before it have ended. Workers that did not start have
/// crashed, too.
///
/// It is closed as long as all goes well, opens at a crash loop, and lets one worker try after a pause. What that one
/// comes to closes it, or opens it again.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    /// When, within the window.
    crashes: VecDeque<Instant>,
    /// How many have led to its state.
    count: usize,
    state: State,
}

#[derive(Debug, Default, Clone, Copy)]
enum State {
    #[default]
    Closed,
    Open {
        until: Instant,
        pause: Duration,
    },
    /// Half open: a worker is tried, or is to be.
    Trying {
        pause: Duration,
    },
}

/// What may be done about another worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Start {
    /// It may be started.
    Now,
    /// It may be started, but not before this.
    At(Instant),
    /// Another is being tried.
    Later,
    /// No worker is started until then.
    Refused(Instant),
}

impl Breaker {
    /// Whether another worker may be started, while so many run or are starting.
    pub(super) fn may_start(&mut self, now: Instant, running: usize) -> Start {
        match self.state {
            State::Open { until, .. } if now < until => return Start::Refused(until),
            State::Open { pause, .. } => self.state = State::Trying { pause },
            State::Trying { .. } | State::Closed => {}
        }
        match self.state {
            State::Trying { .. } if running > 0 => Start::Later,
            State::Closed => self.backing_off(now).map_or(Start::Now, Start::At),
            _ => Start::Now,
        }
    }

    /// A worker crashed, or did not start.
    pub(super) fn crashed(&mut self, now: Instant) {
        self.forget_old(now);
        if self.crashes.len() == CRASHES {
            self.crashes.pop_front();
        }
        self.crashes.push_back(now);
        let open = |pause| State::Open { until: now + pause, pause };
        self.count = if let State::Closed = self.state { self.crashes.len() } else { self.count + 1 };
        match self.state {
            State::Closed if self.crashes.len() >= CRASHES => self.state = open(PAUSE),
            State::Trying { pause } => self.state = open((2 * pause).min(LONGEST_PAUSE)),
            State::Closed | State::Open { .. } => {}
        }
    }

    /// A worker did a call to its end: whatever was tried has worked.
    pub(super) fn worked(&mut self) {
        if let State::Trying { .. } = self.state {
            *self = Self::default();
        }
    }

    /// How many crashes have led to its state.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Until when no worker is started, if it is open.
    pub(super) fn open_until(&self, now: Instant) -> Option<Instant> {
        match self.state {
            State::Open { until, .. } if now < until => Some(until),
            _ => None,
        }
    }

    /// Until when the next worker has to wait after a crash, if it has to.
    pub(super) fn backing_off(&mut self, now: Instant) -> Option<Instant> {
        self.forget_old(now);
        let doubled = u32::try_from(self.crashes.len().saturating_sub(1)).unwrap_or(u32::MAX);
        let until = *self.crashes.back()? + BACK_OFF * (1 << doubled.min(16));
        Some(until).filter(|until| *until > now)
    }

    fn forget_old(&mut self, now: Instant) {
        while self.crashes.front().is_some_and(|crash| now.duration_since(*crash) >= WINDOW) {
            self.crashes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Milliseconds after the start of the story.
    type At = u64;

    enum Event {
        Crash,
        Works,
        /// Asks with so many running.
        Asks(usize, Answer),
    }
    use Event::{Asks, Crash, Works};

    #[derive(Debug, PartialEq)]
    enum Answer {
        Now,
        At(At),
        Later,
        Refused(At),
    }

    #[track_caller]
    fn check(story: &[(At, Event)]) {
        let (start, mut breaker) = (Instant::now(), Breaker::default());
        let since = |then: Instant| u64::try_from((then - start).as_millis()).expect("a short story");
        for (at, event) in story {
            let now = start + Duration::from_millis(*at);
            match event {
                Crash => breaker.crashed(now),
                Works => breaker.worked(),
                Asks(running, expected) => {
                    let answer = match breaker.may_start(now, *running) {
                        Start::Now => Answer::Now,
                        Start::At(then) => Answer::At(since(then)),
                        Start::Later => Answer::Later,
                        Start::Refused(then) => Answer::Refused(since(then)),
                    };
                    assert_eq!(&answer, expected, "after {at} ms");
                    assert_eq!(breaker.open_until(now).is_some(), matches!(answer, Answer::Refused(_)));
                }
            }
        }
    }

    #[test]
    fn each_crash_doubles_the_pause_before_the_next_start() {
        check(&[
            (0, Asks(0, Answer::Now)),
            (0, Asks(3, Answer::Now)),
            (0, Crash),
            (0, Asks(0, Answer::At(100))),
            (100, Asks(0, Answer::Now)),
            (1_000, Crash),
            (1_000, Asks(0, Answer::At(1_200))),
            (2_000, Crash),
            (2_000, Asks(1, Answer::At(2_400))),
            (3_000, Crash),
            (3_000, Asks(0, Answer::At(3_800))),
            // All of them are forgotten.
            (63_000, Asks(0, Answer::Now)),
            (63_000, Crash),
            (63_000, Asks(0, Answer::At(63_100))),
        ]);
    }

    #[test]
    fn five_within_a_minute_open_it_and_a_trial_decides() {
        let five = |start: At| (0..5).map(move |n| (start + n * 1_000, Crash));
        let mut story: Vec<_> = five(0).collect();
        story.extend([
            (4_000, Asks(0, Answer::Refused(34_000))),
            // What still runs may go on, and may crash.
            (5_000, Crash),
            (33_999, Works),
            (33_999, Asks(1, Answer::Refused(34_000))),
            (34_000, Asks(0, Answer::Now)),
            (34_100, Asks(1, Answer::Later)),
            // The trial fails: twice as long. And again, up to five minutes.
            (35_000, Crash),
            (35_000, Asks(0, Answer::Refused(95_000))),
            (95_000, Asks(0, Answer::Now)),
            (95_000, Crash),
            (95_000, Asks(0, Answer::Refused(215_000))),
            (215_000, Asks(0, Answer::Now)),
            (215_000, Crash),
            (455_000, Asks(0, Answer::Now)),
            (455_000, Crash),
            (455_000, Asks(0, Answer::Refused(755_000))),
            (755_000, Asks(0, Answer::Now)),
            (756_000, Works),
            (756_000, Asks(1, Answer::Now)),
            (757_000, Crash),
            (757_000, Asks(0, Answer::At(757_100))),
        ]);
        check(&story);
    }

    #[test]
    fn crashes_that_are_far_apart_do_not_open_it() {
        let mut story: Vec<_> = (0..20).map(|n| (n * 15_000, Crash)).collect();
        story.push((400_000, Asks(0, Answer::Now)));
        check(&story);
    }
}
