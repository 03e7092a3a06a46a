use coattail::wire::host::PluginState;
use coattail::wire::plugins::{LastError, PluginCounts, PluginWorker};
use tokio::time::Instant;

use super::calls::Pool;
use crate::plugins::output::LAST_OUTPUT;
use crate::plugins::spec::Condition;
use crate::plugins::worker::Worker;

/// What there is to tell of a pool.
#[derive(Debug, Default)]
pub(in crate::plugins) struct Report {
    pub(in crate::plugins) workers: Vec<PluginWorker>,
    pub(in crate::plugins) waiting: u64,
    pub(in crate::plugins) counts: PluginCounts,
    pub(in crate::plugins) last_error: Option<LastError>,
}

impl Pool {
    /// All there is to tell.
    pub(in crate::plugins) fn report(&self) -> Report {
        let (crew, waiting) = {
            let state = self.lock();
            (state.crew.clone(), state.line.waiting() as u64)
        };
        let workers = crew.read(|state, _| {
            let ready = state.ready.iter().map(|worker| shown(worker, false));
            ready.chain(state.ending.iter().map(|worker| shown(worker, true))).collect()
        });
        let (counts, last_error) = self.with.tally.read();
        Report { workers, waiting, counts, last_error }
    }

    /// How its workers are, and why if something is wrong; nothing of what runs once per call.
    pub(in crate::plugins) fn condition(&self) -> Option<Condition> {
        let (crew, rejected) = {
            let state = self.lock();
            let rejected = state.rejected.as_ref().map(|rejected| rejected.failure.message.clone());
            (state.crew.clone(), rejected)
        };
        if crew.spec.plain {
            return None;
        }
        let refused = crew.refuses();
        let (state, trouble) = crew.read(|state, trouble| {
            let now = Instant::now();
            let condition = if !state.ready.is_empty() {
                PluginState::Ready
            } else if refused.is_some() {
                PluginState::Broken
            } else if state.breaker.backing_off(now).is_some() {
                PluginState::BackingOff
            } else if state.starting > 0 {
                PluginState::Starting
            } else {
                PluginState::Cold
            };
            (condition, trouble.map(|trouble| trouble.message.clone()))
        });
        let rejected =
            rejected.map(|why| format!("the new version is not used: {}; the one of before still runs", said(&why)));
        let reason = rejected.or(refused.map(|failure| said(&failure.message).to_owned()));
        let reason = reason.or_else(|| trouble.map(|why| said(&why).to_owned()));
        Some(Condition { state, reason })
    }
}

/// Without what the plugin printed.
fn said(message: &str) -> &str {
    message.split(LAST_OUTPUT).next().unwrap_or(message)
}

fn shown(worker: &Worker, ending: bool) -> PluginWorker {
    PluginWorker {
        pid: worker.pid(),
        calls: worker.calls() as u64,
        done: worker.done(),
        since: worker.since().to_string(),
        ending,
    }
}
