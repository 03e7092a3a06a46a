use coattail::id::{CallId, PeerId};
use coattail::wire::host::{
    Entry, Item, ListActions, ListReceivers, Perform, Performed, Publish, PublishBatch, Subscribe, Subscription,
    Unsubscribe,
};
use coattail::wire::jobs::StartJob;
use coattail::wire::peer::Published;
use coattail::wire::publications::{Reached, SchedulePublication};
use coattail::wire::{ErrorCode, Failure};
use jiff::Timestamp;
use serde::Serialize;

use super::job::{self, milliseconds};
use super::reach::Reach;
use super::{create, follow, input, logs, performed, plugin, test, types};
use crate::args::{self, ActionCommand, Lines, PerformAction, PublishAction, SubscribeAction, UnsubscribeAction};
use crate::context::Context;
use crate::error::{ExitStatus, because};
use crate::output::{Field, Format, Record, Row, yes_no};

pub(super) fn run(context: &Context, command: ActionCommand) -> Result<ExitStatus, Failure> {
    match command {
        ActionCommand::Create(args) => create::run(context, &args)?,
        ActionCommand::List(args) => list(context, &args)?,
        ActionCommand::Show(args) => plugin::show(context, &args)?,
        ActionCommand::Reload(args) => return plugin::reload(context, &args),
        ActionCommand::Perform(args) => return perform(context, args),
        ActionCommand::Test(args) => return test::run(context, &args),
        ActionCommand::Logs(args) => logs::run(context, &args)?,
        ActionCommand::Publish(args) => return publish(context, args),
        ActionCommand::Subscribe(args) => subscribe(context, args)?,
        ActionCommand::Unsubscribe(args) => unsubscribe(context, args)?,
        ActionCommand::Types(args) => types::run(context, &args)?,
    }
    Ok(ExitStatus::Done)
}

/// An action or a receiver in a list. Its name is its id.
#[derive(Serialize)]
pub(super) struct Listed {
    id: String,
    #[serde(flatten)]
    entry: Entry,
}

impl From<Entry> for Listed {
    fn from(entry: Entry) -> Self {
        Self { id: entry.name.clone(), entry }
    }
}

impl Row for Listed {
    const COLUMNS: &'static [&'static str] =
        &["name", "performable", "publishable", "subscribable", "runtime", "state", "description"];

    fn cells(&self) -> Vec<String> {
        let entry = &self.entry;
        let problem = entry.problem.as_ref().map(|problem| format!("problem: {problem}"));
        let state = match entry.state {
            Some(state) => state.as_str(),
            None if problem.is_some() => "problem",
            None => "-",
        };
        vec![
            self.id.clone(),
            yes_no(entry.performable),
            yes_no(entry.publishable),
            yes_no(entry.subscribable),
            entry.runtime.clone().unwrap_or_else(|| "-".to_owned()),
            state.to_owned(),
            entry.reason.clone().or(problem).or_else(|| entry.description.clone()).unwrap_or_default(),
        ]
    }
}

fn list(context: &Context, args: &args::ListActions) -> Result<(), Failure> {
    let (peer, schemas) = (context.peer(args.peer.as_deref())?, args.schemas);
    let (entries, empty) = if args.receivers {
        let receivers = context.talk(async |daemon| daemon.call(&ListReceivers { peer, schemas }).await)?;
        (receivers, "there are no receivers; `coattail action create --receiver NAME` makes one")
    } else {
        let actions = context.talk(async |daemon| daemon.call(&ListActions { peer, schemas }).await)?;
        (actions, "there are no actions; `coattail action create NAME` makes one")
    };
    let listed: Vec<Listed> = entries.into_iter().map(Listed::from).collect();
    context.printer.list(&listed, empty)
}

fn perform(context: &Context, args: PerformAction) -> Result<ExitStatus, Failure> {
    let peer = context.peer(args.peer.as_deref())?;
    let (action, publish, key) = (args.action.get(), args.notify, args.idempotency_key);
    let input = args.data.as_ref().map(input::read_json).transpose()?;
    let (timeout_ms, start_timeout_ms) = (args.timeout.map(milliseconds), args.start_timeout.map(milliseconds));
    let parent = context.parent_call();
    if args.detach {
        let call = StartJob { peer, action, input, publish, timeout_ms, start_timeout_ms, key, parent };
        return job::start(context, &call);
    }
    let wait = args.wait.map(|limit| Reach::new(context, peer, action.clone(), limit)).transpose()?;
    let (call, follow) = (Some(CallId::new()), follow::is_wanted(context, args.follow));
    let call = Perform { call, peer, action, input, publish, timeout_ms, start_timeout_ms, follow, key, parent };
    let performed: Performed = context.talk(async |daemon| {
        let deadline = follow::listen(daemon, context, args.timeout);
        daemon.session().call_until(&deadline, &call).await
    })?;
    performed::answer(context, &performed, wait.as_ref())
}

/// Something that was published, and how far it has got if that was waited for.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    published: Published,
    #[serde(skip_serializing_if = "Option::is_none")]
    reach: Option<Reached>,
}

impl From<Published> for Shown {
    fn from(published: Published) -> Self {
        Self { published, reach: None }
    }
}

impl Record for Shown {
    fn fields(&self) -> Vec<Field> {
        let Published { id, sequence, duplicate } = self.published;
        let mut fields = vec![("id", id.to_string()), ("sequence", sequence.to_string())];
        if duplicate {
            fields.push(("duplicate", yes_no(true)));
        }
        fields
    }
}

