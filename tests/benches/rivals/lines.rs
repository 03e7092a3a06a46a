//! Questions under way on one stream of lines.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::io::AsyncRead;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

use super::wire::{Input, Out};

/// Each answer is a line with `id` and `result`.
#[derive(Debug, Clone)]
pub(super) struct Lines {
    out: Out,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    waiting: HashMap<u64, oneshot::Sender<Box<RawValue>>>,
}

#[derive(Deserialize)]
struct Answer {
    id: u64,
    result: Box<RawValue>,
}

impl Lines {
    pub(super) fn new(mut reader: impl AsyncRead + Unpin + Send + 'static, out: Out) -> Self {
        let this = Self { out, state: Arc::default() };
        let heard = this.clone();
        TaskTracker::new().spawn(async move {
            let mut input = Input::default();
            while input.more(&mut reader).await {
                while let Some(line) = input.line() {
                    let answer: Answer = serde_json::from_slice(&line).expect("an answer");
                    if let Some(waiting) = heard.state().waiting.remove(&answer.id) {
                        let _ = waiting.send(answer.result);
                    }
                }
            }
        });
        this
    }

    /// Sends the line that asks, and waits for its answer.
    pub(super) async fn ask(&self, line: impl FnOnce(u64) -> String) -> Box<RawValue> {
        let (sender, answer) = oneshot::channel();
        let id = {
            let mut state = self.state();
            state.next += 1;
            let id = state.next;
            state.waiting.insert(id, sender);
            id
        };
        self.out.push(&[line(id).as_bytes(), b"\n"]);
        answer.await.expect("it answers")
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
