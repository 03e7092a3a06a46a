//! What Coattail adds to a program at the other end of a pipe.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use coattail::id::{CallId, IssuerHash};
use coattail::rpc::Service;
use coattail_daemon::plugins::{PerformCall, Plugins, Settings};
use coattail_tests::instance::{binary, program};
use coattail_tests::{Instance, plugin};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::calls::{input, name};
use crate::effort::Effort;
use crate::load::{self, Round, blocking_round, client, control, unlimited};
use crate::pipe::Bare;
use crate::process::used;
use crate::report::{Cell, Row, Section};

/// The least that a worker in Python can do: what its SDK is compared with.
const LOOP_PY: &str = "import json, sys\n\
    for line in sys.stdin.buffer:\n    \
    request = json.loads(line)\n    \
    params = request.get('params')\n    \
    result = {'output': params['input']} if request['method'] == 'perform' else {'protocol': 1}\n    \
    answer = {'jsonrpc': '2.0', 'id': request['id'], 'result': result}\n    \
    sys.stdout.buffer.write(json.dumps(answer, separators=(',', ':')).encode() + b'\\n')\n    \
    sys.stdout.buffer.flush()\n";

/// What `sh -c cat` does: the shell makes way for `cat`.
const CAT_SH: &str = "#!/bin/sh\nexec cat\n";

/// Calls to one worker at once: the default of its `concurrency`.
const AT_ONCE: usize = 16;

/// Workers whose memory is measured.
const WORKERS: usize = 32;

/// How much ours may take, compared with the floor.
#[derive(Debug, Clone, Copy)]
enum Goal {
    Times(f64),
    More(Duration),
}

pub(crate) fn measure(effort: &Effort) -> Section {
    let inside = Inside::new();
    let [mut rust, mut node, mut python] = [bare_rust(), bare_node(&inside), bare_python(&inside)];
    let mut own_loop = Bare::start(&["python3", "-c", LOOP_PY], &[], input().get());
    let service = unlimited("plugins");
    fs::copy(binary("fixture-plugin"), service.path("actions/rust")).expect("copied");
    service.json(&["action", "perform", "rust", "--data", "1"]);
    let p50 = |round: Round| round.quantile(0.5);
    let ping = |bare: &mut Bare| p50(blocking_round(effort.round, || bare.call()));
    let rows = vec![
        row(effort, "a warm worker in Rust", Goal::Times(3.0), || {
            (ping(&mut rust), p50(inside.calls(effort, "rust", 1)))
        }),
        row(effort, "a warm worker in Node", Goal::Times(2.0), || {
            (ping(&mut node), p50(inside.calls(effort, "node", 1)))
        }),
        row(effort, "a warm worker in Python", Goal::Times(3.0), || {
            (ping(&mut python), p50(inside.calls(effort, "python", 1)))
        }),
        row(effort, "16 calls in flight to one worker in Node, each", Goal::Times(1.0), || {
            (ping(&mut node), inside.calls(effort, "node", AT_ONCE).each())
        }),
        row(effort, "the SDK for Python, beside a loop over lines", Goal::Times(1.25), || {
            (ping(&mut own_loop), ping(&mut python))
        }),
        row(effort, "a plain script, beside `sh -c cat`", Goal::Times(1.3), || {
            let own = blocking_round(effort.round, || own_cat(input().get()));
            (p50(own), p50(inside.calls(effort, "plain", 1)))
        }),
        row(
            effort,
            "`coattail action perform` with a warm worker in Rust, beside a call in the daemon",
            Goal::More(Duration::from_millis(10)),
            || {
                let perform = || until_it_ends(&service, &["action", "perform", "rust", "--data", input().get()]);
                (p50(inside.calls(effort, "rust", 1)), p50(blocking_round(effort.round, perform)))
            },
        ),
        memory(effort),
    ];
    Section {
        note: "The floor is the same program without a daemon: a line into its pipe, its answer out of the other, with \
               blocking calls. Ours is a call from inside the daemon, through all that it does to a plugin's call. Floor \
               and ours take turns in each round, and p50 is compared; of what is in flight, the time in which one ends."
            .to_owned(),
        columns: &["floor", "ours", "ours − floor", "×", "goal", "met"],
        rows,
    }
}

/// A row of rounds, each of which gives the floor and ours.
fn row(effort: &Effort, what: &str, goal: Goal, mut round: impl FnMut() -> (Duration, Duration)) -> Row {
    round();
    let rounds: Vec<_> = (0..effort.rounds).map(|_| round()).collect();
    let more = Cell::times(rounds.iter().map(|(floor, ours)| ours.saturating_sub(*floor)));
    let times = Cell::ratios(rounds.iter().map(|(floor, ours)| ours.as_secs_f64() / floor.as_secs_f64()));
    let (goal, is_met) = match goal {
        Goal::Times(most) => (format!("≤ {most} ×"), times.median().is_some_and(|median| median <= most)),
        Goal::More(most) => {
            (format!("≤ {most:?} more"), more.median().is_some_and(|median| median <= most.as_secs_f64()))
        }
    };
    let (floor, ours) = (rounds.iter().map(|round| round.0), rounds.iter().map(|round| round.1));
    Row {
        what: what.to_owned(),
        cells: vec![Cell::times(floor), Cell::times(ours), more, times, Cell::words(goal), judged(is_met)],
    }
}

