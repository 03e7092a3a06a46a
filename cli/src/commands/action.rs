use std::sync::Arc;
use std::time::Duration;

use coattail::id::{CallId, PeerId};
use coattail::rpc::Service;
use coattail::wire::host::{
    Entry, Level, ListActions, ListReceivers, Log, Perform, Performed, Progress, Publish, Subscribe, Subscription,
    Unsubscribe,
};
use coattail::wire::peer::Published;
use coattail::wire::{Done, ErrorCode, Failure, Raw};
use serde::Serialize;

use super::{create, input, plugin, types};
use crate::args::{self, ActionCommand, PerformAction, PublishAction, SubscribeAction, UnsubscribeAction};
use crate::context::{Context, Daemon};
use crate::error::{ExitStatus, report};
use crate::output::{Field, Printer, Record, Row, visible, yes_no};

/// What a call may take beyond its own time limit, until its end is told.
const GRACE: Duration = Duration::from_secs(30);

pub(super) fn run(context: &Context, command: ActionCommand) -> Result<ExitStatus, Failure> {
    match command {
        ActionCommand::Create(args) => create::run(context, &args)?,
        ActionCommand::List(args) => list(context, &args)?,
        ActionCommand::Show(args) => plugin::show(context, &args)?,
        ActionCommand::Reload(args) => return plugin::reload(context, &args),
        ActionCommand::Perform(args) => return perform(context, args),
        ActionCommand::Publish(args) => publish(context, args)?,
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
        timeout_ms: args.timeout.map(|limit| u64::try_from(limit.as_millis()).unwrap_or(u64::MAX)),
        parent: context.parent_call(),
    };
    let performed: Performed = context.talk(async |daemon| {
        listen(daemon, context);
        match args.timeout {
            Some(limit) => daemon.session().call_within(limit.saturating_add(GRACE), &call).await,
            // The daemon has a limit of its own, which we do not know.
            None => daemon.session().call(&call).await.map_err(Failure::from),
        }
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

/// Passes on what the daemon tells of the call while it runs.
fn listen(daemon: &Daemon, context: &Context) {
    struct Listener {
        printer: Printer,
        verbose: bool,
    }
    let listener = Arc::new(Listener { printer: context.printer.clone(), verbose: context.is_verbose() });
    let service = Service::new()
        .on_in_order(&listener, |listener, _, log: Log| {
            if listener.verbose || matches!(log.level, Level::Info | Level::Warn | Level::Error) {
                listener.printer.note(&visible(&log.message));
            }
            Ok(Done {})
        })
        .on_in_order(&listener, |listener, _, progress: Progress| {
            if listener.verbose {
                let percent = progress.fraction.map(|fraction| format!("{:.0} % ", fraction * 100.0));
                let message = progress.message.unwrap_or_default();
                listener.printer.note(&visible(&format!("{}{message}", percent.unwrap_or_default())));
            }
            Ok(Done {})
        });
    daemon.session().serve(service);
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

/// A peer that is not this instance itself.
fn other(context: &Context, given: &str) -> Result<PeerId, Failure> {
    context.peer(Some(given))?.ok_or_else(|| {
        Failure::new(ErrorCode::Usage, "an instance does not subscribe to itself")
            .hint("let the action perform or publish what the receiver would do")
    })
}
