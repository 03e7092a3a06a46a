//! What an action says reaches whoever waits for it while it runs: on this machine and at a peer.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};

use coattail::id::CallId;
use coattail::rpc::{Service, Session};
use coattail::wire::host::{Log, Perform, Performed, Progress};
use coattail::wire::{Done, ErrorCode, Failure};
use coattail_tests::cluster::add_peer;
use coattail_tests::wait::PATIENCE;
use coattail_tests::{Cluster, Instance, plugin, until};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::raw_peer::{RawPeer, issue, keys_of, plain_service};

/// Each says something, prints something, tells how far it is, and waits for a file before it ends.
const SH: &str = "#!/bin/sh\ncoattail-under-test log one\ncoattail-under-test progress 40 copying files\n\
    echo printed >&2\nwhile [ ! -e \"$COATTAIL_INSTANCE/go\" ]; do sleep 0.02; done\n\
    coattail-under-test log --level warn two\necho 7\n";
const JS: &str = "const fs = require('fs');\nconst { action } = require('coattail');\n\
    module.exports = action(async (input, context) => {\n\
    context.log.info('one');\ncontext.progress(0.4, 'copying files');\nprocess.stderr.write('printed\\n');\n\
    while (!fs.existsSync(`${process.env.COATTAIL_INSTANCE}/go`)) await new Promise((done) => setTimeout(done, 20));\n\
    context.log.warn('two');\nreturn 7;\n});\n";
const PY: &str = "import os, sys, time\nimport coattail\n\n@coattail.action\ndef act(input, context):\n    \
    context.log.info('one')\n    context.progress(0.4, 'copying files')\n    print('printed', file=sys.stderr, flush=True)\n    \
    while not os.path.exists(os.environ['COATTAIL_INSTANCE'] + '/go'):\n        time.sleep(0.02)\n    \
    context.log.warning('two')\n    return 7\n";

fn prepare(instance: &Instance) {
    instance.plugin("actions/shell.sh", SH);
    instance.plugin("actions/node.js", JS);
    instance.plugin("actions/python.py", PY);
}

#[test]
fn what_an_action_says_is_heard_here_while_it_runs() {
    let instance = Instance::running("instance");
    prepare(&instance);
    for action in ["shell", "node", "python"] {
        let _ = fs::remove_file(instance.path("go"));
        let heard = hear(&instance, &instance, None, action);
        assert!(heard.contains(&json!({"level": "info", "message": "printed"})), "{action}: {heard:?}");
    }
}

#[test]
fn what_an_action_says_is_heard_at_a_peer_while_it_runs_but_not_what_it_prints() {
    let cluster = Cluster::pair();
    prepare(&cluster.publisher);
    for action in ["shell", "node", "python"] {
        let _ = fs::remove_file(cluster.publisher.path("go"));
        let heard = hear(&cluster.subscriber, &cluster.publisher, Some(&cluster.peer), action);
        assert!(!heard.iter().any(|event| event["message"] == "printed"), "{action}: {heard:?}");
    }
}

/// Performs an action and lets it end only when its first words were heard. Returns everything that was.
#[track_caller]
fn hear(asks: &Instance, performs: &Instance, peer: Option<&str>, action: &str) -> Vec<Value> {
    let follower = Follower::connect(asks);
    let performing = follower.begin(&Perform { follow: true, ..perform(peer, action) });
    let progress = json!({"fraction": 0.4, "message": "copying files"});
    let mut heard = Vec::new();
    // The call is held by us: what comes now comes while it runs.
    while !heard.contains(&progress) {
        heard.push(follower.next());
    }
    assert!(heard.contains(&json!({"level": "info", "message": "one"})), "{action}: {heard:?}");
    assert!(!heard.iter().any(|event| event["message"] == "two"), "{action}: {heard:?}");
    fs::write(performs.path("go"), "").expect("written");
    let result = follower.runtime.block_on(performing).expect("no panic").expect("it succeeds").result;
    assert_eq!(result.expect("a result").get(), "7");
    // What was said before the answer has come before it: it is here already.
    heard.extend(follower.events.try_iter());
    assert!(heard.contains(&json!({"level": "warn", "message": "two"})), "{action}: {heard:?}");
    heard
}

