//! The floor: the least that can be done. TLS, JSON lines, a warm child, SQLite with `synchronous=FULL` and one commit
//! for all that wait; no permissions, one log, one peer.

use std::path::Path;
use std::sync::Arc;

use rusqlite::Connection;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::PrivateKeyDer;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio_rustls::TlsAcceptor;
use tokio_util::task::TaskTracker;

use super::child::Child;
use super::lines::Lines;
use super::roles::Player;
use super::wire::{Input, Out, tcp, tls};

/// Rows in one commit, at the most.
const GROUP: usize = 256;

#[derive(Deserialize)]
struct Request<'a> {
    id: u64,
    method: &'a str,
    #[serde(borrow)]
    input: &'a RawValue,
}

pub(super) fn start(argv: &[String]) -> Player {
    Player::start(&format!("bare {}", argv.join(" ")))
}

/// Serves, and says on which port. With `via PORT` it passes all on to another.
#[expect(clippy::print_stdout, reason = "says where it listens")]
pub(super) fn play(arguments: &[String]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let rows = log(&folder.path().join("log.db"));
    // As that of the daemon.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let serve = async {
        let behind = match arguments {
            [via, port] if via == "via" => Behind::Other(Caller::dial(port.parse().expect("a port")).await),
            argv => Behind::Child(Child::start(argv).await),
        };
        let acceptor = acceptor();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        println!("{}", listener.local_addr().expect("it has an address").port());
        let connections = TaskTracker::new();
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind, rows) = (acceptor.clone(), behind.clone(), rows.clone());
            connections.spawn(connection(stream, acceptor, behind, rows));
        }
    };
    runtime.block_on(serve);
}

#[derive(Clone)]
enum Behind {
    Child(Child),
    Other(Caller),
}

type Row = (Box<RawValue>, oneshot::Sender<i64>);

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, behind: Behind, rows: mpsc::Sender<Row>) {
    stream.set_nodelay(true).expect("TCP");
    let Ok(stream) = acceptor.accept(stream).await else { return };
    let (mut reader, writer) = tokio::io::split(stream);
    let (out, mut input, tasks) = (Out::new(writer), Input::default(), TaskTracker::new());
    while input.more(&mut reader).await {
        while let Some(line) = input.line() {
            let (out, behind, rows) = (out.clone(), behind.clone(), rows.clone());
            tasks.spawn(async move {
                let request: Request<'_> = serde_json::from_slice(&line).expect("a request");
                let result = if request.method == "publish" {
                    let (stored, sequence) = oneshot::channel();
                    rows.send((request.input.to_owned(), stored)).await.expect("the thread runs");
                    sequence.await.expect("it is committed").to_string()
                } else {
                    let result = match &behind {
                        Behind::Child(child) => child.perform(request.input.get()).await,
                        Behind::Other(other) => other.call("perform", request.input.get()).await,
                    };
                    result.get().to_owned()
                };
                out.push(&[format!("{{\"id\":{},\"result\":{result}}}\n", request.id).as_bytes()]);
            });
        }
    }
}

/// A thread that appends rows, as many as wait in one transaction.
fn log(path: &Path) -> mpsc::Sender<Row> {
    let (rows, mut waiting) = mpsc::channel::<Row>(4 * GROUP);
    let db = open(path);
    std::thread::spawn(move || {
        while let Some(first) = waiting.blocking_recv() {
            let mut group = vec![first];
            while group.len() < GROUP
                && let Ok(next) = waiting.try_recv()
            {
                group.push(next);
            }
            db.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([])).expect("it begins");
            let sequences: Vec<i64> = group.iter().map(|(payload, _)| append(&db, payload.get())).collect();
            db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).expect("the disk takes it");
            for ((_, stored), sequence) in group.into_iter().zip(sequences) {
                let _ = stored.send(sequence);
            }
        }
    });
    rows
}

/// A database as durable as ours.
pub(super) fn open(path: &Path) -> Connection {
    let db = Connection::open(path).expect("a database can be made");
    db.pragma_update(None, "journal_mode", "wal").expect("it knows that");
    db.pragma_update(None, "synchronous", "full").expect("it knows that");
    db.execute_batch("CREATE TABLE log (sequence INTEGER PRIMARY KEY, payload TEXT NOT NULL)").expect("a table");
    db
}

/// A row; on disk after the commit.
pub(super) fn append(db: &Connection, payload: &str) -> i64 {
    let mut insert = db.prepare_cached("INSERT INTO log (payload) VALUES (?1)").expect("a statement");
    insert.execute([payload]).expect("a row");
    db.last_insert_rowid()
}

fn acceptor() -> TlsAcceptor {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate can be made");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("TLS 1.3 is there")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("they fit each other");
    TlsAcceptor::from(Arc::new(config))
}

/// The calling side.
#[derive(Clone)]
pub(super) struct Caller {
    lines: Lines,
}

impl Caller {
    pub(super) async fn dial(port: u16) -> Self {
        let (reader, out) = tls(tcp(port).await).await;
        Self { lines: Lines::new(reader, out) }
    }

    pub(super) async fn call(&self, method: &str, input: &str) -> Box<RawValue> {
        self.lines.ask(|id| format!(r#"{{"id":{id},"method":"{method}","input":{input}}}"#)).await
    }
}

/// One transaction after the other, each with one row.
pub(super) fn commit_one(db: &Connection, payload: &str) {
    db.prepare_cached("BEGIN IMMEDIATE").and_then(|mut begin| begin.execute([])).expect("it begins");
    append(db, payload);
    db.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([])).expect("the disk takes it");
}
