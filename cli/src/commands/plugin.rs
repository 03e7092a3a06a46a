//! What there is to know of one plugin, and how it is started anew.

use std::time::Duration;

use coattail::wire::Failure;
use coattail::wire::plugin::Kind;
use coattail::wire::plugins::{Plugin, PluginLimits, PluginWorker, ReloadOutcome, ReloadPlugins, Reloaded, ShowPlugin};

use crate::args::{ReloadAction, ShowAction};
use crate::context::Context;
use crate::error::ExitStatus;
use crate::output::{Field, Record, Row, ago};

impl Record for Plugin {
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![("name", self.name.clone()), ("kind", self.kind.as_str().to_owned())];
        let texts = [
            ("path", &self.path),
            ("runtime", &self.runtime),
            ("protocol", &self.protocol),
            ("description", &self.description),
            ("problem", &self.problem),
        ];
        fields.extend(texts.into_iter().filter_map(|(name, text)| Some((name, text.clone()?))));
        fields.extend(self.state.map(|state| ("state", state.as_str().to_owned())));
        fields.extend(self.reason.clone().map(|reason| ("reason", reason)));
        fields.extend(self.limits.as_ref().into_iter().flat_map(limits));
        let schemas = [("input", &self.input), ("output", &self.output)];
        fields.extend(schemas.into_iter().filter_map(|(name, schema)| Some((name, schema.as_ref()?.get().to_owned()))));
        fields.extend(self.workers.iter().map(|worker| ("worker", shown(worker))));
        let counts = &self.counts;
        fields.extend([
            ("waiting", self.waiting.to_string()),
            ("calls", counts.calls.to_string()),
            ("failed", counts.failed.to_string()),
            ("crashes", counts.crashes.to_string()),
        ]);
        fields.extend(
            self.last_error.as_ref().map(|last| ("last error", format!("{}: {}", ago(&last.time), last.message))),
        );
        fields
    }
}

fn limits(limits: &PluginLimits) -> Vec<Field> {
    let time = |milliseconds| format!("{:?}", Duration::from_millis(milliseconds));
    let mut fields = vec![
        ("timeout", time(limits.timeout_ms)),
        ("concurrency", limits.concurrency.to_string()),
        ("queue", limits.queue.to_string()),
        ("min", limits.min.to_string()),
        ("max", limits.max.to_string()),
        ("idle", time(limits.idle_ms)),
    ];
    fields.extend(limits.max_calls.map(|most| ("max calls", most.to_string())));
    fields.push(("start", time(limits.start_ms)));
    fields.extend(limits.retry_ms.as_ref().map(|waits| {
        let waits: Vec<_> = waits.iter().map(|wait| time(*wait)).collect();
        ("retry", if waits.is_empty() { "never".to_owned() } else { format!("after {}", waits.join(", ")) })
    }));
    fields.extend(limits.order_key.as_ref().map(|key| ("order key", key.to_string())));
    fields
}

fn shown(worker: &PluginWorker) -> String {
    let pid = worker.pid.map_or_else(|| "-".to_owned(), |pid| pid.to_string());
    let ending = if worker.ending { ", ending" } else { "" };
    format!("{pid}: {} calls under way, {} done, since {}{ending}", worker.calls, worker.done, ago(&worker.since))
}

impl Row for Reloaded {
    const COLUMNS: &'static [&'static str] = &["name", "kind", "outcome", "message"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.name.clone(),
            self.kind.as_str().to_owned(),
            self.outcome.as_str().to_owned(),
            self.message.clone().unwrap_or_default(),
        ]
    }
}

pub(super) fn show(context: &Context, args: &ShowAction) -> Result<(), Failure> {
    let call = ShowPlugin { kind: kind(args.receiver), name: args.name.to_string() };
    context.printer.record(&context.talk(async |daemon| daemon.call(&call).await)?)
}

pub(super) fn reload(context: &Context, args: &ReloadAction) -> Result<ExitStatus, Failure> {
    // A name alone is an action's, as everywhere; no name is everything.
    let kind = (args.receiver || args.name.is_some()).then(|| kind(args.receiver));
    let call = ReloadPlugins { kind, name: args.name.as_ref().map(ToString::to_string) };
    // The daemon has a limit for each start, which we do not know.
    let reloaded = context.talk(async |daemon| daemon.session().call(&call).await.map_err(Failure::from))?;
    context.printer.list(&reloaded, "nothing has workers; what is called next is read as its files are now")?;
    let has_failed = reloaded.iter().any(|one| one.outcome == ReloadOutcome::Failed);
    Ok(if has_failed { ExitStatus::Failed } else { ExitStatus::Done })
}

fn kind(is_receiver: bool) -> Kind {
    if is_receiver { Kind::Receiver } else { Kind::Action }
}