#[test]
fn who_does_not_follow_hears_nothing() {
    let instance = Instance::running("instance");
    prepare(&instance);
    fs::write(instance.path("go"), "").expect("written");
    let follower = Follower::connect(&instance);
    let performing = follower.begin(&perform(None, "node"));
    follower.runtime.block_on(performing).expect("no panic").expect("it succeeds");
    assert_eq!(follower.events.try_iter().collect::<Vec<_>>(), [] as [Value; 0]);
}

#[test]
fn a_command_shows_what_it_hears_on_stderr_at_once() {
    let cluster = Cluster::pair();
    cluster.publisher.plugin("actions/shell.sh", &SH.replace("log one", "log \"$(printf 'o\\033[31mne')\""));
    let folder = cluster.subscriber.folder().display().to_string();
    let mut child = cluster
        .subscriber
        .command(&["action", "perform", "shell", "--peer", &cluster.peer, "--follow", "--instance", &folder])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let (tell, lines) = sync_channel(16);
    let stderr = BufReader::new(child.stderr.take().expect("piped"));
    let reading = std::thread::spawn(move || {
        stderr.lines().map_while(Result::ok).for_each(|line| tell.send(line).expect("somebody listens"));
    });
    let first = lines.recv_timeout(PATIENCE).expect("a line");
    assert_eq!(first, "o\\u{1b}[31mne", "control characters are made visible");
    assert!(child.try_wait().expect("it is ours").is_none());
    fs::write(cluster.publisher.path("go"), "").expect("written");
    assert_eq!(lines.recv_timeout(PATIENCE).expect("a line"), "warn: two");
    reading.join().expect("no panic");
    assert_eq!(end(child), "7\n");
}

#[test]
fn without_a_terminal_a_command_is_silent_unless_it_is_to_follow() {
    let instance = Instance::running("instance");
    prepare(&instance);
    fs::write(instance.path("go"), "").expect("written");
    assert_eq!(instance.run(&["action", "perform", "shell"]).ok().stderr, "");
    assert_eq!(instance.run(&["action", "perform", "shell", "--follow", "--json"]).ok().stderr, "");
    let followed = instance.run(&["action", "perform", "shell", "--follow"]).ok();
    // What is printed takes another way than what is said: between the two there is no order.
    assert_eq!(
        (followed.stdout.as_str(), sorted(followed.stderr.lines())),
        ("7\n", vec!["one", "printed", "warn: two"])
    );
}

#[test]
fn a_call_that_is_still_worked_on_outlives_its_time_limit() {
    let cluster = Cluster::pair();
    let slow = |working: &str| {
        format!("#!/bin/sh\nfor n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 0.5; {working}; done\necho 7\n")
    };
    cluster.publisher.plugin("actions/working.sh", &slow("coattail-under-test working"));
    cluster.publisher.plugin("actions/silent.sh", &slow(":"));
    // The caller's own patience is the limit and two seconds, so the work has to take longer than both.
    let ask = |action| ["action", "perform", action, "--peer", &cluster.peer, "--timeout", "3s", "--json"];
    assert_eq!(cluster.subscriber.run(&ask("working")).ok().json()["result"], json!(7));
    cluster.subscriber.run(&ask("silent")).failed(124, "timed-out");
}

#[test]
fn a_call_that_has_not_begun_in_time_was_not_done() {
    let cluster = Cluster::pair();
    let publisher = &cluster.publisher;
    publisher.plugin(
        "actions/one.sh",
        "#!/bin/sh\ncat >> \"$COATTAIL_INSTANCE/done\"\n\
        while [ ! -e \"$COATTAIL_INSTANCE/go\" ]; do sleep 0.02; done\n",
    );
    fs::write(publisher.path("actions/one.yml"), "concurrency: 1\n").expect("written");
    let first = publisher.begin(&["action", "perform", "one", "-d", "1"]);
    until("the first to be under way", || publisher.path("done").exists().then_some(()));
    let late = ["action", "perform", "one", "-d", "2", "--start-timeout", "200ms", "--json"];
    let at_peer = [&late[..], &["--peer", &cluster.peer]].concat();
    for error in
        [publisher.run(&late).failed(124, "timed-out"), cluster.subscriber.run(&at_peer).failed(124, "timed-out")]
    {
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains("had not begun") && message.contains("nothing was done"), "{message}");
    }
    fs::write(publisher.path("go"), "").expect("written");
    let _ = first.finish().ok();
    // Whoever has begun in time is not disturbed.
    let in_time = ["action", "perform", "one", "-d", "3", "--start-timeout", "30s"];
    let _ = publisher.run(&in_time).ok();
    assert_eq!(fs::read_to_string(publisher.path("done")).expect("it was done"), "1\n3\n");
}