fn publish(context: &Context, args: PublishAction) -> Result<ExitStatus, Failure> {
    let peer = context.peer(args.peer.as_deref())?;
    if args.delay.is_some() || args.at.is_some() {
        return schedule(context, args);
    }
    let action = args.action.get();
    let wait = args.wait.map(|limit| Reach::new(context, peer, action.clone(), limit)).transpose()?;
    if let Some(lines) = &args.batch {
        let published = publish_batch(context, lines, &args)?;
        return conclude(context, published, wait, |shown| context.printer.list(shown, "there was nothing to publish"));
    }
    let input = input::read_json(args.data.as_ref().expect("clap asks for one of the two"))?;
    let (ttl_ms, to, parent) = (ttl_ms(&args), args.to.clone(), context.parent_call());
    let call = Publish { peer, action, input, id: args.id, ttl_ms, to, parent };
    let published = context.talk(async |daemon| daemon.call(&call).await)?;
    conclude(context, vec![published], wait, |shown| shown.iter().try_for_each(|shown| context.printer.record(shown)))
}

/// Answers with what was published, and waits until the last has reached the subscribers if that is wanted. To programs
/// it is one answer, at the end.
fn conclude(
    context: &Context,
    published: Vec<Published>,
    wait: Option<Reach<'_>>,
    print: impl Fn(&[Shown]) -> Result<(), Failure>,
) -> Result<ExitStatus, Failure> {
    let mut shown: Vec<Shown> = published.into_iter().map(Shown::from).collect();
    let Some((wait, last)) = wait.zip(shown.last_mut()) else {
        print(&shown)?;
        return Ok(ExitStatus::Done);
    };
    let is_one_answer = context.printer.format() == Format::Json;
    let id = last.published.id;
    if !is_one_answer {
        print(&shown)?;
    }
    let waited = wait.wait(id);
    if is_one_answer {
        shown
            .iter_mut()
            .filter(|shown| shown.published.id == id)
            .for_each(|last| last.reach = waited.reached().cloned());
        print(&shown)?;
    }
    Ok(waited.conclude(context))
}

/// For how long somebody wants it.
fn ttl_ms(args: &PublishAction) -> Option<u64> {
    args.ttl.map(|ttl| u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX))
}

fn schedule(context: &Context, args: PublishAction) -> Result<ExitStatus, Failure> {
    let after = |delay| Timestamp::now().as_millisecond().saturating_add(i64::try_from(delay).unwrap_or(i64::MAX));
    let due_ms = args.at.map(Timestamp::as_millisecond).or_else(|| args.delay.map(|delay| after(delay.as_millis())));
    let due_ms = due_ms.expect("it was asked for");
    let input = input::read_json(args.data.as_ref().expect("clap asks for it"))?;
    let (ttl_ms, to, parent) = (ttl_ms(&args), args.to.clone(), context.parent_call());
    let call = SchedulePublication { action: args.action.get(), input, due_ms, ttl_ms, to, parent };
    let scheduled = context.talk(async |daemon| daemon.call(&call).await)?;
    context.printer.record(&scheduled)?;
    Ok(ExitStatus::Done)
}

impl Row for Shown {
    const COLUMNS: &'static [&'static str] = &["id", "sequence", "duplicate"];

    fn cells(&self) -> Vec<String> {
        let Published { id, sequence, duplicate } = self.published;
        vec![id.to_string(), sequence.to_string(), yes_no(duplicate)]
    }
}

fn publish_batch(context: &Context, lines: &Lines, args: &PublishAction) -> Result<Vec<Published>, Failure> {
    let item = |(number, input)| {
        let id = args.id.as_ref().map(|id| format!("{id}/{number}").parse()).transpose();
        let too_long = |error| because(ErrorCode::Usage, format!("the id of line {number} cannot be used"), error);
        Ok(Item { input, id: id.map_err(too_long)? })
    };
    let publications = (1..).zip(input::read_lines(lines)?).map(item).collect::<Result<_, Failure>>()?;
    let (action, ttl_ms, to) = (args.action.get(), ttl_ms(args), args.to.clone());
    let call = PublishBatch { action, publications, ttl_ms, to, parent: context.parent_call() };
    context.talk(async |daemon| daemon.call(&call).await)
}

impl Record for Subscription {
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![
            ("id", self.id.to_string()),
            ("peer", self.peer.to_string()),
            ("action", self.action.to_string()),
            ("receiver", self.receiver.to_string()),
        ];
        fields.extend(self.filter.as_ref().map(|filter| ("where", filter.to_string())));
        if let Some(cursor) = self.cursor {
            fields.push(("after", cursor.to_string()));
        }
        fields
    }
}

fn subscribe(context: &Context, args: SubscribeAction) -> Result<(), Failure> {
    let SubscribeAction { peer, action, receiver, filter } = args;
    let call = Subscribe { peer: other(context, &peer)?, action, receiver, filter };
    let subscription = context.talk(async |daemon| daemon.call(&call).await)?;
    context.printer.record(&subscription)
}

fn unsubscribe(context: &Context, args: UnsubscribeAction) -> Result<(), Failure> {
    let dry_run = args.dry_run;
    let call = Unsubscribe { peer: other(context, &args.peer)?, action: args.action, receiver: args.receiver, dry_run };
    let ended = context.talk(async |daemon| daemon.call(&call).await)?;
    context.end(&ended, dry_run)?;
    if !ended.told && !dry_run {
        context.printer.note("the peer could not be reached; it learns of it at its next delivery");
    }
    Ok(())
}

/// A peer that is not this instance itself.
fn other(context: &Context, given: &str) -> Result<PeerId, Failure> {
    context.peer(Some(given))?.ok_or_else(|| {
        Failure::new(ErrorCode::Usage, "an instance does not subscribe to itself")
            .hint("let the action perform or publish what the receiver would do")
    })
}
