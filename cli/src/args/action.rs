use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use clap_complete::engine::ArgValueCompleter;
use coattail::filter::Filter;
use coattail::key::Key;
use coattail::name::{ActionName, ReceiverName};
use coattail::recipient::Recipient;

use super::TestAction;
use super::duration::parse_wait;
use crate::candidates;

/// `coattail action`
#[derive(Debug, Subcommand)]
pub(crate) enum ActionCommand {
    /// Make an action, or a receiver, from a template
    Create(CreateAction),
    /// List actions, or receivers
    List(ListActions),
    /// Show one action, or receiver: what it is, its limits, its workers, what went wrong
    Show(ShowAction),
    /// Start actions and receivers anew, as their files are now
    #[command(after_help = "A changed file is taken up by itself. This is for what the daemon cannot see, such as a \
                            library that an action loads,\nand to try one at once that is refused because it crashed \
                            again and again.")]
    Reload(ReloadAction),
    /// Perform an action and print its result
    #[command(after_help = "Examples:\n  coattail action perform 'My Action' -d '{\"n\": 1}'\n  \
                            coattail action perform backup -d @input.json --peer ID --notify\n  \
                            coattail action perform backup --notify --wait=30s\n  \
                            coattail action perform backup --detach --idempotency-key monday\n\n\
                            With --wait the result comes at once. What ends is the waiting: exit status 0 when all \
                            have stored it, 75 when\nsome have not at the end of DURATION, or are paused, 130 after \
                            Ctrl-C. The publication stays, and is delivered on.")]
    Perform(PerformAction),
    /// Run the present files of an action or a receiver once, or fixture by fixture
    #[command(after_help = "Examples:\n  coattail action test Greet --data '{\"name\": \"Ada\"}'\n  \
                            coattail action test keep --receiver --fixtures fixtures/keep")]
    Test(TestAction),
    /// Show what an action said and printed, and when its workers came and went
    #[command(
        after_help = "Examples:\n  coattail action logs backup --lines 20\n  coattail action logs keep --receiver -f"
    )]
    Logs(ActionLogs),
    /// Publish a value for an action without performing it
    #[command(after_help = "Examples:\n  coattail action publish backup -d '{\"n\": 1}'\n  \
                            coattail action publish backup -d @report.json --id 2026-11-20\n  \
                            coattail action publish backup --batch reports.jsonl --wait=1m\n  \
                            coattail action publish backup -d '\"weekly\"' --in 5m")]
    Publish(PublishAction),
    /// Subscribe a receiver of this instance to an action of a peer
    Subscribe(SubscribeAction),
    /// End a subscription of this instance
    Unsubscribe(UnsubscribeAction),
    /// Generate types for callers from the JSON Schemas of actions
    #[command(after_help = "Examples:\n  coattail action types --peer ID --language ts --output office.ts\n  \
                            coattail action types backup --language py")]
    Types(ActionTypes),
}

/// `coattail action create`
#[derive(Debug, Args)]
pub(crate) struct CreateAction {
    #[command(flatten)]
    pub(crate) name: NewName,
    /// Make a receiver
    #[arg(short, long)]
    pub(crate) receiver: bool,
    /// What to write it in
    #[arg(long, value_enum, default_value = "js")]
    pub(crate) language: Language,
}

/// A name that was given one way or the other.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct NewName {
    /// What it is to be called
    #[arg(value_name = "NAME")]
    positional: Option<ActionName>,
    /// As NAME
    #[arg(short = 'n', long = "name", value_name = "NAME")]
    named: Option<ActionName>,
}

impl NewName {
    /// The name, whichever way it was given.
    pub(crate) fn get(&self) -> &ActionName {
        self.positional.as_ref().or(self.named.as_ref()).expect("clap asks for one of the two")
    }
}

/// An action that was named one way or the other.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct WhichAction {
    /// The action
    #[arg(value_name = "ACTION", add = ArgValueCompleter::new(candidates::actions))]
    positional: Option<ActionName>,
    /// As ACTION
    #[arg(short = 'a', long = "action", value_name = "ACTION", add = ArgValueCompleter::new(candidates::actions))]
    named: Option<ActionName>,
}

impl WhichAction {
    /// The name, whichever way it was given.
    pub(crate) fn get(&self) -> ActionName {
        self.positional.as_ref().or(self.named.as_ref()).expect("clap asks for one of the two").clone()
    }
}

/// What a template is written in; also the extension of its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Language {
    /// JavaScript, run by Node
    Js,
    /// Python 3
    Py,
    /// A shell script
    Sh,
}