#[test]
fn a_receiver_says_when_it_is_to_be_called_again() {
    let mut subscriber = Instance::new("subscriber");
    // On the schedule alone it would take an hour.
    subscriber.configure("receivers:\n  retry: [1h, 1h]");
    let soon =
        "#!/bin/sh\nif [ \"$COATTAIL_PUBLICATION_ATTEMPT\" = 1 ]; then exec coattail-under-test retry-after 10ms; fi\n";
    subscriber.plugin("receivers/soon.sh", &format!("{soon}{}", &plugin::RECORD_SH["#!/bin/sh\n".len()..]));
    subscriber.start();
    let cluster = Cluster::of(Instance::running("publisher"), subscriber, &["--subscribable", "*"]);
    cluster.publisher.plugin("actions/feed.sh", plugin::ECHO_SH);
    cluster.subscribe("feed", "soon");
    cluster.publish("feed", "5");
    cluster.subscriber.wait_for("handled", 1);
    assert_eq!(cluster.subscriber.received(), [json!({"sequence": 1, "attempt": 2, "value": 5})]);
}

#[test]
fn what_scripts_say_needs_a_call_that_is_under_way() {
    let instance = Instance::running("instance");
    let error = instance.run(&["working", "--json"]).failed(2, "usage");
    assert!(error["message"].as_str().expect("a message").contains("COATTAIL_CALL"), "{error}");
    let over = Instance::running("other").env("COATTAIL_CALL", &CallId::new().to_string());
    over.run(&["working", "--json"]).failed(5, "not-found");
    over.run(&["retry-after", "5m", "--json"]).failed(5, "not-found");
}

#[test]
fn a_peer_is_heard_of_its_own_calls_only() {
    let instance = plain_service("instance", "");
    let victim = plain_service("victim", "");
    let peer = add_peer(&instance, &victim, &["--performable", "*"]);
    instance.plugin("actions/node.js", JS);
    let follower = Follower::connect(&victim);
    let call = CallId::new();
    let performing = follower.begin(&Perform { call: Some(call), follow: true, ..perform(Some(&peer), "node") });
    assert_eq!(follower.next()["message"], "one");

    // Before it has logged in, a stranger has no such method.
    let mut stranger = RawPeer::connect(instance.port());
    let lie = json!({"call": call, "level": "error", "message": "a lie"});
    assert_eq!(stranger.call("log", &lie).expect_err("refused"), ErrorCode::UnknownMethod);

    // An instance that is let in, and knows the id of somebody else's call, both here and at the victim.
    let liar = Instance::new("liar");
    for target in [&instance, &victim] {
        let token = issue(target, &["--performable", "*"]);
        let mut peer = RawPeer::log_in(target.port(), &keys_of(&liar), &token);
        for (method, params) in [
            ("log", lie.clone()),
            ("progress", json!({"call": call, "fraction": 1.0, "message": "a lie"})),
            ("working", json!({"call": call})),
        ] {
            // Nobody is told whether there is such a call.
            assert_eq!(peer.call(method, &params).expect("it is passed over"), json!({}), "{method}");
        }
    }
    fs::write(instance.path("go"), "").expect("written");
    follower.runtime.block_on(performing).expect("no panic").expect("it succeeds");
    let heard: Vec<Value> = follower.events.try_iter().collect();
    assert!(!heard.iter().any(|event| event["message"] == "a lie"), "{heard:?}");
}

