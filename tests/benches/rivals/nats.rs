//! A small client for NATS: its lines, requests, and pulls from JetStream.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{mpsc, oneshot};
use tokio_util::task::TaskTracker;

use super::wire::{Input, Out, Reader, tcp, tls};

/// Messages that may wait for a subscriber: more than are ever asked for at once.
const WAITING: usize = 4096;

#[derive(Debug, Clone)]
pub(super) struct Nats {
    out: Out,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    inbox: String,
    next: AtomicU64,
    requests: Mutex<HashMap<u64, oneshot::Sender<Bytes>>>,
    subscriptions: Mutex<HashMap<u64, mpsc::Sender<Message>>>,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) reply: String,
    pub(super) payload: Bytes,
    /// Tells of the server itself, as that there is nothing more.
    pub(super) is_status: bool,
}

impl Nats {
    pub(super) async fn connect(port: u16) -> Self {
        let mut stream = tcp(port).await;
        let mut byte = [0];
        // The greeting is a line in the clear.
        while byte != *b"\n" {
            stream.read_exact(&mut byte).await.expect("it greets");
        }
        let (reader, out) = tls(stream).await;
        let id: u64 = rand::random();
        let shared = Shared {
            inbox: format!("_INBOX.{id:x}"),
            next: AtomicU64::new(1),
            requests: Mutex::default(),
            subscriptions: Mutex::default(),
        };
        let nats = Self { out, shared: Arc::new(shared) };
        let options = json!({"verbose": false, "pedantic": false, "tls_required": true, "headers": true,
            "no_responders": true, "lang": "rust", "version": "0", "protocol": 1});
        nats.out.push(&[format!("CONNECT {options}\r\nSUB {}.* 0\r\nPING\r\n", nats.shared.inbox).as_bytes()]);
        TaskTracker::new().spawn(nats.clone().read(reader));
        nats
    }

    pub(super) fn publish(&self, subject: &str, reply: &str, payload: &[u8]) {
        let head = format!("PUB {subject} {reply} {}\r\n", payload.len());
        self.out.push(&[head.as_bytes(), payload, b"\r\n"]);
    }

    pub(super) async fn request(&self, subject: &str, payload: &[u8]) -> Bytes {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        lock(&self.shared.requests).insert(id, sender);
        self.publish(subject, &format!("{}.{id}", self.shared.inbox), payload);
        answer.await.expect("it is answered")
    }

    /// A request to JetStream, which must succeed.
    pub(super) async fn api(&self, subject: &str, body: &Value) -> Value {
        let answer = self.request(&format!("$JS.API.{subject}"), body.to_string().as_bytes()).await;
        let answer: Value = serde_json::from_slice(&answer).expect("JSON");
        assert!(answer["error"].is_null(), "{subject}: {answer}");
        answer
    }

    pub(super) fn subscribe(&self, subject: &str) -> mpsc::Receiver<Message> {
        let id = self.shared.next.fetch_add(1, Ordering::Relaxed);
        let (sender, messages) = mpsc::channel(WAITING);
        lock(&self.shared.subscriptions).insert(id, sender);
        self.out.push(&[format!("SUB {subject} {id}\r\n").as_bytes()]);
        messages
    }

    /// A subject that nobody else has.
    pub(super) fn own_subject(&self) -> String {
        format!("own.{:x}", rand::random::<u64>())
    }

    async fn read(self, mut reader: Reader) {
        let mut input = Input::default();
        loop {
            while let Some(end) = input.get().windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&input.get()[..end]).into_owned();
                let words: Vec<&str> = line.split(' ').collect();
                match words[0] {
                    "PING" => self.out.push(&[b"PONG\r\n"]),
                    "-ERR" => panic!("{line}"),
                    kind @ ("MSG" | "HMSG") => {
                        let size: usize = words[words.len() - 1].parse().expect("a size");
                        if input.get().len() < end + 2 + size + 2 {
                            break;
                        }
                        let payload = input.take(end + 2 + size + 2).slice(end + 2..end + 2 + size);
                        self.dispatch(&words, kind == "HMSG", payload).await;
                        continue;
                    }
                    _ => {}
                }
                input.take(end + 2);
            }
            if !input.more(&mut reader).await {
                return;
            }
        }
    }

    async fn dispatch(&self, words: &[&str], is_headed: bool, payload: Bytes) {
        let numbers = if is_headed { 2 } else { 1 };
        if words[2] == "0" {
            let id = words[1].rsplit('.').next().and_then(|id| id.parse().ok()).expect("an id of ours");
            if let Some(waiting) = lock(&self.shared.requests).remove(&id) {
                let _ = waiting.send(payload);
            }
            return;
        }
        let reply = if words.len() == 4 + numbers { words[3].to_owned() } else { String::new() };
        let sender = lock(&self.shared.subscriptions).get(&words[2].parse().expect("an id of ours")).cloned();
        if let Some(sender) = sender {
            let _ = sender.send(Message { reply, payload, is_status: is_headed }).await;
        }
    }
}

/// A stream in files, for everything below a subject of its name.
pub(super) async fn make_stream(nats: &Nats, name: &str) {
    let body = json!({"name": name, "subjects": [format!("{name}.>")], "storage": "file", "retention": "limits"});
    nats.api(&format!("STREAM.CREATE.{name}"), &body).await;
}

/// A durable consumer of a stream, from its first message on.
pub(super) async fn make_consumer(nats: &Nats, stream: &str, name: &str) {
    let config = json!({"durable_name": name, "ack_policy": "all", "deliver_policy": "all", "max_ack_pending": -1});
    let body = json!({"stream_name": stream, "config": config});
    nats.api(&format!("CONSUMER.DURABLE.CREATE.{stream}.{name}"), &body).await;
}

/// Pulls so many messages through a consumer, and acknowledges the last of each batch for all of it.
pub(super) async fn pull(nats: Nats, stream: String, consumer: String, count: usize, batch: usize) {
    let subject = nats.own_subject();
    let mut messages = nats.subscribe(&subject);
    let (ask, mut got, mut asked) = (format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"), 0, 0);
    while got < count {
        // One batch is always on its way.
        while asked < count && asked < got + 2 * batch {
            let next = batch.min(count - asked);
            nats.publish(&ask, &subject, format!("{{\"batch\":{next},\"expires\":60000000000}}").as_bytes());
            asked += next;
        }
        let message = messages.recv().await.expect("it sends");
        if message.is_status {
            continue;
        }
        got += 1;
        if got % batch == 0 || got == count {
            nats.publish(&message.reply, "", b"+ACK");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
