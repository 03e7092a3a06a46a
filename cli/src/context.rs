//! Which instance, and how it is reached: the only place that knows whether its service runs.

use std::env;
use std::io::{self, BufRead as _, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use coattail::control::{self, ConnectError};
use coattail::id::{CallId, PeerId};
use coattail::rpc::Session;
use coattail::wire::{ErrorCode, Failure, Method};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::args::Global;
use crate::clipboard;
use crate::error::because;
use crate::interrupt::Interrupt;
use crate::local::{self, InProcess};
use crate::output::{Format, Printer, Record, visible};

/// How long administration may take: `peer add` dials and logs in, which the daemon bounds by 30 s.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long to wait for an instance that another command has opened; such commands are short.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// How often to look whether it is free.
const LOCK_POLL: Duration = Duration::from_millis(50);

/// What makes a folder an instance.
const CONFIG: &str = "config.yml";

/// When a token is put on the clipboard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Copy {
    /// It was asked for.
    Asked,
    /// If somebody is there who would paste it.
    IfLikely,
    /// It was printed, which is enough.
    Never,
}

impl Copy {
    /// What `--copy` and `--print-raw-token` say together.
    pub(crate) fn choose(asked: bool, printed: bool) -> Self {
        match (asked, printed) {
            (true, _) => Self::Asked,
            (false, true) => Self::Never,
            (false, false) => Self::IfLikely,
        }
    }
}

/// What every command is given.
#[derive(Debug)]
pub(crate) struct Context {
    global: Global,
    pub(crate) printer: Printer,
}

/// The daemon of an instance: its service, or one in this process.
#[derive(Debug)]
pub(crate) struct Daemon(Session);

impl Daemon {
    /// Calls a method that does not take long.
    pub(crate) async fn call<M: Method>(&self, params: &M) -> Result<M::Reply, Failure> {
        self.0.call_within(PATIENCE, params).await
    }

    /// The session, for what takes as long as it takes.
    pub(crate) fn session(&self) -> &Session {
        &self.0
    }
}

impl Context {
    pub(crate) fn new(global: Global, printer: Printer) -> Self {
        Self { global, printer }
    }

    /// The folder that `--instance` names; only where it makes a difference that it was given.
    pub(crate) fn given_instance(&self) -> Option<&Path> {
        self.global.instance.as_deref()
    }

    /// The folder of the instance.
    pub(crate) fn instance(&self) -> Result<PathBuf, Failure> {
        let folder = match &self.global.instance {
            Some(given) => given.clone(),
            // Set for plugins, so that `coattail` works in a script of theirs.
            None => control::instance_from_env(),
        };
        let no_instance = |why: &dyn std::fmt::Display| {
            because(ErrorCode::NotFound, format!("`{}` is no instance", folder.display()), why)
                .hint("name its folder with `--instance DIR`, or make one with `coattail new DIR`")
        };
        let found = folder.canonicalize().map_err(|error| no_instance(&error))?;
        if !found.join(CONFIG).is_file() {
            return Err(no_instance(&format!("there is no {CONFIG} in it")));
        }
        Ok(found)
    }

    /// The call that this command is made within: set for scripts that the daemon runs, so that what they publish says
    /// what it was caused by.
    pub(crate) fn parent_call(&self) -> Option<CallId> {
        control::call_from_env()
    }

    /// The peer that an option names. As in the original, the folder of the instance stands for itself.
    pub(crate) fn peer(&self, given: Option<&str>) -> Result<Option<PeerId>, Failure> {
        let Some(text) = given else { return Ok(None) };
        if let Ok(id) = text.parse() {
            return Ok(Some(id));
        }
        if Path::new(text).canonicalize().ok().is_some_and(|path| self.instance().is_ok_and(|own| own == path)) {
            return Ok(None);
        }
        Err(Failure::new(ErrorCode::NotFound, format!("there is no peer `{text}`"))
            .hint("`coattail peer list` shows the ids of the peers"))
    }

