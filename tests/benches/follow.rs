//! How soon whoever waits for a call hears what its process has just said.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use coattail::id::{CallId, PeerId};
use coattail::rpc::{Service, Session};
use coattail::wire::Done;
use coattail::wire::host::{Log, Perform};
use coattail_tests::{Cluster, Instance};
use tokio::sync::mpsc;

use crate::calls::name;
use crate::effort::Effort;
use crate::load::{Round, client, control, quantiles, unlimited};
use crate::report::{Row, Section};

/// Each says what time it is, in nanoseconds since 1970.
const PYTHON: &str = "import time\nimport coattail\n\n@coattail.action\ndef say(input, context):\n    \
    context.log.info(str(time.time_ns()))\n";
const SHELL: &str = "#!/bin/sh\ncoattail-under-test log $(date +%s%N)\n";
const STDERR: &str = "#!/bin/sh\ndate +%s%N >&2\n";

pub(crate) fn measure(effort: &Effort) -> Section {
    let cluster = Cluster::of(unlimited("publisher"), Instance::running("subscriber"), &["--performable", "*"]);
    for (file, text) in [("python.py", PYTHON), ("shell.sh", SHELL), ("stderr.sh", STDERR)] {
        cluster.publisher.plugin(&format!("actions/{file}"), text);
    }
    let peer = cluster.peer.parse().ok();
    let row = |what: &str, caller: &Instance, peer: Option<PeerId>, action: &str| {
        client(async { follow(effort, what, control(caller).await, peer, action).await })
    };
    Section {
        note: "From the moment before a process says a line to the moment when whoever performed the action has read it \
               from the control socket: a worker that says it, a script with `coattail log` (which starts a process), a \
               script that prints to stderr. At a peer: over TLS, and through both daemons. One call at a time."
            .to_owned(),
        columns: &["p50", "p99"],
        rows: vec![
            row("Python, here", &cluster.publisher, None, "python"),
            row("`coattail log`, here", &cluster.publisher, None, "shell"),
            row("stderr of a script, here", &cluster.publisher, None, "stderr"),
            row("Python, at a peer", &cluster.subscriber, peer, "python"),
            row("`coattail log`, at a peer", &cluster.subscriber, peer, "shell"),
        ],
    }
}

async fn follow(effort: &Effort, what: &str, session: Session, peer: Option<PeerId>, action: &str) -> Row {
    // One call says one line.
    let (tell, mut heard) = mpsc::channel(1);
    let tell = Arc::new(tell);
    session.serve(Service::new().on_in_order(&tell, |tell: &mpsc::Sender<Duration>, _, log: Log| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
        let said = Duration::from_nanos(log.message.trim().parse().expect("nanoseconds"));
        tell.try_send(now.saturating_sub(said)).expect("each is taken before the next");
        Ok(Done {})
    }));
    let mut rounds = Vec::new();
    for round in 0..=effort.rounds {
        let (start, mut times) = (Instant::now(), Vec::new());
        while times.is_empty() || start.elapsed() < effort.round {
            let perform = Perform {
                call: Some(CallId::new()),
                peer,
                action: name(action),
                input: None,
                publish: false,
                timeout_ms: None,
                key: None,
                start_timeout_ms: None,
                follow: true,
                parent: None,
            };
            session.call(&perform).await.expect("it succeeds");
            times.push(heard.try_recv().expect("what is said comes before the answer"));
        }
        // The first starts the worker.
        if round > 0 {
            rounds.push(Round::new(times, start.elapsed()));
        }
    }
    quantiles(what, &rounds)
}
