use std::time::Duration;

use coattail::id::{CallId, PeerId};
use coattail::wire::host::{
    Entry, ListActions, ListReceivers, Perform, Performed, Publish, Subscribe, Subscription, Unsubscribe,
};
use coattail::wire::peer::Published;
use coattail::wire::{ErrorCode, Failure, Raw};
use serde::Serialize;

use super::{create, follow, input, logs};
use crate::args::{self, ActionCommand, PerformAction, PublishAction, SubscribeAction, UnsubscribeAction};
use crate::context::Context;
use crate::error::{ExitStatus, report};
use crate::output::{Field, Record, Row, yes_no};

pub(super) fn run(context: &Context, command: ActionCommand) -> Result<ExitStatus, Failure> {
    match command {
        ActionCommand::Create(args) => create::run(context, &args)?,
        ActionCommand::List(args) => list(context, &args)?,
        ActionCommand::Perform(args) => return perform(context, args),
        ActionCommand::Logs(args) => logs::run(context, &args)?,
        ActionCommand::Publish(args) => publish(context, args)?,
        ActionCommand::Subscribe(args) => subscribe(context, args)?,
        ActionCommand::Unsubscribe(args) => unsubscribe(context, args)?,
    }
    Ok(ExitStatus::Done)
}

/// An action or a receiver in a list. Its name is its id.
#[derive(Serialize)]
struct Listed {
    id: String,
    #[serde(flatten)]
    entry: Entry,
}

impl Row for Listed {
    const COLUMNS: &'static [&'static str] =
        &["name", "performable", "publishable", "subscribable", "runtime", "description"];

    fn cells(&self) -> Vec<String> {
        let entry = &self.entry;
        let problem = entry.problem.as_ref().map(|problem| format!("problem: {problem}"));
        vec![
            self.id.clone(),
            yes_no(entry.performable),
            yes_no(entry.publishable),
            yes_no(entry.subscribable),
            entry.runtime.clone().unwrap_or_else(|| "-".to_owned()),
            problem.or_else(|| entry.description.clone()).unwrap_or_default(),
        ]
    }
}

fn list(context: &Context, args: &args::ListActions) -> Result<(), Failure> {
    let peer = context.peer(args.peer.as_deref())?;
    let (entries, empty) = if args.receivers {
        let receivers = context.talk(async |daemon| daemon.call(&ListReceivers { peer }).await)?;
        (receivers, "there are no receivers; `coattail action create --receiver NAME` makes one")
    } else {
        let actions = context.talk(async |daemon| daemon.call(&ListActions { peer }).await)?;
        (actions, "there are no actions; `coattail action create NAME` makes one")
    };
    let listed: Vec<Listed> = entries.into_iter().map(|entry| Listed { id: entry.name.clone(), entry }).collect();
    context.printer.list(&listed, empty)
}

/// A performed action, as programs are told of it.
#[derive(Serialize)]
struct Answer<'a> {
    result: Option<&'a Raw>,
    call: CallId,
    #[serde(skip_serializing_if = "Option::is_none")]
    publication: Option<&'a Published>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publication_error: Option<&'a str>,
}

fn perform(context: &Context, args: PerformAction) -> Result<ExitStatus, Failure> {
    let call = Perform {
        call: Some(CallId::new()),
        peer: context.peer(args.peer.as_deref())?,
        action: args.action.get(),
        input: args.data.as_ref().map(input::read_json).transpose()?,
        publish: args.notify,
        timeout_ms: args.timeout.map(milliseconds),
        start_timeout_ms: args.start_timeout.map(milliseconds),
        follow: follow::is_wanted(context, args.follow),
        key: None,
        parent: context.parent_call(),
    };
    let performed: Performed = context.talk(async |daemon| {
        let deadline = follow::listen(daemon, context, args.timeout);
        daemon.session().call_until(&deadline, &call).await
    })?;
    let printer = &context.printer;
    let answer = Answer {
        result: performed.result.as_ref(),
        call: performed.call,
        publication: performed.publication.as_ref(),
        publication_error: performed.publication_error.as_deref(),
    };
    printer.result(answer.result, &answer)?;
    if let Some(published) = answer.publication {
        printer.note(&format!("published as {} (number {})", published.id, published.sequence));
    }
    // The result is the answer even so: the action has run.
    match answer.publication_error {
        None => Ok(ExitStatus::Done),
        Some(why) => {
            let failure = Failure::new(ErrorCode::Failed, format!("the result was not published\n{why}"))
                .hint("publish it with `coattail action publish`; the action itself has succeeded");
            Ok(report(printer, &failure))
        }
    }
}

impl Record for Published {
    fn fields(&self) -> Vec<Field> {
        vec![("id", self.id.to_string()), ("sequence", self.sequence.to_string())]
    }
}

fn publish(context: &Context, args: PublishAction) -> Result<(), Failure> {
    let peer = context.peer(args.peer.as_deref())?;
    let input = input::read_json(&args.data)?;
    let call = Publish { peer, action: args.action.get(), input, parent: context.parent_call() };
    let published = context.talk(async |daemon| daemon.call(&call).await)?;
    context.printer.record(&published)
}

impl Record for Subscription {
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![
            ("id", self.id.to_string()),
            ("peer", self.peer.to_string()),
            ("action", self.action.to_string()),
            ("receiver", self.receiver.to_string()),
        ];
        if let Some(cursor) = self.cursor {
            fields.push(("after", cursor.to_string()));
        }
        fields
    }
}

fn subscribe(context: &Context, args: SubscribeAction) -> Result<(), Failure> {
    let call = Subscribe { peer: other(context, &args.peer)?, action: args.action, receiver: args.receiver };
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

fn milliseconds(limit: Duration) -> u64 {
    u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)
}

/// A peer that is not this instance itself.
fn other(context: &Context, given: &str) -> Result<PeerId, Failure> {
    context.peer(Some(given))?.ok_or_else(|| {
        Failure::new(ErrorCode::Usage, "an instance does not subscribe to itself")
            .hint("let the action perform or publish what the receiver would do")
    })
}
