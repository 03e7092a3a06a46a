use std::sync::Arc;
use std::time::Duration;

use coattail::wire::plugin::Kind;
use coattail::wire::plugins::{Plugin, PluginLimits, ReloadOutcome, Reloaded};
use coattail::wire::{ErrorCode, Failure};
use futures::future::join_all;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::handle::{Shared, stopping};
use super::pool::{Change, Pool};
use super::spec::{Condition, Fingerprint, Found, Spec};
use super::{PluginId, Plugins, discover};

/// How often to look, without a call, whether files have changed and whether enough workers are warm. A look costs a
/// few system calls for each plugin that has workers, asks nothing of the kernel that could run out, and sees the same
/// on every file system; a call does not wait for it, but looks itself.
const LOOK: Duration = Duration::from_secs(1);

const KINDS: [Kind; 2] = [Kind::Action, Kind::Receiver];

impl Plugins {
    /// Keeps workers warm, and takes up changed files without being called.
    pub fn watch(self, cancel: CancellationToken) -> impl Future<Output = ()> {
        let shared = self.shared;
        async move {
            let mut folders: [Option<Fingerprint>; 2] = [None, None];
            let mut ticks = interval(LOOK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    biased;
                    () = cancel.cancelled() => return,
                    () = shared.stopping.cancelled() => return,
                    _ = ticks.tick() => {}
                }
                let looking = shared.clone();
                let looked = tokio::task::spawn_blocking(move || {
                    for (kind, known) in KINDS.into_iter().zip(&mut folders) {
                        looking.warm_up(kind, known);
                    }
                    looking.look_again();
                    folders
                });
                match looked.await {
                    Ok(looked) => folders = looked,
                    Err(panic) => {
                        tracing::error!("plugins are not watched any more: {panic}");
                        return;
                    }
                }
            }
        }
    }

    /// How the workers of a plugin are; nothing of what has none, because it runs once per call or cannot be run.
    pub fn condition(&self, found: &Found) -> Option<Condition> {
        let id = PluginId { kind: found.kind, name: found.name.clone() };
        let pool = self.shared.pools().get(&id).cloned();
        let cold = || Condition { state: coattail::wire::host::PluginState::Cold, reason: None };
        let condition = match (&pool, &found.spec) {
            (_, Some(spec)) if spec.plain => None,
            (Some(pool), _) => pool.condition(),
            (None, Some(_)) => Some(cold()),
            (None, None) => None,
        };
        // What cannot be run as it is now has a state for as long as workers of what was before go on.
        condition.filter(|condition| found.spec.is_some() || condition.state != coattail::wire::host::PluginState::Cold)
    }

    /// All there is to tell of one plugin.
    ///
    /// # Errors
    /// `NotFound`.
    pub fn show(&self, kind: Kind, name: &str) -> Result<Plugin, Failure> {
        let id = PluginId { kind, name: name.to_owned() };
        let found = discover::look_for(&self.shared.settings, &id)?;
        let pool = self.shared.pools().get(&id).cloned();
        let report = pool.as_ref().map(|pool| pool.report()).unwrap_or_default();
        let condition = self.condition(&found);
        let running = pool.filter(|_| condition.is_some()).map(|pool| pool.spec());
        // What runs has said what schemas it has; what was only found has not.
        let schemas = running.as_ref().or(found.spec.as_ref()).map(|spec| spec.schemas.texts());
        let (input, output) = schemas.unwrap_or_default();
        let spec = found.spec.clone().or(running);
        Ok(Plugin {
            name: found.name,
            kind,
            path: found.path.map(|path| path.display().to_string()),
            runtime: found.runtime.map(str::to_owned),
            protocol: spec.as_ref().map(|spec| if spec.plain { "plain" } else { "json-rpc" }.to_owned()),
            description: found.description,
            problem: found.problem.map(|problem| problem.message),
            limits: spec.map(|spec| self.limits(&spec)),
            state: condition.as_ref().map(|condition| condition.state),
            reason: condition.and_then(|condition| condition.reason),
            input,
            output,
            workers: report.workers,
            waiting: report.waiting,
            counts: report.counts,
            last_error: report.last_error,
        })
    }

    fn limits(&self, spec: &Spec) -> PluginLimits {
        let (settings, manifest) = (&self.shared.settings, &spec.manifest);
        let (min, max) = manifest.workers();
        let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        PluginLimits {
            timeout_ms: milliseconds(manifest.timeout.unwrap_or(settings.timeout)),
            concurrency: manifest.concurrency.unwrap_or(settings.concurrency) as u64,
            queue: manifest.queue.unwrap_or(settings.queue) as u64,
            min: min as u64,
            max: max as u64,
            idle_ms: milliseconds(manifest.idle.unwrap_or(settings.idle)),
            max_calls: manifest.max_calls,
            start_ms: milliseconds(manifest.start.unwrap_or(settings.start)),
            retry_ms: (spec.id.kind == Kind::Receiver).then(|| {
                let waits = manifest.retry.as_deref().or(settings.retry.waits()).unwrap_or_default();
                waits.iter().copied().map(milliseconds).collect()
            }),
            order_key: manifest.order_key.clone(),
        }
    }

    /// Starts plugins anew: one that is named, or all that have workers or had trouble with them.
    ///
    /// # Errors
    /// `NotFound`, `ShuttingDown`.
    pub async fn reload(&self, kind: Option<Kind>, name: Option<&str>) -> Result<Vec<Reloaded>, Failure> {
        let shared = &self.shared;
        let kinds = || KINDS.into_iter().filter(|one| kind.is_none_or(|kind| kind == *one));
        let ids: Vec<PluginId> = match name {
            Some(name) => {
                let named = kinds().map(|kind| PluginId { kind, name: name.to_owned() });
                let (found, missing): (Vec<_>, Vec<_>) =
                    named.map(|id| discover::look_for(&shared.settings, &id).map(|_| id)).partition(Result::is_ok);
                let missing = missing.into_iter().find_map(Result::err);
                match (found.is_empty(), missing) {
                    (true, Some(missing)) => return Err(missing),
                    _ => found.into_iter().flatten().collect(),
                }
            }
            None => {
                let pools = shared.pools();
                let busy = pools.iter().filter(|(id, pool)| pool.is_busy() && kinds().any(|kind| kind == id.kind));
                let mut ids: Vec<_> = busy.map(|(id, _)| id.clone()).collect();
                ids.sort_by(|a, b| (a.kind.as_str(), &a.name).cmp(&(b.kind.as_str(), &b.name)));
                ids
            }
        };
        join_all(ids.into_iter().map(|id| self.reload_one(id))).await.into_iter().collect()
    }

    async fn reload_one(&self, id: PluginId) -> Result<Reloaded, Failure> {
        let shared = &self.shared;
        shared.forget(&id);
        let outcome = match shared.find(&id) {
            Err(unusable) => {
                let pool = shared.pools().get(&id).cloned();
                let goes_on = pool.is_some_and(|pool| pool.reject(&unusable));
                Err((unusable.failure, goes_on))
            }
            Ok(spec) => {
                let pool = shared.pool(&mut shared.pools(), &spec, Change::Wanted).ok_or_else(|| stopping(&id))?;
                pool.reloaded().await
            }
        };
        let PluginId { kind, name } = id;
        let (outcome, message) = match outcome {
            Ok(true) => (ReloadOutcome::Reloaded, None),
            Ok(false) => (ReloadOutcome::PerCall, None),
            Err((failure, _)) if failure.code == ErrorCode::ShuttingDown => return Err(failure),
            Err((failure, true)) => {
                (ReloadOutcome::Failed, Some(format!("the one of before still runs: {}", failure.message)))
            }
            Err((failure, false)) => (ReloadOutcome::Failed, Some(failure.message)),
        };
        Ok(Reloaded { kind, name, outcome, message })
    }
}

