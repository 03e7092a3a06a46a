//! What others cost who do nothing: subscribers that are offline, idle peers, subscriptions of other actions.

use coattail::rpc::Session;
use coattail_tests::Instance;
use tokio::task::JoinSet;

use super::goals::{Goal, Sample, row};
use super::many::{multiply, publisher_of_one};
use super::mqtt::Mqtt;
use super::payload::SMALL;
use super::perform::{ours, with_actions};
use super::publish::{to_peer, to_topic};
use super::servers::Server;
use crate::cores::Pinned;
use crate::effort::Effort;
use crate::load::{client, control};
use crate::peer::Dialer;
use crate::process::{cpu, used};
use crate::report::{Row, Unit};

/// Subscribers that are offline.
const OFFLINE: u32 = 1000;

/// Idle peers, opened so many at once: fewer than a daemon lets wait.
const PEERS: usize = 1000;
const HANDSHAKES: usize = 32;

/// Subscriptions of others.
const SUBSCRIPTIONS: u32 = 100_000;

pub(super) fn rows(effort: &Effort) -> Vec<Row> {
    let mut rows = offline(effort);
    rows.extend(idle_peers(effort));
    rows.extend(subscriptions(effort));
    rows
}

/// Seconds for each publication, at 16 at once and pinned: by rate, since the times of one alone are mostly the disk's.
fn accepted(effort: &Effort, instance: &Instance) -> Vec<f64> {
    let dialer = Dialer::new(instance);
    client(async {
        let session = dialer.dial().await;
        let mut times = Vec::new();
        for at in 0..=effort.rounds {
            let length = if at == 0 { effort.warm_up } else { effort.round };
            times.push(to_peer(&session, "log", SMALL, 16, length).await.each().as_secs_f64());
        }
        times.split_off(1)
    })
}

fn offline(effort: &Effort) -> Vec<Row> {
    let _pinned = Pinned::to_first();
    let mut publisher = publisher_of_one();
    let with_one = accepted(effort, &publisher);
    multiply(&mut publisher, "log", OFFLINE, 0);
    let with_all = accepted(effort, &publisher);
    let samples = |all: Vec<f64>, one: Vec<f64>| -> Vec<Sample> {
        let sample = |(all, one): (f64, f64)| Sample { ours: all, rival: None, floor: Some(one) };
        all.into_iter().zip(one).map(sample).collect()
    };
    let what = format!(
        "publish accepted with {OFFLINE} subscribers that are offline, 16 at once, pinned, each (floor: with one)"
    );
    let mut rows = vec![row(what, Unit::Seconds, "with one", Goal::AtMostFloor(1.2), &samples(with_all, with_one))];
    if let Some((one, all)) = offline_mosquitto(effort) {
        let what = "… the same of Mosquitto, QoS 1, in place of ours";
        rows.push(row(what, Unit::Seconds, "", Goal::None, &samples(all, one)));
    }
    rows
}

fn offline_mosquitto(effort: &Effort) -> Option<(Vec<f64>, Vec<f64>)> {
    let server = Server::mosquitto()?;
    Some(client(async {
        let publisher = Mqtt::connect(server.port, "publisher").await;
        let mut both = Vec::new();
        for subscribers in [0..1, 1..OFFLINE] {
            for number in subscribers {
                // Its session stays, and it goes.
                let subscriber = Mqtt::connect(server.port, &format!("subscriber-{number}")).await;
                subscriber.subscribe("log").await;
                subscriber.disconnect();
            }
            let mut times = Vec::new();
            for _ in 0..effort.rounds {
                let round = to_topic(Some(&publisher), "log", SMALL, 16, effort.round).await;
                times.push(round.expect("it is there").each().as_secs_f64());
            }
            both.push(times);
        }
        let all = both.pop().expect("two");
        (both.pop().expect("two"), all)
    }))
}

async fn performed(effort: &Effort, session: &Session) -> Vec<f64> {
    let mut times = Vec::new();
    for at in 0..=effort.rounds {
        let length = if at == 0 { effort.warm_up } else { effort.round };
        times.push(ours(session, "rust", SMALL, 1, length).await.quantile(0.5).as_secs_f64());
    }
    times.split_off(1)
}

