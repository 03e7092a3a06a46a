//! Remote perform, beside request and reply over NATS with the same child behind it.

use std::fs;
use std::time::Duration;

use coattail::id::CallId;
use coattail::rpc::Session;
use coattail::wire::{Raw, host, peer};
use coattail_tests::instance::binary;
use coattail_tests::{Cluster, Instance, plugin};

use super::bare::{self, Caller};
use super::goals::{Goal, Sample, row};
use super::nats::Nats;
use super::payload::{Payload, SMALL};
use super::responder::{self, SUBJECT};
use super::servers::{Server, Sync};
use crate::calls::name;
use crate::cores::Pinned;
use crate::effort::Effort;
use crate::load::{Round, client, control, round, unlimited};
use crate::peer::Dialer;
use crate::process::cpu;
use crate::report::{Row, Unit};

pub(super) fn rows(effort: &Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    {
        let _pinned = Pinned::to_first();
        let bench = Bench::new("rust");
        let rounds = bench.rounds(effort, SMALL, 1);
        rows.push(times("remote perform over TLS, warm Rust worker, pinned, p50", 0.8, &rounds));
        let tails: Vec<Sample> = rounds
            .iter()
            .map(|(ours, ..)| Sample { ours: seconds(ours, 0.99) / seconds(ours, 0.5), rival: None, floor: None })
            .collect();
        rows.push(row("… its p99 in p50s", Unit::Ratio, "", Goal::AtMost(3.0), &tails));
    }
    for (language, action) in [("Rust", "rust"), ("Node", "node"), ("Python", "python")] {
        let bench = Bench::new(action);
        for in_flight in [16, 256] {
            let rounds = bench.rounds(effort, SMALL, in_flight);
            rows.push(rates(format!("… {language} worker, {in_flight} in flight, per second"), &rounds));
            if (language, in_flight) == ("Rust", 256) {
                rows.push(bench.cpu(effort));
            }
        }
        if language == "Rust" {
            let rounds = bench.rounds(effort, super::payload::LARGE, 16);
            rows.push(rates("… Rust worker, 16 in flight, 16 KiB, per second", &rounds));
        }
    }
    rows.push(through_own_daemon(effort));
    rows
}

/// One action at ours, at NATS, and at the floor.
struct Bench {
    dialer: Dialer,
    action: &'static str,
    // Before the instance, whose files their children run.
    nats: Option<(Server, super::roles::Player)>,
    bare: super::roles::Player,
    instance: Instance,
}

/// Ours, NATS, the floor.
type Rounds = Vec<(Round, Option<Round>, Round)>;

impl Bench {
    fn new(action: &'static str) -> Self {
        let instance = with_actions("perform");
        let dialer = Dialer::new(&instance);
        let argv = argv(&instance, action);
        let nats = Server::nats(Sync::Default).map(|server| {
            let responder = responder::start(server.port, &argv);
            (server, responder)
        });
        Self { dialer, action, nats, bare: bare::start(&argv), instance }
    }

    fn rounds(&self, effort: &Effort, payload: Payload, in_flight: usize) -> Rounds {
        client(async {
            let session = self.dialer.dial().await;
            let bare = Caller::dial(self.bare.said.parse().expect("a port")).await;
            let nats = match &self.nats {
                Some((server, _)) => Some(Nats::connect(server.port).await),
                None => None,
            };
            let mut rounds = Vec::new();
            for at in 0..=effort.rounds {
                let length = if at == 0 { effort.warm_up } else { effort.round };
                let ours = ours(&session, self.action, payload, in_flight, length).await;
                let rival = match &nats {
                    Some(nats) => Some(request(nats, payload, in_flight, length).await),
                    None => None,
                };
                rounds.push((ours, rival, floor(&bare, payload, in_flight, length).await));
            }
            rounds.split_off(1)
        })
    }

    /// What the daemon, or `nats-server` with the process that answers, or the floor needs of a processor for each call.
    fn cpu(&self, effort: &Effort) -> Row {
        let each = |used: Duration, round: &Round| used.as_secs_f64() / round.count() as f64;
        let samples: Vec<Sample> = (0..effort.rounds)
            .map(|_| {
                client(async {
                    let (session, length) = (self.dialer.dial().await, effort.round * 2);
                    let (daemon, bare) = (self.instance.pid().to_string(), self.bare.pid());
                    let before = cpu(&daemon);
                    let round = ours(&session, self.action, SMALL, 256, length).await;
                    let ours = each(cpu(&daemon) - before, &round);
                    let rival = match &self.nats {
                        Some((server, responder)) => {
                            let used = || cpu(&server.pid()) + cpu(&responder.pid());
                            let (nats, before) = (Nats::connect(server.port).await, used());
                            let round = request(&nats, SMALL, 256, length).await;
                            Some(each(used() - before, &round))
                        }
                        None => None,
                    };
                    let caller = Caller::dial(self.bare.said.parse().expect("a port")).await;
                    let before = cpu(&bare);
                    let round = floor(&caller, SMALL, 256, length).await;
                    Sample { ours, rival, floor: Some(each(cpu(&bare) - before, &round)) }
                })
            })
            .collect();
        row("… CPU time of the daemon for each, 256 in flight", Unit::Seconds, "", Goal::AtMost(6e-6), &samples)
    }
}

