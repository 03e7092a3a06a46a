//! Keeps calls under way and times them.

use std::time::{Duration, Instant};

use coattail::rpc::Session;
use coattail_tests::Instance;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::effort::Effort;
use crate::report::{Cell, Row};

/// What one round gave.
#[derive(Debug)]
pub(crate) struct Round {
    /// Sorted.
    times: Vec<Duration>,
    elapsed: Duration,
}

impl Round {
    pub(crate) fn new(mut times: Vec<Duration>, elapsed: Duration) -> Self {
        assert!(!times.is_empty(), "a round measures something");
        times.sort();
        Self { times, elapsed }
    }

    /// What this share of all calls did not exceed.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        let at = (share * self.times.len() as f64).ceil() as usize;
        self.times[at.clamp(1, self.times.len()) - 1]
    }

    /// The time in which one call ends on average, however many are under way.
    pub(crate) fn each(&self) -> Duration {
        self.elapsed.div_f64(self.times.len() as f64)
    }

    pub(crate) fn count(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.elapsed.as_secs_f64()
    }
}

/// The columns of [`row`].
pub(crate) const COLUMNS: &[&str] = &["p50", "p99", "per second"];

/// Median and spread of rounds.
pub(crate) fn row(what: impl Into<String>, rounds: &[Round]) -> Row {
    let mut row = quantiles(what, rounds);
    row.cells.push(Cell::rates(rounds.iter().map(Round::per_second)));
    row
}

/// As [`row`], where nothing but the time of each counts.
pub(crate) fn quantiles(what: impl Into<String>, rounds: &[Round]) -> Row {
    let quantile = |share| Cell::times(rounds.iter().map(move |round| round.quantile(share)));
    Row { what: what.into(), cells: vec![quantile(0.5), quantile(0.99)] }
}

/// Keeps so many calls under way: each is begun when the one before it has ended.
pub(crate) async fn rounds<F, Fut>(effort: &Effort, in_flight: usize, call: F) -> Vec<Round>
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    round(in_flight, effort.warm_up, call.clone()).await;
    let mut rounds = Vec::new();
    for _ in 0..effort.rounds {
        rounds.push(round(in_flight, effort.round, call.clone()).await);
    }
    rounds
}

/// One round of calls, so many under way at once.
pub(crate) async fn round<F, Fut>(in_flight: usize, length: Duration, call: F) -> Round
where
    F: Fn() -> Fut + Clone + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let start = Instant::now();
    let caller = |call: F| async move {
        let mut times = Vec::new();
        while start.elapsed() < length {
            let begun = Instant::now();
            call().await;
            times.push(begun.elapsed());
        }
        times
    };
    let callers: JoinSet<_> = (0..in_flight).map(|_| caller(call.clone())).collect();
    let times = callers.join_all().await.concat();
    Round::new(times, start.elapsed())
}

/// As [`rounds`], for what blocks: one after the other.
pub(crate) fn blocking_rounds(effort: &Effort, mut call: impl FnMut()) -> Vec<Round> {
    blocking_round(effort.warm_up, &mut call);
    (0..effort.rounds).map(|_| blocking_round(effort.round, &mut call)).collect()
}

/// One round of what blocks.
pub(crate) fn blocking_round(length: Duration, mut call: impl FnMut()) -> Round {
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < length || times.is_empty() {
        let begun = Instant::now();
        call();
        times.push(begun.elapsed());
    }
    Round::new(times, start.elapsed())
}

/// Runs a client. One thread, so that it takes little from those that are measured.
pub(crate) fn client<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime can be started").block_on(work)
}

/// An instance that runs, and takes as many connections and calls from one address, with one token, as come.
pub(crate) fn unlimited(name: &str) -> Instance {
    let mut instance = Instance::new(name);
    instance.configure(
        "limits:\n  calls_per_second: 10000000\n  burst: 10000000\n  sessions_per_token: 65536\n  \
         connections_per_address: 65536\n  connection_burst_per_address: 1000000",
    );
    instance.start();
    instance
}

/// A session with the daemon of an instance, over its control socket. It ends with the client.
pub(crate) async fn control(instance: &Instance) -> Session {
    let connected = coattail::control::connect(instance.folder(), CancellationToken::new()).await;
    let (session, run) = connected.expect("the service runs");
    TaskTracker::new().spawn(run);
    session
}
