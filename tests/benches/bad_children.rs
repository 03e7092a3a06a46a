//! What a good call costs beside programs that do wrong.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use coattail::wire::host::Perform;
use coattail_tests::Instance;
use coattail_tests::instance::binary;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::calls::{input, name};
use crate::effort::Effort;
use crate::load::{Round, client, control, unlimited};
use crate::report::{Cell, Row, Section};

/// From one good call to the next: the times are those of the calls, and of nothing that waits.
const PACE: Duration = Duration::from_millis(2);

/// From one bad call to the next, at the least: what is measured is what it does wrong, not how often it is asked to.
const BAD_PACE: Duration = Duration::from_millis(10);

/// Rounds of calls are longer than those of other tables by this, since calls with pauses between are fewer.
const LONGER: u32 = 2;

/// How long a bad call may take.
const LIMIT_MS: u64 = 200;

/// Of `tests/it/bad_children/programs`: what is done wrong, where, and under which name in `actions/`.
const CASES: [(&str, &str, &str); 9] = [
    ("never ends", "sleeps.sh", "sleeps.sh"),
    ("keeps a core busy", "spins.sh", "spins.sh"),
    ("dies in each call", "by-hand/exits-in-mid-call.sh", "dies"),
    ("ignores TERM", "ignores-term.py", "stubborn.py"),
    ("leaves a daemon behind", "daemonizes.sh", "daemonizes.sh"),
    ("answers twice", "by-hand/answers-twice.sh", "twice"),
    ("prints binary garbage", "by-hand/binary-garbage.sh", "garbage"),
    ("prints 100 MiB", "prints-100-mib.sh", "prints.sh"),
    ("complains for 1 GiB", "floods-stderr.sh", "floods.sh"),
];

pub(crate) fn measure(effort: &Effort) -> Section {
    let instance = unlimited("bad-children");
    fs::copy(binary("fixture-plugin"), instance.path("actions/rust")).expect("copied");
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/bad_children/programs");
    let read = |file: &str| fs::read_to_string(programs.join(file)).expect("there is such a program");
    fs::write(instance.path("by-hand.sh"), read("by-hand.sh")).expect("written");
    for (_, file, action) in CASES {
        instance.plugin(&format!("actions/{action}"), &read(file));
    }
    let rows = CASES.iter().map(|(what, _, action)| {
        let action = action.split('.').next().expect("a name");
        sample(effort, &instance, None);
        // One after the other in each round, so that what else the machine does meets both.
        let rounds: Vec<(Round, Round)> = (0..effort.rounds)
            .map(|_| (sample(effort, &instance, None), sample(effort, &instance, Some(action))))
            .collect();
        let times = |share, beside: bool| {
            Cell::times(rounds.iter().map(move |round| (if beside { &round.1 } else { &round.0 }).quantile(share)))
        };
        let ratio = |share| {
            let seconds = move |round: &Round| round.quantile(share).as_secs_f64();
            Cell::ratios(rounds.iter().map(move |(alone, beside)| seconds(beside) / seconds(alone)))
        };
        let cells =
            vec![times(0.5, false), times(0.5, true), ratio(0.5), times(0.99, false), times(0.99, true), ratio(0.99)];
        Row { what: (*what).to_owned(), cells }
    });
    Section {
        note: "A call every 2 ms to a warm worker in Rust, through the control socket, alone and beside an action that \
               is called again and again, every 10 ms if it ends, for at most 200 ms each time, and does what the row says. × compares with \
               alone in the same round; the goal is at most 1.2 at p99. What the processes of the bad action use of the \
               processor is theirs: the daemon cannot give it back on a machine with too few cores."
            .to_owned(),
        columns: &["p50 alone", "p50 beside", "×", "p99 alone", "p99 beside", "×"],
        rows: rows.collect(),
    }
}

/// A round of good calls.
fn sample(effort: &Effort, instance: &Instance, bad: Option<&str>) -> Round {
    let stop = CancellationToken::new();
    thread::scope(|scope| {
        if let Some(bad) = bad {
            let stop = stop.clone();
            scope.spawn(move || {
                client(async {
                    let session = control(instance).await;
                    let perform = call(bad);
                    // However it ends: it is called again.
                    let again = async {
                        let mut ticks = interval(BAD_PACE);
                        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                        loop {
                            ticks.tick().await;
                            let _ = session.call(&perform).await;
                        }
                    };
                    stop.run_until_cancelled(again).await
                })
            });
        }
        let round = client(async {
            let session = control(instance).await;
            let good = call("rust");
            let (start, mut ticks, mut times) = (Instant::now(), interval(PACE), Vec::new());
            while start.elapsed() < effort.round * LONGER {
                ticks.tick().await;
                let begun = Instant::now();
                session.call(&good).await.expect("it echoes");
                times.push(begun.elapsed());
            }
            Round::new(times, start.elapsed())
        });
        stop.cancel();
        round
    })
}

fn call(action: &str) -> Perform {
    let action = name(action);
    let call = json!({"action": action, "input": input(), "publish": false, "timeout_ms": LIMIT_MS});
    serde_json::from_value(call).expect("a call")
}
