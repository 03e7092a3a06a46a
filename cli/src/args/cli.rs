use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

use super::{
    ActionCommand, Audit, Backup, Completions, DataCommand, DeadLettersCommand, Deferred, Demo, Dev, JobCommand,
    KeysCommand, Log, Man, PeerCommand, Progress, PublicationsCommand, Record, Restore, RetryAfter, ServiceCommand,
    SubscribersCommand, SubscriptionsCommand, TlsCommand, TokenCommand, Trace, ValidationCommand,
};

/// Where the options stand in `--help` that every command takes.
const EVERYWHERE: &str = "Options everywhere";

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "coattail",
    version,
    about = "Perform actions on other machines, and subscribe to what they publish",
    disable_help_subcommand = true,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "`coattail help exit-codes`, `environment` and `output` say what scripts need to know.",
    max_term_width = 100
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes, before or after its name.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Global {
    /// The folder of the instance [default: $COATTAIL_INSTANCE, else the working directory]
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath, global = true, help_heading = EVERYWHERE)]
    pub(crate) instance: Option<PathBuf>,
    /// Answer with one JSON object or array, errors too (as COATTAIL_OUTPUT=json does)
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    pub(crate) json: bool,
    /// Say more on stderr
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    pub(crate) verbose: bool,
    /// Do not ask before something is destroyed
    #[arg(long, visible_alias = "force", global = true, help_heading = EVERYWHERE)]
    pub(crate) yes: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make an instance in a folder
    New(New),
    /// Show the version
    Version,
    /// Run the service of an instance, and look after it
    #[command(subcommand, arg_required_else_help = true)]
    Service(Deferred<ServiceCommand>),
    /// Make, list and perform actions; publish for them and subscribe to them
    #[command(subcommand, arg_required_else_help = true)]
    Action(Deferred<ActionCommand>),
    /// Calls that outlive whoever asked for them: `action perform --detach` makes them
    #[command(subcommand, arg_required_else_help = true)]
    Job(Deferred<JobCommand>),
    /// Instances that gave this one a token
    #[command(subcommand, arg_required_else_help = true)]
    Peer(Deferred<PeerCommand>),
    /// What this instance has published
    #[command(subcommand, arg_required_else_help = true)]
    Publications(Deferred<PublicationsCommand>),
    /// Who is subscribed to this instance
    #[command(subcommand, arg_required_else_help = true)]
    Subscribers(Deferred<SubscribersCommand>),
    /// What this instance is subscribed to
    #[command(subcommand, arg_required_else_help = true)]
    Subscriptions(Deferred<SubscriptionsCommand>),
    /// What receivers of this instance did not take
    #[command(subcommand, arg_required_else_help = true)]
    DeadLetters(Deferred<DeadLettersCommand>),
    /// Show what led to a publication and what it has led to, across instances
    #[command(after_help = "Examples:\n  coattail trace 01a1f817-1144-7283-ae4b-ddeb814a812e\n  \
                            coattail trace 01a1f817-1144 --json\n\n\
                            Times are offsets from the first publication shown; those of other instances are by \
                            their clocks.\nOthers tell of what this instance may subscribe to, and of what it has \
                            delivered to them: the rest is `not allowed`.")]
    Trace(Trace),
    /// Tokens that this instance issued
    #[command(subcommand, arg_required_else_help = true)]
    Token(Deferred<TokenCommand>),
    /// Keys of other instances, to which tokens can be bound
    #[command(subcommand, arg_required_else_help = true)]
    Validation(Deferred<ValidationCommand>),
    /// The keys of this instance, and their replacement
    #[command(subcommand, arg_required_else_help = true)]
    Keys(Deferred<KeysCommand>),
    /// The certificate of this instance
    #[command(subcommand, arg_required_else_help = true)]
    Tls(Deferred<TlsCommand>),
    /// Show who was let in or refused, and what was changed
    #[command(after_help = "Examples:\n  coattail audit --since 1h\n  coattail audit --since 1d --json")]
    Audit(Audit),
    /// In a script of yours: say something of the call that it handles
    #[command(after_help = "Example:\n  coattail log --level warn \"the disk is nearly full\"")]
    Log(Log),
    /// In a script of yours: say how far the call has got
    #[command(after_help = "Example:\n  coattail progress 40 \"copying\"")]
    Progress(Progress),
    /// In a script of yours: the call is still worked on, its time limit begins anew
    Working,
    /// In a script of yours: be tried again after so long; exits with 75, as the script has to
    #[command(after_help = "Example:\n  exec coattail retry-after 5m")]
    RetryAfter(RetryAfter),
    /// Try the plugins of a folder out while they are written, in a temporary instance
    #[command(after_help = "Examples:\n  coattail dev\n  \
                            coattail dev plugins --perform Greet --data '{\"name\": \"Ada\"}' --replay\n\n\
                            On a terminal: r or Enter repeats the last call, l lists, q quits.")]
    Dev(Dev),
    /// Write real publications as fixtures for `action test`
    #[command(after_help = "Examples:\n  coattail record --action Greet --to fixtures/keep --count 5\n  \
                            coattail record --receiver keep --to fixtures/keep --follow")]
    Record(Record),
    /// The database of an instance
    #[command(subcommand, arg_required_else_help = true)]
    Data(Deferred<DataCommand>),
    /// Write the instance into one file: its database as of one moment, settings and keys; its service may run
    #[command(after_help = "Examples:\n  coattail backup office.tar\n  coattail backup office.tar --all --force")]
    Backup(Backup),
    /// Make an instance of a backup, or put it in the place of what an instance has
    #[command(after_help = "Examples:\n  coattail restore office.tar\n  coattail restore office.tar ~/office")]
    Restore(Restore),
    /// Show on three instances of its own, in a temporary folder, what Coattail does
    Demo(Demo),
    /// Look for what is wrong with an instance; exits with 1 if something is
    Doctor,
    /// Print what makes a shell complete commands, options and live names
    #[command(after_help = "Put one of these into the start-up file of your shell:\n  \
                            bash:        source <(coattail completions bash)\n  \
                            zsh:         source <(coattail completions zsh)\n  \
                            fish:        coattail completions fish | source\n  \
                            PowerShell:  coattail completions powershell | Out-String | Invoke-Expression")]
    Completions(Completions),
    /// Print the manual page, or write those of every command
    #[command(after_help = "Examples:\n  coattail man | man -l -\n  coattail man ~/.local/share/man/man1")]
    Man(Man),
    /// Explain a command or a topic: exit-codes, environment, output
    Help(Help),
}

/// `coattail new`
#[derive(Debug, Args)]
pub(crate) struct New {
    /// The folder; it is made, or must be empty [default: the working directory]
    #[arg(value_name = "DIR", conflicts_with = "dir")]
    pub(crate) folder: Option<PathBuf>,
    /// As DIR
    #[arg(short, long)]
    pub(crate) dir: Option<PathBuf>,
    /// The host that tokens name, by which peers find this instance
    #[arg(long)]
    pub(crate) host: Option<String>,
    /// The TCP port
    #[arg(long)]
    pub(crate) port: Option<u16>,
}

/// `coattail help`
#[derive(Debug, Args)]
pub(crate) struct Help {
    /// A command such as `token issue`, or a topic
    #[arg(value_name = "COMMAND|TOPIC")]
    pub(crate) words: Vec<String>,
}
