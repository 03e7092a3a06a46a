//! When to try again, as a pure function: time and randomness come in as arguments.

use std::time::Duration;

/// How long to wait after each failed try, and when to give up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetrySchedule(Steps);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Steps {
    /// One wait after the other, then no more.
    List(Vec<Duration>),
    /// Doubles up to a bound, and never ends.
    Doubling { first: Duration, most: Duration },
}

impl RetrySchedule {
    /// Waits as listed, then gives up.
    pub fn list(delays: Vec<Duration>) -> Self {
        Self(Steps::List(delays))
    }

    /// For receivers: quick at first, since most faults pass; then long enough to live through a day on
    /// which somebody has to notice and repair.
    pub fn receivers() -> Self {
        Self::list([5, 30, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600].map(Duration::from_secs).to_vec())
    }

    /// For reaching a peer: at once when it only restarted, and never longer than `most`.
    pub fn dialing(most: Duration) -> Self {
        Self(Steps::Doubling { first: Duration::from_millis(100), most })
    }

    /// For starting a worker that crashed.
    pub fn worker_restarts() -> Self {
        Self(Steps::Doubling { first: Duration::from_millis(100), most: Duration::from_secs(30) })
    }

    /// How long to wait after the `attempt`th failed try, counted from 1; `None` gives up.
    ///
    /// The wait is spread by ±20 % with `random`, which is from 0 to 1, so that those who failed together
    /// do not come back together. A `hint` of the other side makes it longer, up to [`MAX_HINT`], and
    /// never shorter.
    pub fn delay(&self, attempt: u32, hint: Option<Duration>, random: f64) -> Option<Duration> {
        let step = attempt.saturating_sub(1);
        let base = match &self.0 {
            Steps::List(delays) => *delays.get(usize::try_from(step).ok()?)?,
            Steps::Doubling { first, most } => first.saturating_mul(1 << step.min(30)).min(*most),
        };
        // A NaN would panic below.
        let random = if random.is_finite() { random.clamp(0.0, 1.0) } else { 0.5 };
        let spread = base.mul_f64(1.0 + JITTER * (2.0 * random - 1.0));
        Some(spread.max(hint.unwrap_or_default().min(MAX_HINT)))
    }
}

/// The longest wait that the other side can ask for: it may be hostile, or have a wrong clock.
pub const MAX_HINT: Duration = Duration::from_secs(3600);

/// The part of a wait by which it is made longer or shorter.
const JITTER: f64 = 0.2;

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Option<Duration> = None;

    #[test]
    fn receivers_are_tried_for_a_day_and_then_given_up() {
        let schedule = RetrySchedule::receivers();
        let delays: Vec<_> = (1..=8).map(|attempt| schedule.delay(attempt, NONE, 0.5).map(|d| d.as_secs())).collect();
        assert_eq!(delays, [Some(5), Some(30), Some(300), Some(1800), Some(7200), Some(18_000), Some(36_000), None]);
        assert_eq!(schedule.delay(u32::MAX, NONE, 0.5), None);
        assert_eq!(RetrySchedule::list(Vec::new()).delay(1, NONE, 0.5), None);
    }

    #[test]
    fn dialing_doubles_to_a_bound_and_never_ends() {
        let schedule = RetrySchedule::dialing(Duration::from_secs(30));
        for (attempt, millis) in
            [(0, 100), (1, 100), (2, 200), (5, 1600), (9, 25_600), (10, 30_000), (u32::MAX, 30_000)]
        {
            assert_eq!(schedule.delay(attempt, NONE, 0.5), Some(Duration::from_millis(millis)), "{attempt}");
        }
    }

    #[test]
    fn waits_are_spread_by_a_fifth() {
        let schedule = RetrySchedule::list(vec![Duration::from_secs(10)]);
        for (random, seconds) in [(0.0, 8), (0.5, 10), (1.0, 12), (-7.0, 8), (7.0, 12), (f64::NAN, 10)] {
            assert_eq!(schedule.delay(1, NONE, random), Some(Duration::from_secs(seconds)), "{random}");
        }
    }

    #[test]
    fn a_hint_makes_it_longer_never_shorter_and_not_endless() {
        let schedule = RetrySchedule::list(vec![Duration::from_secs(10)]);
        for (hint, seconds) in [(0, 10), (9, 10), (60, 60), (u64::MAX, 3600)] {
            assert_eq!(schedule.delay(1, Some(Duration::from_secs(hint)), 0.5), Some(Duration::from_secs(seconds)));
        }
        assert_eq!(schedule.delay(2, Some(Duration::from_secs(60)), 0.5), None);
    }
}
