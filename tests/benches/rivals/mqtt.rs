//! A small client for MQTT 3.1.1, of quality of service 1 alone.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, Semaphore, oneshot};
use tokio_util::task::TaskTracker;

use super::wire::{Input, Out, Reader, tcp, tls};

/// Publications that may wait for their acknowledgement: identifiers have 16 bits.
const UNACKNOWLEDGED: usize = 1024;

#[derive(Debug, Clone)]
pub(super) struct Mqtt {
    out: Out,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    heard: Notify,
    room: Semaphore,
}

#[derive(Debug, Default)]
struct State {
    next: u16,
    waiting: HashMap<u16, oneshot::Sender<()>>,
    received: usize,
}

impl Mqtt {
    /// A session that outlives its connection.
    pub(super) async fn connect(port: u16, name: &str) -> Self {
        let (reader, out) = tls(tcp(port).await).await;
        let shared = Shared { state: Mutex::default(), heard: Notify::new(), room: Semaphore::new(UNACKNOWLEDGED) };
        let mqtt = Self { out, shared: Arc::new(shared) };
        let (opened, is_open) = oneshot::channel();
        lock(&mqtt.shared).waiting.insert(0, opened);
        TaskTracker::new().spawn(mqtt.clone().read(reader));
        // Protocol 4, no flags, so that the session is kept; no keepalive.
        let body = [&text("MQTT")[..], &[4, 0, 0, 0], &text(name)].concat();
        mqtt.out.push(&[&packet(0x10, body.len()), &body]);
        is_open.await.expect("it lets us in");
        mqtt
    }

    pub(super) async fn subscribe(&self, topic: &str) {
        let (id, done) = self.begin();
        let body = [&id.to_be_bytes()[..], &text(topic), &[1]].concat();
        self.out.push(&[&packet(0x82, body.len()), &body]);
        done.await.expect("it is acknowledged");
    }

    /// Returns when it has been acknowledged.
    pub(super) async fn publish(&self, topic: &str, payload: &[u8]) {
        let _room = self.shared.room.acquire().await.expect("never closed");
        let (id, done) = self.begin();
        let head = [&text(topic)[..], &id.to_be_bytes()].concat();
        self.out.push(&[&packet(0x32, head.len() + payload.len()), &head, payload]);
        done.await.expect("it is acknowledged");
    }

    /// Waits until so many have come since it was connected.
    pub(super) async fn received(&self, count: usize) {
        while lock(&self.shared).received < count {
            self.shared.heard.notified().await;
        }
    }

    /// Goes, in order.
    pub(super) fn disconnect(&self) {
        self.out.push(&[&[0xe0, 0]]);
    }

    fn begin(&self) -> (u16, oneshot::Receiver<()>) {
        let mut state = lock(&self.shared);
        loop {
            state.next = state.next.checked_add(1).unwrap_or(1);
            if !state.waiting.contains_key(&state.next) {
                break;
            }
        }
        let (sender, done) = oneshot::channel();
        let id = state.next;
        state.waiting.insert(id, sender);
        (id, done)
    }

    async fn read(self, mut reader: Reader) {
        let mut input = Input::default();
        loop {
            while let Some((head, size)) = measure(input.get()) {
                let whole = input.take(head + size);
                let body = &whole[head..];
                match whole[0] >> 4 {
                    2 => self.acknowledged(0),
                    4 | 9 => self.acknowledged(u16::from_be_bytes([body[0], body[1]])),
                    3 => {
                        let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                        self.out.push(&[&[0x40, 2], &body[2 + topic..4 + topic]]);
                        lock(&self.shared).received += 1;
                        self.shared.heard.notify_one();
                    }
                    _ => {}
                }
            }
            if !input.more(&mut reader).await {
                return;
            }
        }
    }

    fn acknowledged(&self, id: u16) {
        if let Some(waiting) = lock(&self.shared).waiting.remove(&id) {
            let _ = waiting.send(());
        }
    }
}

/// The lengths of the head and of the rest of a packet that is there as a whole.
fn measure(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut size = 0;
    for at in 0..4 {
        let byte = *bytes.get(1 + at)?;
        size |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return (bytes.len() >= 2 + at + size).then_some((2 + at, size));
        }
    }
    None
}

fn packet(kind: u8, mut size: usize) -> Vec<u8> {
    let mut head = vec![kind];
    loop {
        let more = if size > 0x7f { 0x80 } else { 0 };
        head.push(u8::try_from(size & 0x7f).expect("seven bits") | more);
        size >>= 7;
        if size == 0 {
            return head;
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    [&u16::try_from(text.len()).expect("short").to_be_bytes(), text.as_bytes()].concat()
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, State> {
    shared.state.lock().unwrap_or_else(PoisonError::into_inner)
}