fn judged(is_met: bool) -> Cell {
    Cell::words(if is_met { "yes" } else { "no" })
}

/// The plugins of an instance, without the rest of a daemon around them.
struct Inside {
    folder: TempDir,
    plugins: Plugins,
    runtime: Runtime,
    end: CancellationToken,
}

impl Inside {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let actions = folder.path().join("actions");
        fs::create_dir_all(&actions).expect("a folder can be made");
        fs::copy(binary("fixture-plugin"), actions.join("rust")).expect("copied");
        for (file, text) in [("node.js", plugin::ECHO_JS), ("python.py", plugin::ECHO_PY), ("plain.sh", CAT_SH)] {
            fs::write(actions.join(file), text).expect("written");
        }
        let mut settings = Settings::new(folder.path().to_owned(), IssuerHash::of_public_key("a benchmark"));
        settings.guard = program();
        // As that of the daemon.
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
        let end = CancellationToken::new();
        let (plugins, run) = {
            let _inside = runtime.enter();
            Plugins::new(settings, Arc::new(|_: &_| Service::new()), end.clone())
        };
        runtime.spawn(run);
        Self { folder, plugins, runtime, end }
    }

    /// One round of calls, after those that find no warm worker yet.
    fn calls(&self, effort: &Effort, action: &'static str, in_flight: usize) -> Round {
        let (plugins, action) = (self.plugins.clone(), name(action));
        let call = move || {
            let (plugins, action) = (plugins.clone(), action.clone());
            async move {
                let call = PerformCall {
                    call: CallId::new(),
                    input: Some(input()),
                    caller: None,
                    timeout: None,
                    start_timeout: None,
                    follower: None,
                    cancel: CancellationToken::new(),
                    begin: None,
                };
                plugins.perform(&action, call).await.expect("it echoes");
            }
        };
        self.runtime.block_on(async {
            call().await;
            // On a thread of the runtime, as in the daemon.
            let calls = self.runtime.spawn(load::round(in_flight, effort.round, call));
            calls.await.expect("no panic")
        })
    }

    fn path(&self, below: &str) -> PathBuf {
        self.folder.path().join(below)
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        self.runtime.block_on(self.plugins.shutdown(Duration::ZERO));
        self.end.cancel();
    }
}

fn bare_rust() -> Bare {
    Bare::start(&[text(&binary("fixture-plugin"))], &[], input().get())
}

fn bare_node(inside: &Inside) -> Bare {
    let (runner, file) = (sources("sdk-node/runner.js"), inside.path("actions/node.js"));
    Bare::start(&["node", text(&runner), text(&file)], &[], input().get())
}

fn bare_python(inside: &Inside) -> Bare {
    let (sdk, file) = (sources("sdk-python/src"), inside.path("actions/python.py"));
    Bare::start(&["python3", "-m", "coattail", text(&file)], &[("PYTHONPATH", &sdk)], input().get())
}

fn sources(below: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(below)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of this machine is a text")
}

/// What a script that runs once per call takes without us.
#[expect(clippy::disallowed_methods, reason = "a process that is no plugin")]
fn own_cat(input: &str) {
    let mut command = Command::new("sh");
    let mut child =
        command.args(["-c", "cat"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("there is sh");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.stdout, input.as_bytes());
}

fn until_it_ends(service: &Instance, arguments: &[&str]) {
    let folder = service.folder().display().to_string();
    let mut command = service.command(&[arguments, &["--instance", &folder]].concat());
    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("it can be started");
    assert!(status.success(), "it ended with {status}");
}

/// What a daemon holds for each warm worker.
fn memory(effort: &Effort) -> Row {
    let each = (0..effort.rounds.min(3)).map(|_| {
        let instance = unlimited("workers");
        for worker in 0..=WORKERS {
            fs::copy(binary("fixture-plugin"), instance.path(&format!("actions/worker{worker}"))).expect("copied");
        }
        client(async {
            let session = control(&instance).await;
            let perform = async |worker: usize| {
                let action = name(&format!("worker{worker}"));
                let perform = serde_json::json!({"action": action, "input": 1, "publish": false});
                let perform: coattail::wire::host::Perform = serde_json::from_value(perform).expect("a call");
                session.call(&perform).await.expect("it echoes");
            };
            // The first one also pays for what all of them share.
            perform(0).await;
            let before = used(&instance.pid().to_string()).anonymous;
            for worker in 1..=WORKERS {
                perform(worker).await;
            }
            (used(&instance.pid().to_string()).anonymous - before) / WORKERS as f64
        })
    });
    let each = Cell::bytes(each.collect::<Vec<_>>().into_iter());
    let is_met = each.median().is_some_and(|median| median <= 256.0 * 1024.0);
    let nothing = || Cell::words("–");
    Row {
        what: format!("memory of the daemon for each of {WORKERS} warm workers"),
        cells: vec![nothing(), each, nothing(), nothing(), Cell::words("≤ 256 KiB"), judged(is_met)],
    }
}