    /// Works with the daemon of the instance, whether its service runs or not. Ctrl-C ends the work, and
    /// with it what the daemon does for it.
    pub(crate) fn talk<T>(&self, work: impl AsyncFnOnce(&Daemon) -> Result<T, Failure>) -> Result<T, Failure> {
        let instance = self.instance()?;
        self.block_on(async |interrupt: &mut Interrupt| {
            let talk = async {
                let link = interrupt.or(self.open(&instance)).await?;
                link.use_for(interrupt, work).await
            };
            self.printer.during(talk).await
        })
    }

    /// Looks something up while a person waits for a shell: at once and silently, or not at all.
    pub(crate) fn peek<T>(
        &self,
        patience: Duration,
        work: impl AsyncFnOnce(&Daemon) -> Result<T, Failure>,
    ) -> Option<T> {
        let instance = self.instance().ok()?;
        let mut found = None;
        let look = async |interrupt: &mut Interrupt| {
            let look = async {
                let link = match connect(&instance).await? {
                    Some(link) => link,
                    None => Link::InProcess(local::open_in_process(&instance, "off").await?),
                };
                let keep = async |daemon: &Daemon| {
                    found = Some(work(daemon).await?);
                    Ok(())
                };
                link.use_for(interrupt, keep).await
            };
            // What was found in time is kept, even if the end takes longer.
            Ok(timeout(patience, look).await.is_ok_and(|looked| looked.is_ok()))
        };
        // Why there is nothing to offer, nobody has asked.
        let _ = self.block_on(look);
        found
    }

    /// Works with the service of an instance, and fails if it is not running.
    pub(crate) fn ask_service<T>(
        &self,
        instance: &Path,
        work: impl AsyncFnOnce(&Daemon) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.block_on(async |interrupt: &mut Interrupt| match interrupt.or(connect(instance)).await? {
            Some(link) => link.use_for(interrupt, work).await,
            None => Err(ConnectError::NotRunning { instance: instance.to_owned() }.into()),
        })
    }

    /// Whether everything was confirmed beforehand.
    pub(crate) fn is_confirmed(&self) -> bool {
        self.global.yes
    }

