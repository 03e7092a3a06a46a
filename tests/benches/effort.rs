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
    /// Publications to each subscription in a round of fan-out, at the most.
    pub(crate) publications: usize,
    /// Publications that a subscriber which was away lacks.
    pub(crate) backlog: usize,
    /// Publications in the longest log.
    pub(crate) log: usize,
    /// How long to look at somebody who does nothing.
    pub(crate) idle: Duration,
    /// Whether pictures are written.
    pub(crate) is_kept: bool,
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
        publications: 50_000,
        backlog: 100_000,
        log: 1_000_000,
        idle: Duration::from_secs(20),
        is_kept: true,
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
        publications: 2_000,
        backlog: 10_000,
        log: 10_000,
        idle: Duration::from_secs(2),
        is_kept: false,
    };
}
