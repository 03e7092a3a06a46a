//! What a delivery costs beside a subscriber that takes nothing, or takes it slowly.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};

use coattail::name::ReceiverName;
use coattail::wire::host::Subscribe;
use coattail_tests::cluster::add_peer;
use coattail_tests::instance::binary;
use coattail_tests::proxy::Fault;
use coattail_tests::{Cluster, Instance, Proxy, plugin};
use nix::sys::signal::Signal;

use crate::calls::name;
use crate::delivery::Stamps;
use crate::effort::Effort;
use crate::load::{Round, client, control};
use crate::process::{Usage, used};
use crate::report::{Cell, Row, Section};

/// What is published meanwhile.
const ACTION: &str = "feed";

/// How much later everything arrives at the slow subscriber.
const SLOW: Duration = Duration::from_millis(300);

/// Takes what it is given and is never done with it.
const NEVER_SH: &str = "#!/bin/sh\nexec sleep 100000\n";

pub(crate) fn measure(effort: &Effort) -> Section {
    let cases = client(all(effort));
    let (_, alone) = &cases[0];
    let row = |(what, sample): &(String, Sample)| {
        let times = |share| Cell::times(sample.rounds.iter().map(move |round| round.quantile(share)));
        let ratio = |share| {
            let both = sample.rounds.iter().zip(&alone.rounds);
            Cell::ratios(
                both.map(move |(one, alone)| one.quantile(share).as_secs_f64() / alone.quantile(share).as_secs_f64()),
            )
        };
        let grown = Cell::bytes([(sample.after.anonymous - sample.before.anonymous).max(0.0)].into_iter());
        Row { what: what.clone(), cells: vec![times(0.5), ratio(0.5), times(0.99), ratio(0.99), grown] }
    };
    Section {
        note: "From the call that publishes to the start of the receiver's code at a subscriber that takes what comes, \
               as under Delivery, and beside it others that are subscribed to the same action: each stays when the next \
               comes. × compares with alone. Memory is what the publisher's daemon holds more at the end of a row than \
               at its beginning."
            .to_owned(),
        columns: &["p50", "×", "p99", "×", "memory"],
        rows: cases.iter().map(row).collect(),
    }
}

async fn all(effort: &Effort) -> Vec<(String, Sample)> {
    let cluster = Cluster::pair();
    cluster.publisher.plugin(&format!("actions/{ACTION}.sh"), plugin::ECHO_SH);
    symlink(binary("stamp-receiver"), cluster.subscriber.path("receivers/rust-0")).expect("a link can be made");
    subscribe(&cluster.subscriber, &cluster.peer, &["rust-0".to_owned()]).await;
    let (publisher, subscriber) = (control(&cluster.publisher).await, control(&cluster.subscriber).await);
    let mut stamps = Stamps::new(publisher, subscriber, ACTION.to_owned(), 1).await;
    // Its worker is warm, and nobody is late from before.
    stamps.publish().await;
    let mut cases = vec![("alone".to_owned(), sample(effort, &cluster.publisher, &mut stamps).await)];
    let publisher = &cluster.publisher;
    let never = ["never".to_owned()];
    let _never = neighbour(publisher, "never", &never, None).await;
    cases.push(("beside a receiver that never ends".to_owned(), sample(effort, publisher, &mut stamps).await));
    let _slow = neighbour(publisher, "slow", &never, Some(Fault::Delay(SLOW))).await;
    let what = format!("and a subscriber to whom everything takes {} ms", SLOW.as_millis());
    cases.push((what, sample(effort, publisher, &mut stamps).await));
    let receivers: Vec<_> = (0..effort.stuck).map(|number| format!("never-{number}")).collect();
    let (stuck, _) = neighbour(publisher, "stuck", &receivers, None).await;
    stuck.signal(Signal::SIGSTOP);
    let what = format!("and {} subscriptions of a daemon that is stopped", effort.stuck);
    cases.push((what, sample(effort, publisher, &mut stamps).await));
    cases
}

/// What stays there until all is measured.
type Neighbour = (Instance, Option<Proxy>);

async fn neighbour(publisher: &Instance, folder: &str, receivers: &[String], fault: Option<Fault>) -> Neighbour {
    let mut instance = Instance::running(folder);
    for receiver in receivers {
        instance.plugin(&format!("receivers/{receiver}.sh"), NEVER_SH);
    }
    let peer = add_peer(publisher, &instance, &["--subscribable", "*"]);
    let proxy = fault.map(|fault| {
        let proxy = Proxy::to(publisher.port());
        let address = format!("net:127.0.0.1:{}~tls", proxy.port());
        let _ = instance.run(&["peer", "set-address", &peer, &address]).ok();
        // The session that is there does not lead through it.
        instance.stop();
        instance.start();
        proxy.set(fault);
        proxy
    });
    subscribe(&instance, &peer, receivers).await;
    (instance, proxy)
}

async fn subscribe(instance: &Instance, peer: &str, receivers: &[String]) {
    let session = control(instance).await;
    for receiver in receivers {
        let receiver = ReceiverName::new(receiver).expect("a valid name");
        let peer = peer.parse().expect("the id of a peer");
        let subscribe = Subscribe { peer, action: name(ACTION), receiver, filter: None };
        session.call(&subscribe).await.expect("it is subscribed");
    }
}

struct Sample {
    rounds: Vec<Round>,
    before: Usage,
    after: Usage,
}

async fn sample(effort: &Effort, publisher: &Instance, stamps: &mut Stamps) -> Sample {
    let before = used(&publisher.pid().to_string());
    let mut rounds = Vec::new();
    for _ in 0..effort.rounds {
        let (start, mut times) = (Instant::now(), Vec::new());
        for _ in 0..effort.receiver_starts {
            times.extend(stamps.publish().await);
        }
        rounds.push(Round::new(times, start.elapsed()));
    }
    Sample { rounds, before, after: used(&publisher.pid().to_string()) }
}
