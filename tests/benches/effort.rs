use std::time::Duration;

/// How long to measure.
#[derive(Debug)]
pub(crate) struct Effort {
    /// Rounds of each row; the table has their median and spread.
    pub(crate) rounds: usize,
    /// How long a round of calls lasts.
    pub(crate) round: Duration,
    /// How long the same is done before the first round, and not counted.
    pub(crate) warm_up: Duration,
    /// Subscriptions to one publication.
    pub(crate) subscriptions: &'static [usize],
    /// Receiver starts to wait for in a round; there are at least ten publications.
    pub(crate) receiver_starts: usize,
    /// Subscriptions of a subscriber that takes nothing.
    pub(crate) stuck: usize,
    /// Processes to start in a round.
    pub(crate) processes: usize,
    /// Sessions that are open at once.
    pub(crate) sessions: &'static [usize],
}

impl Effort {
    /// Under five minutes.
    pub(crate) const FULL: Self = Self {
        rounds: 5,
        round: Duration::from_millis(600),
        warm_up: Duration::from_millis(300),
        subscriptions: &[1, 10, 100],
        receiver_starts: 100,
        stuck: 1000,
        processes: 20,
        sessions: &[0, 100, 1000],
    };

    /// Some twenty seconds: whether everything can still be measured, and the order of magnitude.
    pub(crate) const QUICK: Self = Self {
        rounds: 3,
        round: Duration::from_millis(50),
        warm_up: Duration::from_millis(20),
        subscriptions: &[1, 10],
        receiver_starts: 10,
        stuck: 50,
        processes: 3,
        sessions: &[0, 100],
    };
}