impl Shared {
    /// Starts what is to be warm, when the folder is not what it was.
    fn warm_up(&self, kind: Kind, known: &mut Option<Fingerprint>) {
        if known.as_ref().is_some_and(Fingerprint::holds) {
            return;
        }
        // Order: first the look, then the reading, so that what is added in between is read next time.
        let now = Fingerprint::of(&[&self.settings.folder(kind)]);
        let specs = discover::list(&self.settings, kind).into_iter().filter_map(|found| found.spec);
        for spec in specs.filter(|spec| spec.manifest.workers().0 > 0) {
            if let Some(pool) = self.pool(&mut self.pools(), &spec, Change::Perhaps) {
                pool.tend();
            }
        }
        // The times of files are coarse: what has just changed is looked at again.
        *known = Some(now).filter(Fingerprint::is_settled);
    }

    /// Looks at the files of what has workers, and at the workers.
    fn look_again(&self) {
        let pools: Vec<(PluginId, Arc<Pool>)> =
            self.pools().iter().map(|(id, pool)| (id.clone(), pool.clone())).collect();
        for (id, pool) in pools.into_iter().filter(|(_, pool)| pool.is_busy()) {
            match self.find(&id) {
                Ok(spec) => pool.adopt(&spec, Change::Perhaps),
                Err(unusable) if unusable.is_withdrawn => self.let_go(&id),
                Err(unusable) => {
                    pool.reject(&unusable);
                }
            }
            pool.tend();
        }
    }

    /// Ends the workers of a plugin that was taken away, once no call is under way.
    fn let_go(&self, id: &PluginId) {
        // Under the lock no call can come in between.
        let mut pools = self.pools();
        if pools.get(id).is_some_and(|pool| !pool.has_calls())
            && let Some(pool) = pools.remove(id)
        {
            pool.retire();
        }
    }
}
