//! A subscriber that was away gets what it has missed, beside the drain of a backlog of JetStream.

use std::time::Instant;

use coattail_tests::{Cluster, plugin};

use super::fanout::{publish, stored};
use super::goals::{Goal, Sample, row};
use super::nats::{Nats, make_consumer, make_stream, pull};
use super::payload::{LARGE, Payload, SMALL};
use super::publish::publisher;
use super::servers::{Server, Sync};
use crate::effort::Effort;
use crate::load::{client, control, unlimited};
use crate::peer::Dialer;
use crate::report::{Row, Unit};

/// Messages that the consumer asks for at once.
const BATCH: usize = 512;

/// Rounds: each needs a backlog.
const ROUNDS: usize = 3;

pub(super) fn rows(effort: &Effort) -> Vec<Row> {
    let mut rows = Vec::new();
    for (payload, size, count) in [(SMALL, "200 B", effort.backlog), (LARGE, "16 KiB", effort.backlog / 20)] {
        let ours = ours(payload, count);
        let rival = jetstream(payload, count);
        let sample = |at: usize| Sample { ours: ours[at], rival: rival.as_ref().map(|rival| rival[at]), floor: None };
        let rounds: Vec<Sample> = (0..ROUNDS).map(sample).collect();
        let what = format!("catch-up of {count} publications of {size} by a subscriber that was away, per second");
        rows.push(row(what, Unit::PerSecond, "JetStream", Goal::AtLeastRival(0.5), &rounds));
        if size == "200 B" {
            rows.push(row("… by itself", Unit::PerSecond, "", Goal::AtLeast(50_000.0), &rounds));
        }
    }
    rows
}

/// From the start of the subscriber's process until all is on its disk.
fn ours(payload: Payload, count: usize) -> Vec<f64> {
    let grants = ["--performable", "[\"*\"]", "--publishable", "[\"*\"]", "--subscribable", "[\"*\"]"];
    let mut cluster = Cluster::of(publisher(), unlimited("subscriber"), &grants);
    cluster.subscriber.plugin("receivers/keep.sh", plugin::ECHO_SH);
    let id = cluster.subscribe("log", "keep");
    // What is delivered is stored, and no receiver is started.
    let _ = cluster.subscriber.run(&["subscriptions", "pause", &id]).ok();
    let dialer = Dialer::new(&cluster.publisher);
    let mut rates = Vec::new();
    for round in 1..=ROUNDS {
        cluster.subscriber.stop();
        client(async { publish(&dialer.dial().await, "log", payload, count).await });
        let start = Instant::now();
        cluster.subscriber.start();
        client(async {
            let session = [control(&cluster.subscriber).await];
            while stored(&session).await < (round * count) as u64 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        });
        rates.push(count as f64 / start.elapsed().as_secs_f64());
    }
    rates
}

fn jetstream(payload: Payload, count: usize) -> Option<Vec<f64>> {
    let server = Server::nats(Sync::Default)?;
    Some(client(async {
        let publisher = Nats::connect(server.port).await;
        make_stream(&publisher, "log").await;
        let text = payload.text();
        // In pieces, so that none of it waits for long.
        for _ in 0..count.div_ceil(BATCH) {
            let requests = (0..BATCH).map(|_| {
                let (publisher, text) = (publisher.clone(), text.clone());
                async move {
                    publisher.request("log.one", text.as_bytes()).await;
                }
            });
            requests.collect::<tokio::task::JoinSet<_>>().join_all().await;
        }
        let mut rates = Vec::new();
        for round in 0..ROUNDS {
            let consumer = format!("c{round}");
            make_consumer(&publisher, "log", &consumer).await;
            let start = Instant::now();
            pull(Nats::connect(server.port).await, "log".to_owned(), consumer, count, BATCH).await;
            rates.push(count as f64 / start.elapsed().as_secs_f64());
        }
        rates
    }))
}