/// `coattail action list`
#[derive(Debug, Args)]
pub(crate) struct ListActions {
    /// List receivers
    #[arg(short, long)]
    pub(crate) receivers: bool,
    /// Of this peer [default: of this instance]
    #[arg(short, long, value_name = "ID", add = ArgValueCompleter::new(candidates::peers))]
    pub(crate) peer: Option<String>,
    /// Start what has not said yet what it takes and returns, so that --json shows all JSON Schemas
    #[arg(long)]
    pub(crate) schemas: bool,
}

/// `coattail action show`
#[derive(Debug, Args)]
pub(crate) struct ShowAction {
    /// Its name
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(candidates::plugins))]
    pub(crate) name: ActionName,
    /// Show a receiver
    #[arg(short, long)]
    pub(crate) receiver: bool,
}

/// `coattail action reload`
#[derive(Debug, Args)]
pub(crate) struct ReloadAction {
    /// Its name [default: all that have workers, or had trouble with them]
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(candidates::plugins))]
    pub(crate) name: Option<ActionName>,
    /// Reload a receiver; without a name, receivers only
    #[arg(short, long)]
    pub(crate) receiver: bool,
}

/// `coattail action perform`
#[derive(Debug, Args)]
pub(crate) struct PerformAction {
    #[command(flatten)]
    pub(crate) action: WhichAction,
    /// What to give to it: JSON, @FILE, or - for stdin [default: nothing]
    #[arg(short, long, value_name = "JSON", allow_hyphen_values = true)]
    pub(crate) data: Option<Input>,
    /// Publish the result
    #[arg(short, long)]
    pub(crate) notify: bool,
    /// Then wait until all who are subscribed have stored it, so long at the most [default: until Ctrl-C]
    #[arg(long, value_name = "DURATION", require_equals = true, value_parser = parse_wait, requires = "notify",
        conflicts_with = "detach")]
    pub(crate) wait: Option<Option<Duration>>,
    /// At this peer [default: at this instance]
    #[arg(short, long, value_name = "ID", add = ArgValueCompleter::new(candidates::peers))]
    pub(crate) peer: Option<String>,
    /// How long to wait, such as 30s or 5m [default: what the configuration says]
    #[arg(long, value_name = "DURATION", value_parser = parse_wait)]
    pub(crate) timeout: Option<Duration>,
    /// How long to wait until it begins; after that nothing was done [default: as long as for the rest]
    #[arg(long, value_name = "DURATION", value_parser = parse_wait)]
    pub(crate) start_timeout: Option<Duration>,
    /// Show what it says on stderr while it runs [default: on a terminal]
    #[arg(long, conflicts_with = "detach")]
    pub(crate) follow: bool,
    /// Store it as a job and print the id of that, instead of waiting
    #[arg(long)]
    pub(crate) detach: bool,
    /// Whoever asks again with the same key gets the same outcome, and nothing is done twice
    #[arg(long, value_name = "KEY")]
    pub(crate) idempotency_key: Option<Key>,
}

/// `coattail action logs`
#[derive(Debug, Args)]
pub(crate) struct ActionLogs {
    /// Whose; one whose files are gone still has a log
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(candidates::actions))]
    pub(crate) name: String,
    /// NAME is a receiver
    #[arg(short, long)]
    pub(crate) receiver: bool,
    /// Go on until Ctrl-C
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// How many lines [default: 100]
    #[arg(long, value_name = "N")]
    pub(crate) lines: Option<u32>,
}

