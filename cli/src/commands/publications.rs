use coattail::id::PublicationId;
use coattail::name::ActionName;
use coattail::wire::publications::{
    Entry, Fault, ListPublications, ListScheduled, Scheduled, ShowPublication, TailPublications, UnschedulePublication,
    VerifyPublications,
};
use coattail::wire::{ErrorCode, Failure};
use jiff::Timestamp;

use super::ids;
use crate::args::{self, PublicationsCommand};
use crate::context::{Context, Daemon};
use crate::error::ExitStatus;
use crate::output::{Field, Format, Printer, Record, Row, list_or, visible_json, when};

/// How long one question for more may take, in milliseconds: as long as the service waits at the most.
const WAIT_MS: u64 = 30_000;

pub(super) fn run(context: &Context, command: PublicationsCommand) -> Result<ExitStatus, Failure> {
    match command {
        PublicationsCommand::List(args) => list(context, args)?,
        PublicationsCommand::Show(args) => show(context, &args)?,
        PublicationsCommand::Tail(args) => tail(context, &args)?,
        PublicationsCommand::Scheduled => {
            let waiting = context.talk(async |daemon| daemon.call(&ListScheduled {}).await)?;
            context.printer.list(&waiting, "nothing is to be published later")?;
        }
        PublicationsCommand::Unschedule(which) => {
            let id = ids::parse(which.id(), "publication", "publications scheduled")?;
            let taken = context.talk(async |daemon| daemon.call(&UnschedulePublication { id }).await)?;
            context.printer.record(&taken)?;
        }
        PublicationsCommand::Verify(args) => return verify(context, args),
    }
    Ok(ExitStatus::Done)
}

impl Row for Entry {
    const COLUMNS: &'static [&'static str] =
        &["id", "action", "sequence", "time", "bytes", "hops", "cause", "expires", "to"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.action.to_string(),
            self.sequence.to_string(),
            self.time.clone(),
            self.bytes.to_string(),
            self.hops.to_string(),
            self.cause.map_or_else(|| "-".to_owned(), |cause| cause.to_string()),
            self.expires.clone().unwrap_or_else(|| "-".to_owned()),
            self.to.as_deref().map_or_else(|| "everyone".to_owned(), |to| list_or(to, "nobody")),
        ]
    }
}

impl Record for Entry {
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![
            ("id", self.id.to_string()),
            ("action", self.action.to_string()),
            ("sequence", self.sequence.to_string()),
            ("time", when(&self.time)),
            ("bytes", self.bytes.to_string()),
            ("hops", self.hops.to_string()),
        ];
        fields.extend(self.cause.map(|cause| ("cause", cause.to_string())));
        fields.push(("signed by", self.signed_by.to_string()));
        fields.extend(self.expires.as_deref().map(|expires| ("expires", when(expires))));
        fields.extend(self.to.as_deref().map(|to| ("to", list_or(to, "nobody"))));
        fields.extend(self.payload.as_ref().map(|payload| ("payload", payload.get().to_owned())));
        fields
    }
}

impl Row for Scheduled {
    const COLUMNS: &'static [&'static str] = &["id", "action", "due", "bytes"];

    fn cells(&self) -> Vec<String> {
        vec![self.id.to_string(), self.action.to_string(), self.due.clone(), self.bytes.to_string()]
    }
}

impl Record for Scheduled {
    fn fields(&self) -> Vec<Field> {
        vec![
            ("id", self.id.to_string()),
            ("action", self.action.to_string()),
            ("due", when(&self.due)),
            ("bytes", self.bytes.to_string()),
        ]
    }
}

impl Row for Fault {
    const COLUMNS: &'static [&'static str] = &["action", "sequence", "id", "found"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.action.to_string(),
            self.sequence.to_string(),
            self.id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            self.message.clone(),
        ]
    }

    fn tone(&self) -> Option<&'static str> {
        Some("1;31")
    }
}

fn list(context: &Context, args: args::ListPublications) -> Result<(), Failure> {
    let since_ms = args.since.map(|since| {
        let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Timestamp::now().as_millisecond().saturating_sub(since)
    });
    let request = ListPublications { action: args.action, since_ms, limit: Some(args.limit) };
    let entries = context.talk(async |daemon| daemon.call(&request).await)?;
    context.printer.list(&entries, "nothing is kept of what was published in this time")?;
    if entries.len() == args.limit as usize {
        context.printer.note(&format!("there may be more than these {}; `--limit` shows more", args.limit));
    }
    Ok(())
}

