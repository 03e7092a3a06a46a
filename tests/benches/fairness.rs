//! What a call costs beside another peer.

use std::fs;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use coattail::id::CallId;
use coattail::rpc::Session;
use coattail::wire::peer::Perform;
use coattail_tests::Instance;
use coattail_tests::instance::binary;
use tokio::task::JoinSet;
use tokio::time::{interval, sleep};
use tokio_util::sync::CancellationToken;

use crate::calls::{input, name};
use crate::effort::Effort;
use crate::load::{Round, client};
use crate::peer::Dialer;
use crate::process::cpu;
use crate::report::{Cell, Row, Section};

/// From one measured call to the next: half of what its token may do.
const PACE: Duration = Duration::from_millis(2);

/// From one call of the modest peer to the next: all that its token may do.
const ALLOWED: Duration = Duration::from_millis(1);

/// Calls that the flood keeps under way: more than a session takes at once, so that the socket is always full.
const FLOOD: usize = 4_096;

/// How long the other peer goes on before it counts: until it has used up what it may do at once.
const SETTLE: Duration = Duration::from_millis(500);

/// Rounds of calls are longer than those of other tables by this, since calls with pauses between are fewer.
const LONGER: u32 = 3;

const CASES: [(&str, Beside); 3] = [
    ("alone", Beside::Nobody),
    ("beside a peer that makes the calls it may make", Beside::Modest),
    ("beside a peer at its limit that floods", Beside::Flood),
];

#[derive(Debug, Clone, Copy)]
enum Beside {
    Nobody,
    Modest,
    Flood,
}

pub(crate) fn measure(effort: &Effort) -> Section {
    let mut instance = Instance::new("fairness");
    fs::copy(binary("fixture-plugin"), instance.path("actions/rust")).expect("copied");
    instance.start();
    let (measured, other) = (Dialer::new(&instance), Dialer::new(&instance));
    // One after the other in each round, so that what else the machine does meets all of them.
    let rounds: Vec<[Sample; 3]> = (0..effort.rounds)
        .map(|_| CASES.map(|(_, beside)| sample(effort, &instance, &measured, &other, beside)))
        .collect();
    let row = |(case, (what, _)): (usize, &(&str, Beside))| {
        let of = |share: f64| {
            rounds.iter().map(move |round| (round[case].calls.quantile(share), round[0].calls.quantile(share)))
        };
        let ratio = |share| Cell::ratios(of(share).map(|(beside, alone)| beside.as_secs_f64() / alone.as_secs_f64()));
        let quantile = |share| Cell::times(of(share).map(|(beside, _)| beside));
        Row {
            what: (*what).to_owned(),
            cells: vec![
                quantile(0.5),
                ratio(0.5),
                quantile(0.99),
                ratio(0.99),
                Cell::shares(rounds.iter().map(|round| round[case].daemon)),
                Cell::shares(rounds.iter().map(|round| round[case].clients)),
            ],
        }
    };
    Section {
        note: "A call with one token every 2 ms, from its own client to a warm worker and back, and what another peer \
               with a token of its own does meanwhile, at the default limits. The flood keeps 4,096 calls under way, \
               sent as fast as the socket takes them. × compares with alone in the same round. Of a core: what the \
               daemon and both clients use."
            .to_owned(),
        columns: &["p50", "×", "p99", "×", "daemon", "clients"],
        rows: CASES.iter().enumerate().map(row).collect(),
    }
}

/// A round of calls, and how much of a core was used meanwhile.
#[derive(Debug)]
struct Sample {
    calls: Round,
    daemon: f64,
    clients: f64,
}

fn sample(effort: &Effort, instance: &Instance, measured: &Dialer, other: &Dialer, beside: Beside) -> Sample {
    let stop = CancellationToken::new();
    let neighbour = neighbour(other.clone(), beside, stop.clone());
    let sample = client(async {
        let session = measured.dial().await;
        sleep(SETTLE).await;
        let used = || (cpu(&instance.pid().to_string()), cpu("self"));
        let ((daemon, clients), start) = (used(), Instant::now());
        let mut ticks = interval(PACE);
        let mut times = Vec::new();
        while start.elapsed() < effort.round * LONGER {
            ticks.tick().await;
            let begun = Instant::now();
            assert!(perform(&session).await, "it is within its rate");
            times.push(begun.elapsed());
        }
        let (elapsed, after) = (start.elapsed(), used());
        let share = |from: Duration, to: Duration| (to - from).as_secs_f64() / elapsed.as_secs_f64();
        Sample { calls: Round::new(times, elapsed), daemon: share(daemon, after.0), clients: share(clients, after.1) }
    });
    stop.cancel();
    neighbour.join().expect("the other peer did not panic");
    sample
}

/// Has a thread of its own.
fn neighbour(dialer: Dialer, beside: Beside, stop: CancellationToken) -> JoinHandle<()> {
    let work = async move {
        let session = dialer.dial().await;
        match beside {
            Beside::Nobody => std::future::pending().await,
            Beside::Modest => {
                let mut ticks = interval(ALLOWED);
                loop {
                    ticks.tick().await;
                    perform(&session).await;
                }
            }
            Beside::Flood => {
                let mut calls = JoinSet::new();
                loop {
                    while calls.len() < FLOOD {
                        let session = session.clone();
                        calls.spawn(async move { perform(&session).await });
                    }
                    calls.join_next().await;
                }
            }
        }
    };
    thread::spawn(move || client(async { stop.run_until_cancelled(work).await }).unwrap_or(()))
}

/// Whether it was done.
async fn perform(session: &Session) -> bool {
    let call = CallId::new();
    let perform = Perform {
        call,
        action: name("rust"),
        input: Some(input()),
        publish: false,
        timeout_ms: None,
        start_timeout_ms: None,
        follow: false,
        key: None,
        cause: None,
    };
    session.call(&perform).await.is_ok()
}
