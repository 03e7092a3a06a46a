//! One publication to many subscriptions, stored by all, beside Mosquitto and JetStream.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use coattail::name::ReceiverName;
use coattail::rpc::Session;
use coattail::wire::control::Status;
use coattail::wire::host::Subscribe;
use coattail::wire::peer::Publish;
use coattail::wire::subscriptions::PauseSubscription;
use coattail_tests::cluster::add_peer;
use coattail_tests::instance::binary;
use coattail_tests::{Instance, plugin};
use tokio::task::JoinSet;

use super::goals::{Goal, Sample, row};
use super::mqtt::Mqtt;
use super::nats::{Nats, make_consumer, make_stream, pull};
use super::payload::{Payload, SMALL};
use super::publish::publisher;
use super::servers::{Server, Sync};
use crate::calls::name;
use crate::effort::Effort;
use crate::load::{client, control, unlimited};
use crate::peer::Dialer;
use crate::process::{cpu, used};
use crate::report::{Row, Unit};

/// Instances that hold the subscriptions.
const SUBSCRIBERS: usize = 4;

/// Deliveries in a round.
const DELIVERIES: usize = 50_000;

/// Publications that wait at once to be accepted.
const AT_ONCE: usize = 256;

/// Messages that a consumer of JetStream asks for at once.
const BATCH: usize = 256;

/// How long to wait between two looks at how far it has got.
const LOOK: Duration = Duration::from_millis(2);

/// Subscriptions, and the goals: beside Mosquitto and beside JetStream.
const CASES: [(usize, f64, f64); 3] = [(1, 1.5, 1.0), (100, 4.0, 2.5), (1000, 2.0, 5.0)];

pub(super) fn rows(effort: &Effort) -> Vec<Row> {
    let publisher = publisher();
    let mut subscribers = Vec::new();
    for number in 0..SUBSCRIBERS {
        let subscriber = unlimited(&format!("subscriber-{number}"));
        let grants = ["--performable", "[\"*\"]", "--publishable", "[\"*\"]", "--subscribable", "[\"*\"]"];
        let peer = add_peer(&publisher, &subscriber, &grants);
        subscribers.push((subscriber, peer));
    }
    let bench = Bench { dialer: Dialer::new(&publisher), publisher, subscribers };
    let mut rows = Vec::new();
    for (subscriptions, mosquitto, jetstream) in CASES {
        let publications = (DELIVERIES / subscriptions).min(effort.publications);
        let ours = bench.ours(effort, subscriptions, publications);
        let rounds = ours.len();
        let mqtt = with_mosquitto(rounds, subscriptions, publications);
        let nats = with_jetstream(rounds, subscriptions, publications);
        let samples = |rival: &Option<Vec<f64>>| -> Vec<Sample> {
            let sample = |at: usize| Sample {
                ours: ours[at].per_second,
                rival: rival.as_ref().map(|rounds| rounds[at]),
                floor: None,
            };
            (0..rounds).map(sample).collect()
        };
        let what = format!("fan-out to {subscriptions}, stored with `fsync`, deliveries per second");
        rows.push(row(what, Unit::PerSecond, "Mosquitto", Goal::AtLeastRival(mosquitto), &samples(&mqtt)));
        rows.push(row(
            "… beside JetStream, pulled",
            Unit::PerSecond,
            "JetStream",
            Goal::AtLeastRival(jetstream),
            &samples(&nats),
        ));
        let cpu = |of: fn(&Taken) -> f64| -> Vec<Sample> {
            ours.iter().map(|taken| Sample { ours: of(taken), rival: None, floor: None }).collect()
        };
        let goal = if subscriptions == 1000 { Goal::AtMost(3e-6) } else { Goal::None };
        rows.push(row("… CPU time of the publisher for each", Unit::Seconds, "", goal, &cpu(|taken| taken.publisher)));
        rows.push(row(
            "… CPU time of the subscribers for each",
            Unit::Seconds,
            "",
            goal,
            &cpu(|taken| taken.subscribers),
        ));
    }
    let after = [used(&bench.publisher.pid().to_string()).resident; 2];
    let samples = after.map(|ours| Sample { ours, rival: None, floor: None });
    rows.push(row("memory of the publisher after all that", Unit::Bytes, "", Goal::AtMost(64e6), &samples));
    rows
}

struct Bench {
    publisher: Instance,
    dialer: Dialer,
    subscribers: Vec<(Instance, String)>,
}

struct Taken {
    per_second: f64,
    /// CPU time for each delivery.
    publisher: f64,
    subscribers: f64,
}

impl Bench {
    fn ours(&self, effort: &Effort, subscriptions: usize, publications: usize) -> Vec<Taken> {
        let action = format!("fan{subscriptions}");
        self.publisher.plugin(&format!("actions/{action}.sh"), plugin::ECHO_SH);
        client(async {
            let used = &self.subscribers[..SUBSCRIBERS.min(subscriptions)];
            let mut sessions = Vec::new();
            for (subscriber, peer) in used {
                let session = control(subscriber).await;
                for number in 0..subscriptions / used.len() {
                    subscribe(&session, subscriber, peer, &action, number).await;
                }
                sessions.push(session);
            }
            let publisher = self.dialer.dial().await;
            let mut rounds = Vec::new();
            for at in 0..=effort.rounds.min(3) {
                let publications = if at == 0 { 10 } else { publications };
                let before = (stored(&sessions).await, self.cpu());
                let start = Instant::now();
                publish(&publisher, &action, SMALL, publications).await;
                let deliveries = publications * subscriptions;
                while stored(&sessions).await < before.0 + deliveries as u64 {
                    tokio::time::sleep(LOOK).await;
                }
                let (elapsed, after) = (start.elapsed().as_secs_f64(), self.cpu());
                let each = |from: Duration, to: Duration| (to - from).as_secs_f64() / deliveries as f64;
                rounds.push(Taken {
                    per_second: deliveries as f64 / elapsed,
                    publisher: each(before.1.0, after.0),
                    subscribers: each(before.1.1, after.1),
                });
            }
            rounds.split_off(1)
        })
    }