    /// Asks before something is destroyed. Without a terminal nobody could answer, so a flag must have.
    pub(crate) fn confirm(&self, what: &str) -> Result<(), Failure> {
        if self.is_confirmed() {
            return Ok(());
        }
        if !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
            return Err(because(ErrorCode::Usage, format!("not confirmed: {what}"), "there is no terminal to ask on")
                .hint("add `--yes` if that is what you want"));
        }
        self.printer.say(&format!("{}? [y/N] ", visible(what)));
        let mut answer = String::new();
        // No answer is a no.
        let _ = io::stdin().lock().read_line(&mut answer);
        match answer.trim().to_lowercase().as_str() {
            "y" | "yes" => Ok(()),
            _ => Err(Failure::new(ErrorCode::Cancelled, "nothing was done").hint("answer `y`, or add `--yes`")),
        }
    }

    /// Answers with what has ended, or with what would.
    pub(crate) fn end<R: Record>(&self, record: &R, dry_run: bool) -> Result<(), Failure> {
        self.printer.record(record)?;
        if dry_run {
            self.printer.note("nothing was done: this is what would end");
        }
        Ok(())
    }

    /// Puts a token on the clipboard: if asked to, or where a person sits who would paste it. `instead` says how to
    /// come by it otherwise, which is said unless `quiet`; that the clipboard cannot be reached is no failure.
    pub(crate) fn offer(&self, token: &str, copy: Copy, quiet: bool, instead: &str) {
        let is_likely = || {
            copy == Copy::IfLikely
                && self.printer.format() == Format::Table
                && io::stdout().is_terminal()
                && clipboard::has_display()
        };
        if copy != Copy::Asked && !is_likely() {
            if copy == Copy::IfLikely && !quiet {
                self.printer.note(&format!("the token itself: {instead}"));
            }
            return;
        }
        match clipboard::copy(token) {
            Ok(tool) => self.printer.note(&format!("the token is on the clipboard (by {tool})")),
            Err(why) => {
                self.printer.warn(&format!("the token is not on the clipboard: {why}; it can be printed: {instead}"));
            }
        }
    }

    /// Whether what is there may be replaced.
    pub(crate) fn is_forced(&self) -> bool {
        self.global.yes
    }

    /// Whether more is to be said.
    pub(crate) fn is_verbose(&self) -> bool {
        self.global.verbose
    }

    fn explain(&self, text: &str) {
        if self.global.verbose {
            self.printer.note(text);
        }
    }

    /// The runtime is made here and nowhere else: `version` and `help` do without.
    pub(crate) fn block_on<T>(
        &self,
        work: impl AsyncFnOnce(&mut Interrupt) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let start = |error: io::Error| {
            because(ErrorCode::Internal, "the program could not start", error)
                .hint("look at the limits of this account: `ulimit -a`")
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(start)?;
        runtime.block_on(async {
            let mut interrupt = Interrupt::new().map_err(start)?;
            work(&mut interrupt).await
        })
    }

    async fn open(&self, instance: &Path) -> Result<Link, Failure> {
        let deadline = Instant::now() + LOCK_PATIENCE;
        loop {
            if let Some(link) = connect(instance).await? {
                self.explain("asking the service of the instance");
                return Ok(link);
            }
            // With JSON, stderr has the error and nothing else, so that it can be parsed.
            // What plugins say is for those who follow the call, as with a service.
            let log = if self.printer.format() == Format::Json { "off" } else { "warn,plugin=off" };
            match local::open_in_process(instance, log).await {
                Ok(opened) => {
                    self.explain("the service is not running: this command has opened the instance itself");
                    return Ok(Link::InProcess(opened));
                }
                // Another command has it, or the service is starting: then the socket answers soon.
                Err(failure) if failure.code == ErrorCode::Busy && Instant::now() < deadline => sleep(LOCK_POLL).await,
                Err(failure) => return Err(failure),
            }
        }
    }
}

/// Whether this is a script that a daemon runs, or was started by one.
fn is_within_plugin() -> bool {
    ["COATTAIL_ACTION", "COATTAIL_RECEIVER"].iter().any(|name| env::var_os(name).is_some())
}

/// How the daemon is reached.
enum Link {
    Socket { session: Session, driving: TaskTracker },
    InProcess(InProcess),
}

/// Connects to the service of an instance, if it is running.
async fn connect(instance: &Path) -> Result<Option<Link>, Failure> {
    match control::connect(instance, CancellationToken::new()).await {
        // It is for the scripts that this command runs, and goes away with it; everybody else waits for the lock.
        Ok(_) if !is_within_plugin() && local::is_opened_by_command(instance) => Ok(None),
        Ok((session, drive)) => {
            let driving = TaskTracker::new();
            driving.spawn(drive);
            driving.close();
            Ok(Some(Link::Socket { session, driving }))
        }
        Err(ConnectError::NotRunning { .. } | ConnectError::NoInstance { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

impl Link {
    /// Works until it is done or interrupted, then ends what was opened.
    async fn use_for<T>(
        self,
        interrupt: &mut Interrupt,
        work: impl AsyncFnOnce(&Daemon) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let daemon = Daemon(self.session().clone());
        let outcome = interrupt.or(work(&daemon)).await;
        // A second Ctrl-C does not wait for the end.
        let ending = async {
            self.end().await;
            Ok(())
        };
        let _ = interrupt.or(ending).await;
        outcome
    }

    fn session(&self) -> &Session {
        match self {
            Link::Socket { session, .. } => session,
            Link::InProcess(opened) => opened.session(),
        }
    }

    async fn end(self) {
        match self {
            Link::Socket { session, driving } => {
                session.close();
                driving.wait().await;
            }
            Link::InProcess(opened) => opened.end().await,
        }
    }
}
