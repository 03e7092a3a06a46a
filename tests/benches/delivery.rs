//! How soon after a publication the receivers of its subscribers start.

use std::os::unix::fs::symlink;
use std::time::{Duration, Instant, SystemTime};

use coattail::name::ReceiverName;
use coattail::rpc::Session;
use coattail::wire::Raw;
use coattail::wire::control::Status;
use coattail::wire::host::{Publish, Subscribe};
use coattail_tests::instance::binary;
use coattail_tests::wait::PATIENCE;
use coattail_tests::{Cluster, plugin};
use tokio::net::UnixDatagram;
use tokio::time::timeout;

use crate::calls::name;
use crate::effort::Effort;
use crate::load::{Round, client, control, quantiles};
use crate::report::{Cell, Row, Section};

/// The Python twin of `stamp_receiver.rs`.
const STAMP_PY: &str = "import socket, struct, time\nimport coattail\n\n\
    out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)\n\n@coattail.receiver\ndef stamp(data):\n    \
    out.sendto(struct.pack('<Q', time.time_ns()), data['socket'])\n";

/// Publications in a round, at the least.
const PUBLICATIONS: usize = 10;

pub(crate) fn measure(effort: &Effort) -> Section {
    let cluster = Cluster::pair();
    let most = effort.subscriptions.iter().max().copied().unwrap_or_default();
    for number in 0..most {
        let path = cluster.subscriber.path(&format!("receivers/rust-{number}"));
        symlink(binary("stamp-receiver"), path).expect("a link can be made");
    }
    cluster.subscriber.plugin("receivers/python-0.py", STAMP_PY);
    let row = |language: &str, count| client(publications(effort, &cluster, language, count));
    // Python first: what the subscriber holds already has its cost at each delivery.
    let python = row("python", 1);
    let mut rows: Vec<Row> = effort.subscriptions.iter().map(|&count| row("rust", count)).collect();
    rows.push(python);
    Section {
        note:
            "From the call that publishes, at the publisher, to the start of each receiver's code, at the subscriber: \
               on disk at the publisher, over TLS, on disk at the subscriber, to a warm worker. One publication at a \
               time; each subscription has a receiver, and so a process, of its own. Python comes first, and the \
               subscriptions stay."
                .to_owned(),
        columns: &["p50", "p99", "p50 of the last receiver"],
        rows,
    }
}

async fn publications(effort: &Effort, cluster: &Cluster, language: &str, count: usize) -> Row {
    let (rounds, last) = starts(effort, cluster, language, count).await;
    let mut row = quantiles(format!("{count} × {language}"), &rounds);
    row.cells.push(Cell::times(last.iter().map(|round| round.quantile(0.5))));
    row
}

/// Rounds of all receivers, and of the last one of each publication. The receivers are there already.
pub(crate) async fn starts(
    effort: &Effort,
    cluster: &Cluster,
    language: &str,
    count: usize,
) -> (Vec<Round>, Vec<Round>) {
    let action = format!("{language}-{count}");
    cluster.publisher.plugin(&format!("actions/{action}.sh"), plugin::ECHO_SH);
    let subscriber = control(&cluster.subscriber).await;
    for number in 0..count {
        let receiver = ReceiverName::new(&format!("{language}-{number}")).expect("a valid name");
        let peer = cluster.peer.parse().expect("the id of a peer");
        let subscribe = Subscribe { peer, action: name(&action), receiver, filter: None };
        subscriber.call(&subscribe).await.expect("it is subscribed");
    }
    let mut stamps = Stamps::new(control(&cluster.publisher).await, subscriber, action, count).await;
    stamps.publish().await;
    let (mut rounds, mut last) = (Vec::new(), Vec::new());
    for _ in 0..effort.rounds {
        let start = Instant::now();
        let publications = PUBLICATIONS.max(effort.receiver_starts / count);
        let mut all = Vec::new();
        for _ in 0..publications {
            all.push(stamps.publish().await);
        }
        let slowest = all.iter().filter_map(|times| times.iter().max().copied()).collect();
        last.push(Round::new(slowest, start.elapsed()));
        rounds.push(Round::new(all.concat(), start.elapsed()));
    }
    (rounds, last)
}

/// Publishes, and hears from the receivers.
pub(crate) struct Stamps {
    publisher: Session,
    subscriber: Session,
    publish: Publish,
    socket: UnixDatagram,
    count: usize,
    handled: u64,
    _folder: tempfile::TempDir,
}

impl Stamps {
    pub(crate) async fn new(publisher: Session, subscriber: Session, action: String, count: usize) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("stamps");
        let socket = UnixDatagram::bind(&path).expect("a socket can be made");
        let text = serde_json::json!({ "socket": path }).to_string();
        let input: Raw = serde_json::value::RawValue::from_string(text).expect("JSON");
        let publish =
            Publish { peer: None, action: name(&action), input, id: None, ttl_ms: None, to: None, parent: None };
        let handled = handled(&subscriber).await;
        Self { publisher, subscriber, publish, socket, count, handled, _folder: folder }
    }

    /// Returns how long it was until each receiver started.
    pub(crate) async fn publish(&mut self) -> Vec<Duration> {
        let now = SystemTime::now();
        self.publisher.call(&self.publish).await.expect("it is accepted");
        let mut times = Vec::new();
        while times.len() < self.count {
            let mut stamp = [0; 8];
            let received = timeout(PATIENCE, self.socket.recv(&mut stamp)).await;
            received.expect("every receiver starts in time").expect("the socket works");
            let stamp = SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::from_le_bytes(stamp));
            times.push(stamp.duration_since(now).expect("the clock is one"));
        }
        // The next publication meets idle daemons.
        self.handled += self.count as u64;
        while handled(&self.subscriber).await < self.handled {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        times
    }
}

async fn handled(subscriber: &Session) -> u64 {
    subscriber.call(&Status {}).await.expect("the service runs").counts.handled
}