#[test]
fn the_log_of_a_plugin_is_kept_shown_and_followed() {
    let mut instance = Instance::running("instance");
    prepare(&instance);
    fs::write(instance.path("go"), "").expect("written");
    let _ = instance.run(&["action", "perform", "python"]).ok();
    let _ = instance.run(&["action", "perform", "shell"]).ok();
    let said = |instance: &Instance, name: &str| -> Vec<String> {
        let lines = instance.json(&["action", "logs", name]);
        let lines = lines.as_array().expect("a list").iter();
        lines.map(|line| line["message"].as_str().expect("a message").to_owned()).collect()
    };
    let shell = said(&instance, "shell");
    assert_eq!(sorted(shell.iter().map(String::as_str)), ["one", "printed", "two"]);
    let python = said(&instance, "python");
    assert!(["a worker started", "one", "two"].iter().all(|line| python.iter().any(|said| said == line)), "{python:?}");
    let all = instance.run(&["action", "logs", "shell"]).ok().stdout;
    assert!(all.contains(" warn  two\n") && all.lines().count() == 3, "{all}");
    let last = instance.run(&["action", "logs", "shell", "--lines", "1"]).ok().stdout;
    assert!(last.lines().count() == 1 && all.ends_with(&last), "{last}");

    let mut following = Following::begin(&instance, "shell");
    let shown: Vec<String> = (0..3).map(|_| following.line()).collect();
    assert_eq!(shown, all.lines().collect::<Vec<_>>());
    let _ = instance.run(&["action", "perform", "shell"]).ok();
    assert!(following.line().ends_with(" one"));
    following.interrupt();

    // Without a service, and after a restart.
    instance.stop();
    assert_eq!(said(&instance, "shell").len(), 6);
    let error = instance.run(&["action", "logs", "shell", "-f", "--json"]).failed(3, "not-running");
    assert!(error["hint"].as_str().expect("a hint").contains("service start"), "{error}");
    assert_eq!(said(&instance, "never there"), [] as [String; 0]);
}

fn sorted<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut lines: Vec<&str> = lines.collect();
    lines.sort_unstable();
    lines
}

fn perform(peer: Option<&str>, action: &str) -> Perform {
    Perform {
        call: Some(CallId::new()),
        peer: peer.map(|peer| peer.parse().expect("an id")),
        action: action.parse().expect("a name"),
        input: None,
        publish: false,
        timeout_ms: None,
        start_timeout_ms: None,
        follow: false,
        key: None,
        parent: None,
    }
}

/// The stdout of a command that succeeds.
fn end(mut child: Child) -> String {
    let mut stdout = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut stdout).expect("text");
    assert!(child.wait().expect("it ends").success());
    stdout
}

/// A program on the control socket that hears what is said of its calls.
struct Follower {
    session: Session,
    events: Receiver<Value>,
    runtime: Runtime,
}

impl Follower {
    #[track_caller]
    fn connect(instance: &Instance) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let connecting = coattail::control::connect(instance.folder(), CancellationToken::new());
        let (session, drive) = runtime.block_on(connecting).expect("the service takes connections");
        let (tell, events) = sync_channel(1_000);
        let tell = Arc::new(tell);
        let service = Service::new()
            .on_in_order(&tell, |tell: &SyncSender<Value>, _, Log { level, message, .. }| {
                tell.send(json!({"level": level, "message": message})).expect("somebody listens");
                Ok(Done {})
            })
            .on_in_order(&tell, |tell: &SyncSender<Value>, _, Progress { fraction, message, .. }| {
                tell.send(json!({"fraction": fraction, "message": message})).expect("somebody listens");
                Ok(Done {})
            });
        session.serve(service);
        runtime.spawn(drive);
        Self { session, events, runtime }
    }

    fn begin(&self, perform: &Perform) -> JoinHandle<Result<Performed, Failure>> {
        let (session, perform) = (self.session.clone(), perform.clone());
        self.runtime.spawn(async move { session.call_within(PATIENCE, &perform).await })
    }

    /// What comes next.
    #[track_caller]
    fn next(&self) -> Value {
        match self.events.recv_timeout(PATIENCE) {
            Ok(event) => event,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => panic!("nothing is heard"),
        }
    }
}

/// `action logs -f`.
struct Following {
    child: Child,
    lines: Receiver<String>,
}

impl Following {
    fn begin(instance: &Instance, name: &str) -> Self {
        let folder = instance.folder().display().to_string();
        let mut child = instance
            .command(&["action", "logs", name, "-f", "--instance", &folder])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, lines) = sync_channel(1_000);
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
        });
        Self { child, lines }
    }

    #[track_caller]
    fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line")
    }

    /// Ctrl-C is how it is ended.
    #[track_caller]
    fn interrupt(mut self) {
        use nix::sys::signal::{Signal, kill};
        kill(nix::unistd::Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT).expect("it is ours");
        assert!(self.child.wait().expect("it ends").success());
    }
}
