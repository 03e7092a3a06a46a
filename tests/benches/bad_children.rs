//! What a good call costs beside programs that do wrong.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use coattail::wire::host::Perform;
use coattail_tests::Instance;
use coattail_tests::instance::binary;
use serde_json::json;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::calls::{input, name};
use crate::cores::{Herded, Pinned};
use crate::effort::Effort;
use crate::load::{Round, client, control, unlimited};
use crate::pipe::Bare;
use crate::report::{Cell, Row, Section};

/// From one good call to the next: the times are those of the calls, and of nothing that waits.
const PACE: Duration = Duration::from_millis(2);

/// From one bad call to the next, at the least: what is measured is what it does wrong, not how often it is asked to.
const BAD_PACE: Duration = Duration::from_millis(10);

/// Rounds of calls are longer than those of other tables by this, since calls with pauses between are fewer.
const LONGER: u32 = 2;

/// How long a bad call may take.
const LIMIT_MS: u64 = 200;

/// Of `tests/it/bad_children/programs`: what is done wrong, where, and whether it speaks JSON-RPC.
const CASES: [(&str, &str, bool); 9] = [
    ("never ends", "sleeps.sh", false),
    (SPINS, "spins.sh", false),
    ("dies in each call", "by-hand/exits-in-mid-call.sh", true),
    ("ignores TERM", "ignores-term.sh", false),
    ("leaves a daemon behind", "daemonizes.sh", false),
    ("answers twice", "by-hand/answers-twice.sh", true),
    ("prints binary garbage", "by-hand/binary-garbage.sh", true),
    ("prints 100 MiB", "prints-100-mib.sh", false),
    ("complains for 1 GiB", "floods-stderr.sh", false),
];

const SPINS: &str = "keeps a core busy";

/// Runs what follows on the second processor.
const ELSEWHERE: [&str; 3] = ["taskset", "-c", "'1'"];

pub(crate) fn measure(effort: &Effort) -> Section {
    let mut rows = Vec::new();
    if let Some(_pinned) = Pinned::to_first() {
        let instance = with_cases(&ELSEWHERE);
        sample(effort, &instance, None);
        // Those that guard the bad ones, too; the good worker is there already.
        let _herded = Herded::children_of(instance.pid());
        for (number, (what, ..)) in CASES.iter().enumerate() {
            let bad = format!("bad-{number}");
            rows.push(row(*what, effort, |beside| sample(effort, &instance, beside.then_some(&bad))));
        }
    }
    let instance = with_cases(&[]);
    let spins = CASES.iter().position(|(what, ..)| *what == SPINS).map(|number| format!("bad-{number}"));
    let shared = |beside: bool| sample(effort, &instance, spins.as_deref().filter(|_| beside));
    rows.push(row(format!("{SPINS}, any of them"), effort, shared));
    let mut bare = Bare::start(&[&binary("fixture-plugin").to_string_lossy()], &[], input().get());
    rows.push(row("the same beside a bare pipe", effort, |beside| bare_sample(effort, &mut bare, beside)));
    Section {
        note: "A call every 2 ms to a warm worker in Rust, through the control socket, alone and beside an action that \
               is called again and again, every 10 ms if it ends, for at most 200 ms each time, and does what the row says. × compares with \
               alone in the same round; the goal is at most 1.2 at p99. The bad action's own processes, with those that guard them, have the second \
               core, and everything else, the daemon's work for that action too, has the first: so it is told what the daemon does, and \
               not how the kernel shares cores of which there are too few. The last two rows are that: nothing is bound to a \
               core, and in the last there is no daemon."
            .to_owned(),
        columns: &["p50 alone", "p50 beside", "×", "p99 alone", "p99 beside", "×"],
        rows,
    }
}

/// An instance with a good action and all bad ones, whose command lines begin with these words.
fn with_cases(prefix: &[&str]) -> Instance {
    let instance = unlimited("bad-children");
    fs::copy(binary("fixture-plugin"), instance.path("actions/rust")).expect("copied");
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/bad_children/programs");
    let read = |file: &str| fs::read_to_string(programs.join(file)).expect("there is such a program");
    fs::write(instance.path("by-hand.sh"), read("by-hand.sh")).expect("written");
    for (number, (_, file, speaks)) in CASES.iter().enumerate() {
        let name = format!("bad-{number}");
        let protocol = if *speaks { "json-rpc" } else { "plain" };
        let command = [prefix, &["sh"]].concat().join(", ");
        instance.plugin(&format!("actions/{name}.sh"), &read(file));
        let sidecar = format!("command: [{command}]\nprotocol: {protocol}\n");
        fs::write(instance.path(&format!("actions/{name}.yml")), sidecar).expect("written");
    }
    instance
}

/// Alone and beside, one after the other in each round, so that what else the machine does meets both.
fn row(what: impl Into<String>, effort: &Effort, mut sample: impl FnMut(bool) -> Round) -> Row {
    sample(false);
    let rounds: Vec<(Round, Round)> = (0..effort.rounds).map(|_| (sample(false), sample(true))).collect();
    let times = |share, beside: bool| {
        Cell::times(rounds.iter().map(move |round| (if beside { &round.1 } else { &round.0 }).quantile(share)))
    };
    let ratio = |share| {
        let seconds = move |round: &Round| round.quantile(share).as_secs_f64();
        Cell::ratios(rounds.iter().map(move |(alone, beside)| seconds(beside) / seconds(alone)))
    };
    let cells =
        vec![times(0.5, false), times(0.5, true), ratio(0.5), times(0.99, false), times(0.99, true), ratio(0.99)];
    Row { what: what.into(), cells }
}

/// A round of calls to a worker without a daemon, alone or beside a loop of a shell.
#[expect(clippy::disallowed_methods, reason = "a busy core without a daemon")]
fn bare_sample(effort: &Effort, bare: &mut Bare, beside: bool) -> Round {
    let spinner =
        beside.then(|| Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("there is a shell"));
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < effort.round * LONGER {
        thread::sleep(PACE);
        let begun = Instant::now();
        bare.call();
        times.push(begun.elapsed());
    }
    if let Some(mut spinner) = spinner {
        spinner.kill().and_then(|()| spinner.wait()).expect("it ends");
    }
    Round::new(times, start.elapsed())
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