fn idle_peers(effort: &Effort) -> Vec<Row> {
    let _pinned = Pinned::to_first();
    let instance = with_actions("peers");
    let (dialer, pid) = (Dialer::new(&instance), instance.pid().to_string());
    client(async {
        let session = dialer.dial().await;
        let idle = used(&pid).resident;
        let alone = performed(effort, &session).await;
        // With a worker, and without: this is the daemon alone.
        let before = used(&pid).resident;
        let mut open = Vec::new();
        while open.len() < PEERS {
            let dial = |_| {
                let dialer = dialer.clone();
                async move { dialer.dial().await }
            };
            let batch: JoinSet<Session> = (open.len()..PEERS).take(HANDSHAKES).map(dial).collect();
            open.extend(batch.join_all().await);
        }
        let with_peers = used(&pid).resident;
        let beside = performed(effort, &session).await;
        let (used_before, start) = (cpu(&pid), std::time::Instant::now());
        tokio::time::sleep(effort.idle).await;
        let idle_cpu = (cpu(&pid) - used_before).as_secs_f64() / start.elapsed().as_secs_f64();
        assert!(open.iter().all(|session| !session.is_closed()), "every session is still open");
        let one = |ours| [Sample { ours, rival: None, floor: None }; 2];
        let each = (with_peers - before) / PEERS as f64;
        let both: Vec<Sample> = beside
            .into_iter()
            .zip(alone)
            .map(|(ours, alone)| Sample { ours, rival: None, floor: Some(alone) })
            .collect();
        let what = format!("perform with {PEERS} idle peers, pinned, p50 (floor: with none)");
        vec![
            row("memory: resident, idle, with one session", Unit::Bytes, "", Goal::AtMost(12e6), &one(idle)),
            row("… for each idle TLS peer", Unit::Bytes, "", Goal::AtMost(25e3), &one(each)),
            row(format!("… with {PEERS} peers"), Unit::Bytes, "", Goal::AtMost(40e6), &one(with_peers)),
            row(format!("idle CPU with {PEERS} peers"), Unit::Share, "", Goal::AtMost(0.003), &one(idle_cpu)),
            row(what, Unit::Seconds, "with none", Goal::AtMostFloor(1.15), &both),
        ]
    })
}

fn subscriptions(effort: &Effort) -> Vec<Row> {
    let _pinned = Pinned::to_first();
    let mut instance = publisher_of_one();
    std::fs::copy(coattail_tests::instance::binary("fixture-plugin"), instance.path("actions/rust")).expect("copied");
    let measure = |instance: &Instance| {
        let dialer = Dialer::new(instance);
        client(async { performed(effort, &dialer.dial().await).await })
    };
    // Both after a start, since what a service needs once is not for a subscription.
    multiply(&mut instance, "log", 1, 0);
    let (before, alone) = (settled(&instance), measure(&instance));
    multiply(&mut instance, "log", SUBSCRIPTIONS, 0);
    let (after, beside) = (settled(&instance), measure(&instance));
    let both: Vec<Sample> =
        beside.into_iter().zip(alone).map(|(ours, alone)| Sample { ours, rival: None, floor: Some(alone) }).collect();
    let each = Sample { ours: (after - before) / f64::from(SUBSCRIPTIONS), rival: None, floor: None };
    let what = format!("perform with {SUBSCRIPTIONS} subscriptions, pinned, p50 (floor: with one)");
    vec![
        row(what, Unit::Seconds, "with one", Goal::AtMostFloor(1.15), &both),
        row("memory for each of them", Unit::Bytes, "", Goal::AtMost(1024.0), &[each; 2]),
    ]
}

/// What it holds once it has done what it does at its start.
fn settled(instance: &Instance) -> f64 {
    let pid = instance.pid().to_string();
    client(async {
        // It answers, so it has begun; then it is quiet for a while.
        control(instance).await.call(&coattail::wire::control::Status {}).await.expect("the service runs");
        loop {
            let before = cpu(&pid);
            tokio::time::sleep(std::time::Duration::from_millis(300)).await;
            if cpu(&pid) - before < std::time::Duration::from_millis(20) {
                return used(&pid).resident;
            }
        }
    })
}
