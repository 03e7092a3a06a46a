use std::mem::take;
use std::time::{Duration, Instant};

/// Lines in a window of time; more are counted only.
const LINES: u32 = 200;
const WINDOW: Duration = Duration::from_secs(1);

/// How many lines one source may say. Time comes in as an argument.
#[derive(Debug)]
pub(crate) struct Rate {
    window: Instant,
    taken: u32,
    left_out: u64,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Passed {
    /// It is taken, after so many that were not.
    After(u64),
    /// It is left out, and counted.
    No,
}

impl Rate {
    pub(crate) fn new(now: Instant) -> Self {
        Self { window: now, taken: 0, left_out: 0 }
    }

    /// Asks for one line.
    pub(crate) fn pass(&mut self, now: Instant) -> Passed {
        if now.saturating_duration_since(self.window) > WINDOW {
            (self.window, self.taken) = (now, 0);
        }
        if self.taken >= LINES {
            self.left_out += 1;
            return Passed::No;
        }
        self.taken += 1;
        Passed::After(self.take_left_out())
    }

    /// How many were left out since this was last told.
    pub(crate) fn take_left_out(&mut self) -> u64 {
        take(&mut self.left_out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted_and_told_once() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        assert!((0..LINES).all(|_| rate.pass(start) == Passed::After(0)));
        assert!((0..3).all(|_| rate.pass(start + WINDOW) == Passed::No));
        let later = start + WINDOW + Duration::from_millis(1);
        assert_eq!(rate.pass(later), Passed::After(3));
        assert_eq!((rate.pass(later), rate.take_left_out()), (Passed::After(0), 0));
    }
}
