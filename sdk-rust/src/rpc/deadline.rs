use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Until when a call is wanted. It can be moved, by whoever works on the call; all clones are the same deadline.
#[derive(Debug, Clone)]
pub struct Deadline {
    limit: Duration,
    last: Instant,
    // A std mutex: held for one assignment.
    at: Arc<Mutex<Instant>>,
}

impl Deadline {
    /// So long from now.
    pub fn new(limit: Duration) -> Self {
        let (now, limit) = (Instant::now(), limit.min(LONGEST));
        Self { limit, last: now + limit.max(LONGEST_WORKING), at: Arc::new(Mutex::new(now + limit)) }
    }

    /// How long it was from its beginning.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Begins anew, with its whole length from now: the work goes on. Not beyond 30 days after the first beginning.
    pub fn prolong(&self) {
        let mut at = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        *at = (*at).max((Instant::now() + self.limit).min(self.last));
    }

    /// Resolves when it has passed.
    pub async fn passed(&self) {
        loop {
            let at = self.at();
            sleep_until(at).await;
            // It only ever moves away: who wakes too early sleeps again.
            if self.at() <= at {
                return;
            }
        }
    }

    /// When it will have passed, unless it is moved.
    pub fn at(&self) -> Instant {
        *self.at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The longest time a call may be given. A caller can ask for any number, and clocks end somewhere.
const LONGEST: Duration = Duration::from_hours(24 * 366);

/// Until when a call can go on by saying that it is worked on: what says so for ever has to end, too. As long as the
/// configuration can allow a call.
const LONGEST_WORKING: Duration = Duration::from_hours(24 * 30);

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[tokio::test(start_paused = true)]
    async fn it_passes_a_whole_length_after_it_was_last_prolonged() {
        let (deadline, start) = (Deadline::new(MINUTE), Instant::now());
        let prolong = async {
            tokio::time::sleep(MINUTE / 2).await;
            deadline.prolong();
        };
        tokio::join!(deadline.passed(), prolong);
        assert_eq!(start.elapsed().as_secs(), 90);
    }

    #[tokio::test(start_paused = true)]
    async fn it_cannot_be_prolonged_for_ever() {
        let (deadline, start) = (Deadline::new(MINUTE), Instant::now());
        let prolong = async {
            loop {
                tokio::time::sleep(MINUTE / 2).await;
                deadline.prolong();
            }
        };
        tokio::select! { () = deadline.passed() => {}, () = prolong => {} }
        assert_eq!(start.elapsed().as_secs(), LONGEST_WORKING.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn any_length_can_be_asked_for() {
        let deadline = Deadline::new(Duration::MAX);
        assert_eq!(deadline.limit(), LONGEST);
        deadline.prolong();
        deadline.passed().await;
    }
}