/// `coattail action publish`
#[derive(Debug, Args)]
pub(crate) struct PublishAction {
    #[command(flatten)]
    pub(crate) action: WhichAction,
    /// What to publish: JSON, @FILE, or - for stdin
    #[arg(short, long, value_name = "JSON", allow_hyphen_values = true, required_unless_present = "batch")]
    pub(crate) data: Option<Input>,
    /// Publish each line of a file of JSON lines, or of - for stdin: all of them, or none
    #[arg(long, value_name = "FILE", conflicts_with_all = ["data", "peer"])]
    pub(crate) batch: Option<Lines>,
    /// At this peer [default: at this instance]
    #[arg(short, long, value_name = "ID", add = ArgValueCompleter::new(candidates::peers))]
    pub(crate) peer: Option<String>,
    /// Publish it after this time, such as 5m or 2 days
    #[arg(long = "in", value_name = "DURATION", value_parser = parse_wait, conflicts_with_all = ["batch", "peer", "id"])]
    pub(crate) delay: Option<Duration>,
    /// Publish it at this time, such as 2026-11-20T18:00:00Z
    #[arg(long, value_name = "TIME", conflicts_with_all = ["delay", "batch", "peer", "id"])]
    pub(crate) at: Option<jiff::Timestamp>,
    /// Then wait until all who are subscribed have stored it, so long at the most [default: until Ctrl-C]. Of a batch,
    /// the last
    #[arg(long, value_name = "DURATION", require_equals = true, value_parser = parse_wait,
        conflicts_with_all = ["delay", "at"])]
    pub(crate) wait: Option<Option<Duration>>,
    /// What you call it: the same is stored once, however often it is published with the same id. Line 7 of a batch is
    /// called ID/7
    #[arg(long, value_name = "TEXT")]
    pub(crate) id: Option<Key>,
    /// For how long somebody wants it, such as 1h: after that it is not delivered, and no receiver is called with it
    #[arg(long, value_name = "DURATION", value_parser = parse_wait, conflicts_with = "peer")]
    pub(crate) ttl: Option<Duration>,
    /// Only for these subscribers: issuer hashes, or ids of peers [default: for all of them]
    #[arg(long, value_name = "SUBSCRIBER", value_delimiter = ',', conflicts_with = "peer",
        add = ArgValueCompleter::new(candidates::peers))]
    pub(crate) to: Option<Vec<Recipient>>,
}

/// `coattail action subscribe`
#[derive(Debug, Args)]
pub(crate) struct SubscribeAction {
    /// The peer that publishes
    #[arg(short, long, value_name = "ID", add = ArgValueCompleter::new(candidates::peers))]
    pub(crate) peer: String,
    /// Its action
    #[arg(short, long, value_name = "NAME", add = ArgValueCompleter::new(candidates::actions))]
    pub(crate) action: ActionName,
    /// The receiver of this instance
    #[arg(short, long, value_name = "NAME", add = ArgValueCompleter::new(candidates::receivers))]
    pub(crate) receiver: ReceiverName,
    /// Only what is so: a JSON pointer, and ==, !=, <, <=, > or >= and a JSON value, such as '/kind == "disk"'; without
    /// these, it has to be there. The peer looks at it, and sends nothing else
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) filter: Option<Filter>,
}

/// `coattail action unsubscribe`
#[derive(Debug, Args)]
pub(crate) struct UnsubscribeAction {
    /// The peer that publishes
    #[arg(short, long, value_name = "ID", add = ArgValueCompleter::new(candidates::peers))]
    pub(crate) peer: String,
    /// Its action
    #[arg(short, long, value_name = "NAME", add = ArgValueCompleter::new(candidates::actions))]
    pub(crate) action: ActionName,
    /// The receiver of this instance
    #[arg(short, long, value_name = "NAME", add = ArgValueCompleter::new(candidates::receivers))]
    pub(crate) receiver: ReceiverName,
    /// Only tell which subscription would end
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// `coattail action types`
#[derive(Debug, Args)]
pub(crate) struct ActionTypes {
    /// These actions only [default: all that may be used]
    #[arg(value_name = "ACTION", add = ArgValueCompleter::new(candidates::actions))]
    pub(crate) actions: Vec<ActionName>,
    /// Of this peer [default: of this instance]
    #[arg(short, long, value_name = "ID", add = ArgValueCompleter::new(candidates::peers))]
    pub(crate) peer: Option<String>,
    /// What the caller is written in
    #[arg(long, value_enum)]
    pub(crate) language: TypesLanguage,
    /// Write them to this file, over what is there [default: print them]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<std::path::PathBuf>,
}

/// What types are generated for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum TypesLanguage {
    /// TypeScript declarations
    Ts,
    /// Python 3.10 and later
    Py,
}

/// Where lines of JSON are read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Lines {
    /// This file.
    File(std::path::PathBuf),
    /// `-`
    Stdin,
}

impl From<String> for Lines {
    fn from(text: String) -> Self {
        if text == "-" { Self::Stdin } else { Self::File(text.into()) }
    }
}

/// Where JSON is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// The argument itself.
    Text(String),
    /// `@FILE`; no JSON begins with `@`.
    File(std::path::PathBuf),
    /// `-`; it is no JSON either.
    Stdin,
}

impl From<String> for Input {
    fn from(text: String) -> Self {
        if text == "-" {
            Self::Stdin
        } else if let Some(file) = text.strip_prefix('@') {
            Self::File(file.into())
        } else {
            Self::Text(text)
        }
    }
}
