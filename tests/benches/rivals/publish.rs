//! Publications accepted, beside JetStream and Mosquitto.

use std::time::Duration;

use coattail::rpc::Session;
use coattail::wire::{Raw, host, peer};
use coattail_tests::{Instance, plugin};

use super::bare::{self, Caller, commit_one};
use super::goals::{Goal, Sample, row};
use super::mqtt::Mqtt;
use super::nats::{Nats, make_stream};
use super::payload::{LARGE, Payload, SMALL};
use super::roles::Player;
use super::servers::{Server, Sync};
use crate::calls::name;
use crate::cores::Pinned;
use crate::effort::Effort;
use crate::load::{Round, blocking_round, client, control, round, unlimited};
use crate::peer::Dialer;
use crate::report::{Row, Unit};

pub(super) fn rows(effort: &Effort) -> Vec<Row> {
    let mut rows = vec![pinned(effort)];
    let bench = Bench::new();
    for (payload, of) in [(SMALL, "200 B"), (LARGE, "16 KiB")] {
        for at_once in [16, 256] {
            let rounds = bench.rounds(effort, payload, at_once);
            let what = format!("publish accepted, {of}, {at_once} at once, over TLS, per second");
            let goal = |is_goal: bool| if is_goal { Goal::AtLeastRival(1.3) } else { Goal::None };
            let of = |rival: fn(&Taken) -> Option<&Round>| -> Vec<Sample> {
                let sample = |taken: &Taken| Sample {
                    ours: taken.ours.per_second(),
                    rival: rival(taken).map(Round::per_second),
                    floor: Some(taken.floor.per_second()),
                };
                rounds.iter().map(sample).collect()
            };
            let (lazy, always) = (of(|taken| taken.lazy.as_ref()), of(|taken| taken.always.as_ref()));
            rows.push(row(&what, Unit::PerSecond, "JetStream", goal(at_once == 256), &lazy));
            rows.push(row("… JetStream with `sync_interval: always`", Unit::PerSecond, "it", Goal::None, &always));
            let mqtt = of(|taken| taken.mqtt.as_ref());
            rows.push(row("… Mosquitto, QoS 1, nobody subscribed", Unit::PerSecond, "it", Goal::None, &mqtt));
        }
    }
    rows
}

/// One at a time, through the control socket, beside a commit of SQLite in this very process.
fn pinned(effort: &Effort) -> Row {
    let _pinned = Pinned::to_first();
    let instance = publisher();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (db, text) = (bare::open(&folder.path().join("log.db")), SMALL.text());
    let publish = host::Publish {
        peer: None,
        action: name("log"),
        input: SMALL.raw(),
        id: None,
        parent: None,
        ttl_ms: None,
        to: None,
    };
    let ours = |length| {
        client(async {
            let session = control(&instance).await;
            let publish = publish.clone();
            let call = move || {
                let (session, publish) = (session.clone(), publish.clone());
                async move {
                    session.call(&publish).await.expect("it is accepted");
                }
            };
            round(1, length, call).await
        })
    };
    ours(effort.warm_up);
    let samples: Vec<Sample> = (0..effort.rounds)
        .map(|_| Sample {
            ours: ours(effort.round).quantile(0.5).as_secs_f64(),
            rival: None,
            floor: Some(blocking_round(effort.round, || commit_one(&db, &text)).quantile(0.5).as_secs_f64()),
        })
        .collect();
    row(
        "publish accepted, fsync included, one at a time, pinned, p50 (floor: a bare SQLite FULL commit)",
        Unit::Seconds,
        "",
        Goal::AtMostFloor(2.2),
        &samples,
    )
}

struct Bench {
    _instance: Instance,
    dialer: Dialer,
    lazy: Option<Server>,
    always: Option<Server>,
    mosquitto: Option<Server>,
    bare: Player,
}

struct Taken {
    ours: Round,
    lazy: Option<Round>,
    always: Option<Round>,
    mqtt: Option<Round>,
    floor: Round,
}

impl Bench {
    fn new() -> Self {
        let instance = publisher();
        Self {
            dialer: Dialer::new(&instance),
            _instance: instance,
            lazy: Server::nats(Sync::Default),
            always: Server::nats(Sync::Always),
            mosquitto: Server::mosquitto(),
            bare: bare::start(&[coattail_tests::instance::binary("fixture-plugin").display().to_string()]),
        }
    }

    fn rounds(&self, effort: &Effort, payload: Payload, at_once: usize) -> Vec<Taken> {
        client(async {
            let session = self.dialer.dial().await;
            let lazy = stream(self.lazy.as_ref()).await;
            let always = stream(self.always.as_ref()).await;
            let mqtt = match &self.mosquitto {
                Some(server) => Some(Mqtt::connect(server.port, "publisher").await),
                None => None,
            };
            let bare = Caller::dial(self.bare.said.parse().expect("a port")).await;
            let mut rounds = Vec::new();
            for at in 0..=effort.rounds {
                let length = if at == 0 { effort.warm_up } else { effort.round };
                let ours = to_peer(&session, "log", payload, at_once, length).await;
                let (text, bare) = (payload.text(), bare.clone());
                let append = move || {
                    let (bare, text) = (bare.clone(), text.clone());
                    async move {
                        bare.call("publish", &text).await;
                    }
                };
                rounds.push(Taken {
                    ours,
                    lazy: to_stream(lazy.as_ref(), payload, at_once, length).await,
                    always: to_stream(always.as_ref(), payload, at_once, length).await,
                    mqtt: to_topic(mqtt.as_ref(), "log", payload, at_once, length).await,
                    floor: round(at_once, length, append).await,
                });
            }
            rounds.split_off(1)
        })
    }
}

async fn stream(server: Option<&Server>) -> Option<Nats> {
    let nats = Nats::connect(server?.port).await;
    make_stream(&nats, "log").await;
    Some(nats)
}

pub(super) async fn to_peer(
    session: &Session,
    action: &str,
    payload: Payload,
    at_once: usize,
    length: Duration,
) -> Round {
    let publish = peer::Publish { action: name(action), input: Raw::from(payload.raw()), id: None, cause: None };
    let session = session.clone();
    let call = move || {
        let (session, publish) = (session.clone(), publish.clone());
        async move {
            session.call(&publish).await.expect("it is accepted");
        }
    };
    round(at_once, length, call).await
}

async fn to_stream(nats: Option<&Nats>, payload: Payload, at_once: usize, length: Duration) -> Option<Round> {
    let (nats, text) = (nats?.clone(), payload.text());
    let call = move || {
        let (nats, text) = (nats.clone(), text.clone());
        async move {
            nats.request("log.one", text.as_bytes()).await;
        }
    };
    Some(round(at_once, length, call).await)
}

pub(super) async fn to_topic(
    mqtt: Option<&Mqtt>,
    topic: &'static str,
    payload: Payload,
    at_once: usize,
    length: Duration,
) -> Option<Round> {
    let (mqtt, text) = (mqtt?.clone(), payload.text());
    let call = move || {
        let (mqtt, text) = (mqtt.clone(), text.clone());
        async move { mqtt.publish(topic, text.as_bytes()).await }
    };
    Some(round(at_once, length, call).await)
}

pub(super) fn publisher() -> Instance {
    let instance = unlimited("publisher");
    instance.plugin("actions/log.sh", plugin::ECHO_SH);
    instance
}