    /// The CPU time of the publisher and that of all subscribers.
    fn cpu(&self) -> (Duration, Duration) {
        let of = |instance: &Instance| cpu(&instance.pid().to_string());
        (of(&self.publisher), self.subscribers.iter().map(|(instance, _)| of(instance)).sum())
    }
}

/// Paused at once: what is delivered is stored, and no receiver is started.
async fn subscribe(session: &Session, subscriber: &Instance, peer: &str, action: &str, number: usize) {
    let receiver = format!("{action}-{number}");
    symlink(binary("stamp-receiver"), subscriber.path(&format!("receivers/{receiver}"))).expect("a link can be made");
    let subscribe = Subscribe {
        peer: peer.parse().expect("the id of a peer"),
        action: name(action),
        receiver: ReceiverName::new(&receiver).expect("a valid name"),
        filter: None,
    };
    let subscription = session.call(&subscribe).await.expect("it is subscribed");
    session.call(&PauseSubscription { subscription: subscription.id }).await.expect("it is paused");
}

/// How much all of them have stored.
pub(super) async fn stored(subscribers: &[Session]) -> u64 {
    let mut stored = 0;
    for subscriber in subscribers {
        stored += subscriber.call(&Status {}).await.expect("the service runs").counts.stored;
    }
    stored
}

pub(super) async fn publish(session: &Session, action: &str, payload: Payload, publications: usize) {
    let publish = Publish { action: name(action), input: payload.raw(), id: None, cause: None };
    let each = |count: usize| {
        let (session, publish) = (session.clone(), publish.clone());
        async move {
            for _ in 0..count {
                session.call(&publish).await.expect("it is accepted");
            }
        }
    };
    shares(publications).map(each).collect::<JoinSet<_>>().join_all().await;
}

/// So many, among those that publish at once.
fn shares(publications: usize) -> impl Iterator<Item = usize> {
    (0..AT_ONCE).map(move |at| publications / AT_ONCE + usize::from(at < publications % AT_ONCE))
}

/// Each subscription is a session of its own.
fn with_mosquitto(rounds: usize, subscriptions: usize, publications: usize) -> Option<Vec<f64>> {
    let server = Server::mosquitto()?;
    Some(client(async {
        let mut subscribers = Vec::new();
        for number in 0..subscriptions {
            let subscriber = Mqtt::connect(server.port, &format!("subscriber-{number}")).await;
            subscriber.subscribe("fan").await;
            subscribers.push(subscriber);
        }
        let publisher = Mqtt::connect(server.port, "publisher").await;
        let (mut rates, mut so_far) = (Vec::new(), 0);
        for at in 0..=rounds {
            let publications = if at == 0 { 10 } else { publications };
            let start = Instant::now();
            so_far += publications;
            let each = |count: usize| {
                let (publisher, text) = (publisher.clone(), SMALL.text());
                async move {
                    for _ in 0..count {
                        publisher.publish("fan", text.as_bytes()).await;
                    }
                }
            };
            shares(publications).map(each).collect::<JoinSet<_>>().join_all().await;
            for subscriber in &subscribers {
                subscriber.received(so_far).await;
            }
            rates.push((publications * subscriptions) as f64 / start.elapsed().as_secs_f64());
        }
        rates.split_off(1)
    }))
}

/// Each subscription is a durable consumer; they share the connections of as many subscribers as we have.
fn with_jetstream(rounds: usize, subscriptions: usize, publications: usize) -> Option<Vec<f64>> {
    let server = Server::nats(Sync::Default)?;
    Some(client(async {
        let publisher = Nats::connect(server.port).await;
        make_stream(&publisher, "fan").await;
        let mut connections = Vec::new();
        for _ in 0..SUBSCRIBERS.min(subscriptions) {
            connections.push(Nats::connect(server.port).await);
        }
        for number in 0..subscriptions {
            make_consumer(&publisher, "fan", &format!("c{number}")).await;
        }
        let mut rates = Vec::new();
        for at in 0..=rounds {
            let publications = if at == 0 { 10 } else { publications };
            let pulls: JoinSet<_> = (0..subscriptions)
                .map(|number| {
                    let nats = connections[number % connections.len()].clone();
                    pull(nats, "fan".to_owned(), format!("c{number}"), publications, BATCH)
                })
                .collect();
            let start = Instant::now();
            let each = |count: usize| {
                let (publisher, text) = (publisher.clone(), SMALL.text());
                async move {
                    for _ in 0..count {
                        publisher.request("fan.one", text.as_bytes()).await;
                    }
                }
            };
            shares(publications).map(each).collect::<JoinSet<_>>().join_all().await;
            pulls.join_all().await;
            rates.push((publications * subscriptions) as f64 / start.elapsed().as_secs_f64());
        }
        rates.split_off(1)
    }))
}