fn show(context: &Context, args: &args::ShowPublication) -> Result<(), Failure> {
    let request = named(args)?;
    let entry = context.talk(async |daemon| daemon.call(&request).await)?;
    context.printer.record(&entry)
}

/// `ID`, `ACTION ID` or `ACTION SEQUENCE`.
fn named(args: &args::ShowPublication) -> Result<ShowPublication, Failure> {
    let usage = |message: String| {
        Failure::new(ErrorCode::Usage, message)
            .hint("name its id, or its action and its sequence, as `coattail publications list` shows them")
    };
    let no_id = |text: &str| usage(format!("`{text}` is no id of a publication"));
    let Some(place) = &args.place else {
        let id: PublicationId = args.which.parse().map_err(|_| no_id(&args.which))?;
        return Ok(ShowPublication { id: Some(id), ..ShowPublication::default() });
    };
    let action = ActionName::new(&args.which).map_err(|error| usage(format!("`{}`: {error}", args.which)))?;
    let sequence = place.parse().ok();
    let id = match sequence {
        Some(_) => None,
        None => Some(place.parse().map_err(|_| no_id(place))?),
    };
    Ok(ShowPublication { id, action: Some(action), sequence })
}

fn tail(context: &Context, args: &args::TailPublications) -> Result<(), Failure> {
    let printer = &context.printer;
    if !args.follow {
        return context.talk(async |daemon| newest(daemon, printer, args).await.map(drop));
    }
    // Only a service goes on; a command that had opened the instance itself would keep it for nothing.
    let follow = async |daemon: &Daemon| follow(daemon, printer, args).await;
    match context.ask_service(&context.instance()?, follow) {
        // That is how it is ended.
        Err(failure) if failure.code == ErrorCode::Cancelled => Ok(()),
        outcome => outcome,
    }
}

/// Prints the newest, and returns after which sequence to read on.
async fn newest(daemon: &Daemon, printer: &Printer, args: &args::TailPublications) -> Result<u64, Failure> {
    let mut ask = TailPublications { action: args.action.clone(), after: None, limit: Some(args.lines), wait_ms: None };
    let first = daemon.call(&ask).await?;
    let goal = first.head;
    let mut stretch = first;
    loop {
        print(printer, &stretch.publications)?;
        if stretch.after >= goal {
            return Ok(stretch.after);
        }
        // They were too large for one answer.
        ask.after = Some(stretch.after);
        stretch = daemon.call(&ask).await?;
    }
}

async fn follow(daemon: &Daemon, printer: &Printer, args: &args::TailPublications) -> Result<(), Failure> {
    let mut after = newest(daemon, printer, args).await?;
    loop {
        let action = args.action.clone();
        let ask = TailPublications { action, after: Some(after), limit: None, wait_ms: Some(WAIT_MS) };
        let stretch = daemon.session().call(&ask).await?;
        print(printer, &stretch.publications)?;
        after = stretch.after;
    }
}

fn print(printer: &Printer, publications: &[Entry]) -> Result<(), Failure> {
    for entry in publications {
        let payload = entry.payload.as_ref().map_or("", |payload| payload.get());
        let separator = if printer.format() == Format::Plain { '\t' } else { ' ' };
        let text = format!("{}{separator}{}{separator}{}", entry.time, entry.sequence, visible_json(payload));
        printer.value(&text, entry)?;
    }
    Ok(())
}

fn verify(context: &Context, args: args::VerifyPublications) -> Result<ExitStatus, Failure> {
    let request = VerifyPublications { action: args.action };
    // As long as it takes: the logs may be large.
    let verified = context.talk(async |daemon| daemon.session().call(&request).await.map_err(Failure::from))?;
    let (hold, faults) = (verified.hold, verified.faults.len());
    match context.printer.format() {
        Format::Json => context.printer.value("", &verified)?,
        Format::Table | Format::Plain => {
            context.printer.list(&verified.faults, "all is what was signed")?;
            context.printer.note(&format!("{hold} hold, {faults} faults"));
        }
    }
    Ok(if faults > 0 { ExitStatus::Failed } else { ExitStatus::Done })
}
