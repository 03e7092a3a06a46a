use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use coattail::wire::control::{Counts, ServiceStatus, Status, Stop};
use coattail::wire::doctor::Disk;
use coattail::wire::subscriptions::Stuck;
use coattail::wire::{ErrorCode, Failure};
use serde::Serialize;
use tokio::time::timeout;

use super::headless;
use crate::args::{ServiceCommand, StartService, StopService};
use crate::context::Context;
use crate::error::{ExitStatus, report};
use crate::local::{self, RunningInstance};
use crate::output::{Field, Format, Record, Row, ago, when, yes_no};

/// How long a service may take to finish what is under way (30 s), and to end after that.
const STOP_PATIENCE: Duration = Duration::from_secs(35);

/// How often to look whether it has ended.
const STOP_POLL: Duration = Duration::from_millis(20);

/// How long a service is asked for its counts; the list is of use without them.
const STATUS_PATIENCE: Duration = Duration::from_secs(2);

pub(super) fn run(context: &Context, command: ServiceCommand) -> Result<ExitStatus, Failure> {
    match command {
        ServiceCommand::Start(args) => start(context, &args),
        ServiceCommand::Status => status(context),
        ServiceCommand::Stop(args) => stop(context, &args),
    }
}

impl Record for ServiceStatus {
    fn fields(&self) -> Vec<Field> {
        vec![
            ("instance", self.instance.clone()),
            ("issuer", self.issuer.to_string()),
            ("version", self.version.clone()),
            ("pid", self.pid.to_string()),
            ("address", self.address.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string)),
            ("started", self.started.clone()),
        ]
    }
}

fn start(context: &Context, args: &StartService) -> Result<ExitStatus, Failure> {
    let instance = context.instance()?;
    if args.is_headless_instance {
        headless::detach();
    }
    if !args.headless || args.is_headless_instance {
        return local::run_service(&instance, args.is_headless_instance);
    }
    if let Some(running) = ask(context, &instance)? {
        return Err(Failure::new(
            ErrorCode::AlreadyExists,
            format!("the service of `{}` is running already, as process {}", instance.display(), running.pid),
        )
        .hint("`coattail service status` shows what runs"));
    }
    let status = headless::start(&instance, || ask(context, &instance).ok().flatten())?;
    context.printer.record(&status)?;
    Ok(ExitStatus::Done)
}

/// A service, and how it is if it answers.
#[derive(Serialize)]
struct Running {
    id: u32,
    pid: u32,
    instance: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    started: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    headless: Option<bool>,
    /// Whether it answers.
    answers: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    sessions: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    disk: Option<Disk>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stuck: Vec<Stuck>,
    /// When its database was last known to have been put back.
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    counts: Option<Counts>,
}

impl Running {
    fn new(told: Option<&RunningInstance>, asked: Option<ServiceStatus>) -> Option<Self> {
        let headless = told.map(|told| told.headless);
        if let Some(status) = asked {
            return Some(Self {
                id: status.pid,
                pid: status.pid,
                instance: status.instance,
                address: status.address.map(|address| address.to_string()),
                started: status.started,
                version: status.version,
                headless,
                answers: true,
                sessions: Some(status.sessions),
                disk: status.disk,
                stuck: status.stuck,
                restored: status.restored,
                counts: Some(status.counts),
            });
        }
        told.map(|told| Self {
            id: told.pid,
            pid: told.pid,
            instance: told.instance.display().to_string(),
            address: told.address.clone(),
            started: told.started.clone(),
            version: told.version.clone(),
            headless,
            answers: false,
            sessions: None,
            disk: None,
            stuck: Vec::new(),
            restored: None,
            counts: None,
        })
    }
}

impl Row for Running {
    const COLUMNS: &'static [&'static str] = &[
        "pid",
        "instance",
        "address",
        "started",
        "version",
        "headless",
        "answers",
        "sessions",
        "undelivered",
        "waiting",
        "dead",
    ];

    fn cells(&self) -> Vec<String> {
        let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
        let counts = self.counts.as_ref();
        vec![
            self.pid.to_string(),
            self.instance.clone(),
            self.address.clone().unwrap_or_else(|| "-".to_owned()),
            ago(&self.started),
            self.version.clone(),
            self.headless.map_or_else(|| "-".to_owned(), yes_no),
            yes_no(self.answers),
            number(self.sessions),
            number(counts.map(|counts| counts.undelivered)),
            number(counts.map(|counts| counts.waiting)),
            number(counts.map(|counts| counts.dead)),
        ]
    }
}

fn status(context: &Context) -> Result<ExitStatus, Failure> {
    let mut told = local::running_instances()?;
    let mut running = Vec::new();
    if context.given_instance().is_some() {
        let instance = context.instance()?;
        told.retain(|told| told.instance == instance);
        running.extend(Running::new(told.first(), ask(context, &instance)?));
    } else {
        for told in &told {
            // What cannot be asked is listed as its lock file tells of it.
            running.extend(Running::new(Some(told), ask(context, &told.instance).ok().flatten()));
        }
    }
    let none = Failure::new(ErrorCode::NotRunning, "no service is running");
    if running.is_empty() && context.printer.format() == Format::Table {
        return Err(none);
    }
    // An empty list is an answer to programs; that it is empty is told by the exit code as well.
    context.printer.list(&running, "")?;
    for service in &running {
        warn(context, service);
    }
    Ok(if running.is_empty() { report(&context.printer, &none) } else { ExitStatus::Done })
}

