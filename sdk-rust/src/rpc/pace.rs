use std::time::Duration;

use tokio::task::consume_budget;
use tokio::time::{Instant, sleep_until};

/// How fast is read what a program prints. Its pipe fills, and it waits, so that however
/// much it is costs nobody else a processor.
///
/// Turns alone would not do: a system whose processes do not preempt each other gives nobody the processor of one that
/// always has something to do.
#[derive(Debug, Clone)]
pub struct Pace {
    /// Of the piece that is being read.
    taken: usize,
    /// Until when what was read so far is paid for.
    paid: Instant,
}

impl Pace {
    /// One that has read nothing yet.
    pub fn new() -> Self {
        Self { taken: 0, paid: Instant::now() }
    }

    /// Waits if more than may be was read, now that so many more bytes were.
    pub async fn keep(&mut self, bytes: usize) {
        consume_budget().await;
        self.taken += bytes.max(LEAST);
        if self.taken < PIECE {
            return;
        }
        let now = Instant::now();
        // What was not used in time is lost, but for the allowance.
        let since = self.paid.max(now.checked_sub(ALLOWANCE * TIME).unwrap_or(now));
        self.paid = since + TIME * u32::try_from(self.taken / PIECE).unwrap_or(u32::MAX);
        self.taken %= PIECE;
        if self.paid > now {
            sleep_until(self.paid).await;
        }
    }
}

impl Default for Pace {
    fn default() -> Self {
        Self::new()
    }
}

/// Bytes that are read in [`TIME`].
const PIECE: usize = 64 * 1024;
/// What a line counts for at least, in bytes: each takes time, be it ever so short.
const LEAST: usize = 1024;
/// The shortest that a timer waits. With [`PIECE`] it makes some 60 MiB in a second, or as many thousand
/// lines, for a few hundredths of a processor.
const TIME: Duration = Duration::from_millis(1);
/// Pieces that are read at once after a pause: what is no flood meets no limit.
const ALLOWANCE: u32 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_flood_is_slowed_and_what_comes_now_and_then_is_not() {
        let start = Instant::now();
        let mut pace = Pace::new();
        for _ in 0..1_000 {
            pace.keep(PIECE).await;
        }
        let took = start.elapsed();
        assert!((TIME * 900..TIME * 1_100).contains(&took), "{took:?}");
        tokio::time::advance(TIME * ALLOWANCE).await;
        let start = Instant::now();
        for _ in 0..ALLOWANCE {
            pace.keep(PIECE).await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
        pace.keep(PIECE).await;
        assert!(start.elapsed() > Duration::ZERO);
    }
}