pub(super) async fn ours(
    session: &Session,
    action: &str,
    payload: Payload,
    in_flight: usize,
    length: Duration,
) -> Round {
    let (session, action, input) = (session.clone(), name(action), Raw::from(payload.raw()));
    let call = move || {
        let (session, action, input) = (session.clone(), action.clone(), input.clone());
        async move {
            let perform = peer::Perform {
                call: CallId::new(),
                action,
                input: Some(input),
                publish: false,
                timeout_ms: None,
                key: None,
                start_timeout_ms: None,
                follow: false,
                cause: None,
            };
            session.call(&perform).await.expect("it echoes");
        }
    };
    round(in_flight, length, call).await
}

async fn request(nats: &Nats, payload: Payload, in_flight: usize, length: Duration) -> Round {
    let (nats, text) = (nats.clone(), payload.text());
    let call = move || {
        let (nats, text) = (nats.clone(), text.clone());
        async move {
            nats.request(SUBJECT, text.as_bytes()).await;
        }
    };
    round(in_flight, length, call).await
}

async fn floor(bare: &Caller, payload: Payload, in_flight: usize, length: Duration) -> Round {
    let (bare, text) = (bare.clone(), payload.text());
    let call = move || {
        let (bare, text) = (bare.clone(), text.clone());
        async move {
            bare.call("perform", &text).await;
        }
    };
    round(in_flight, length, call).await
}

/// As a command does it: by its own daemon, beside two NATS servers that pass on to each other.
fn through_own_daemon(effort: &Effort) -> Row {
    let _pinned = Pinned::to_first();
    let grants = ["--performable", "[\"*\"]"];
    let cluster = Cluster::of(with_actions("publisher"), Instance::running("subscriber"), &grants);
    let argv = argv(&cluster.publisher, "rust");
    let routed = Server::routed_nats().map(|(near, far)| {
        let responder = responder::start(far.port, &argv);
        (near, far, responder)
    });
    let far = bare::start(&argv);
    let near = bare::start(&["via".to_owned(), far.said.clone()]);
    let rounds = client(async {
        let session = control(&cluster.subscriber).await;
        let bare = Caller::dial(near.said.parse().expect("a port")).await;
        let nats = match &routed {
            Some((near, ..)) => {
                let nats = Nats::connect(near.port).await;
                // Until the route knows of the subscription, nobody answers.
                while nats.request(SUBJECT, b"1").await.is_empty() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Some(nats)
            }
            None => None,
        };
        let perform: host::Perform = serde_json::from_value(serde_json::json!({
            "peer": cluster.peer, "action": "rust", "input": SMALL.raw(), "publish": false
        }))
        .expect("a call");
        let mut rounds = Vec::new();
        for at in 0..=effort.rounds {
            let length = if at == 0 { effort.warm_up } else { effort.round };
            let (session, perform) = (session.clone(), perform.clone());
            let call = move || {
                let (session, perform) = (session.clone(), perform.clone());
                async move {
                    session.call(&perform).await.expect("it echoes");
                }
            };
            let ours = round(1, length, call).await;
            let rival = match &nats {
                Some(nats) => Some(request(nats, SMALL, 1, length).await),
                None => None,
            };
            rounds.push((ours, rival, floor(&bare, SMALL, 1, length).await));
        }
        rounds.split_off(1)
    });
    times("client → own daemon → peer → worker, pinned, p50", 0.75, &rounds)
}

fn times(what: &str, most: f64, rounds: &Rounds) -> Row {
    let samples: Vec<Sample> = rounds
        .iter()
        .map(|(ours, rival, floor)| Sample {
            ours: seconds(ours, 0.5),
            rival: rival.as_ref().map(|rival| seconds(rival, 0.5)),
            floor: Some(seconds(floor, 0.5)),
        })
        .collect();
    row(what, Unit::Seconds, "NATS", Goal::AtMostRival(most), &samples)
}

fn rates(what: impl Into<String>, rounds: &Rounds) -> Row {
    let samples: Vec<Sample> = rounds
        .iter()
        .map(|(ours, rival, floor)| Sample {
            ours: ours.per_second(),
            rival: rival.as_ref().map(Round::per_second),
            floor: Some(floor.per_second()),
        })
        .collect();
    row(what, Unit::PerSecond, "NATS", Goal::AtLeastRival(1.0), &samples)
}

fn seconds(round: &Round, share: f64) -> f64 {
    round.quantile(share).as_secs_f64()
}

pub(super) fn with_actions(name: &str) -> Instance {
    let instance = unlimited(name);
    fs::copy(binary("fixture-plugin"), instance.path("actions/rust")).expect("copied");
    instance.plugin("actions/node.js", plugin::ECHO_JS);
    instance.plugin("actions/python.py", plugin::ECHO_PY);
    instance
}

/// The command line of the same worker, without a daemon.
fn argv(instance: &Instance, action: &str) -> Vec<String> {
    let sources = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = |path: std::path::PathBuf| path.to_str().expect("a path of this machine is a text").to_owned();
    match action {
        "node" => {
            vec!["node".to_owned(), text(sources.join("sdk-node/runner.js")), text(instance.path("actions/node.js"))]
        }
        "python" => {
            let sdk = format!("PYTHONPATH={}", text(sources.join("sdk-python/src")));
            let file = text(instance.path("actions/python.py"));
            ["env", &sdk, "python3", "-m", "coattail", &file].map(str::to_owned).into()
        }
        _ => vec![text(binary("fixture-plugin"))],
    }
}