/// Says what somebody should look at.
fn warn(context: &Context, running: &Running) {
    if let Some(Disk { refusal: Some(refusal), hint, .. }) = &running.disk {
        let hint = hint.as_deref().map(|hint| format!("; {hint}")).unwrap_or_default();
        context.printer.note(&format!("{}: {refusal}{hint}", running.instance));
    }
    if let Some(restored) = &running.restored {
        context.printer.note(&format!("the database of {} was put back {}", running.instance, ago(restored)));
    }
    if let Some(missed @ 1..) = running.counts.as_ref().map(|counts| counts.missed) {
        context.printer.note(&format!("{} has missed {missed} publications: gaps", running.instance));
    }
    if let Some(expired @ 1..) = running.counts.as_ref().map(|counts| counts.expired) {
        let message = "publications were not delivered or handled: their time was over";
        context.printer.note(&format!("{}: {expired} {message}", running.instance));
    }
    for Stuck { receiver, since, reason, .. } in running.stuck.iter().take(WARNINGS) {
        let why = reason.as_deref().unwrap_or("it is behind");
        context.printer.note(&format!(
            "{}: the receiver `{receiver}` has left something waiting since {}: {why}",
            running.instance,
            when(since)
        ));
    }
    if let Some(looped @ 1..) = running.counts.as_ref().map(|counts| counts.looped) {
        context.printer.note(&format!(
            "{}: {looped} publications were refused, since they had come through too many others; `coattail doctor` shows \
             the last, `coattail trace` how they came about",
            running.instance
        ));
    }
    if running.counts.as_ref().is_some_and(|counts| counts.dead > 0) {
        context.printer.note(&format!("{}: `coattail dead-letters list` shows what was given up", running.instance));
    }
}

/// How many receivers are told of: nobody reads more.
const WARNINGS: usize = 10;

/// How the service of an instance is, if it runs and answers.
fn ask(context: &Context, instance: &Path) -> Result<Option<ServiceStatus>, Failure> {
    let asked =
        context.ask_service(instance, async |daemon| daemon.session().call_within(STATUS_PATIENCE, &Status {}).await);
    match asked {
        Ok(status) => Ok(Some(status)),
        Err(failure) if matches!(failure.code, ErrorCode::NotRunning | ErrorCode::TimedOut | ErrorCode::Lost) => {
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

#[derive(Serialize)]
struct Stopped {
    instance: String,
    stopped: bool,
}

impl Record for Stopped {
    fn fields(&self) -> Vec<Field> {
        vec![("instance", self.instance.clone()), ("stopped", yes_no(self.stopped))]
    }
}

fn stop(context: &Context, args: &StopService) -> Result<ExitStatus, Failure> {
    let told = args.process.or(args.pid).map(find).transpose()?;
    let instance: PathBuf = match &told {
        Some(told) => told.instance.clone(),
        None => context.instance()?,
    };
    let asked = context.ask_service(&instance, async |daemon| {
        match daemon.call(&Stop {}).await {
            // It may be gone before it has said so.
            Err(failure) if failure.code != ErrorCode::Lost => return Err(failure),
            _ => {}
        }
        Ok(timeout(STOP_PATIENCE, daemon.session().closed()).await.is_ok())
    });
    let stopped = match (asked, &told) {
        (Ok(closed), _) => closed && is_gone(&instance),
        // It runs and does not answer; by its process it can still be ended.
        (Err(failure), Some(told)) if failure.code != ErrorCode::Cancelled => {
            local::stop_process(told)?;
            is_gone(&instance)
        }
        (Err(failure), _) => return Err(failure),
    };
    context.printer.record(&Stopped { instance: instance.display().to_string(), stopped })?;
    if !stopped {
        context.printer.note("the service is still finishing what is under way");
        return Ok(ExitStatus::Unfinished);
    }
    Ok(ExitStatus::Done)
}

/// Waits until the service has given back its lock, so that the next one can start.
fn is_gone(instance: &Path) -> bool {
    let deadline = Instant::now() + STOP_PATIENCE;
    while local::is_held_by_service(instance) {
        if Instant::now() > deadline {
            return false;
        }
        sleep(STOP_POLL);
    }
    true
}

/// The service that is this process. No other process is ever stopped.
fn find(pid: u32) -> Result<RunningInstance, Failure> {
    local::running_instances()?.into_iter().find(|running| running.pid == pid).ok_or_else(|| {
        Failure::new(ErrorCode::NotRunning, format!("process {pid} is no service of yours"))
            .hint("`coattail service status` shows what runs")
    })
}
