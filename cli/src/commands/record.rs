use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use coattail::name::{ActionName, ReceiverName};
use coattail::rpc::Service;
use coattail::wire::dev::{Given, ReadReceived, Received, WatchPlugins};
use coattail::wire::plugin::{Kind, Source};
use coattail::wire::publications::{Entry, Stretch, TailPublications};
use coattail::wire::{Done, ErrorCode, Failure, Raw};
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::mpsc;

use super::fixtures::{Fixture, write};
use crate::args;
use crate::context::{Context, Daemon};
use crate::output::{Field, Record, visible};

/// How many are recorded unless it is said.
const COUNT: u32 = 20;

/// How long one question waits for news in a log, in milliseconds; then it is asked again.
const WAIT_MS: u64 = 30_000;

/// What a receiver is given, and waits to be written.
const QUEUE: usize = 256;

/// Writes real publications as fixtures.
pub(super) fn run(context: &Context, args: &args::Record) -> Result<(), Failure> {
    let of = match (&args.of.action, &args.of.receiver) {
        (Some(action), _) => Of::Action(action),
        (None, Some(receiver)) => Of::Receiver(receiver),
        (None, None) => unreachable!("clap asks for one of the two"),
    };
    let mut recorder = Recorder { context, args, written: 0, skipped: 0, missed: 0 };
    if args.follow {
        // Only a service goes on; a command that had opened the instance itself would keep it for nothing.
        match context.ask_service(&context.instance()?, async |daemon| recorder.follow(daemon, of).await) {
            // That is how it is ended.
            Err(failure) if failure.code == ErrorCode::Cancelled => {}
            outcome => outcome?,
        }
    } else {
        context.talk(async |daemon| recorder.record_last(daemon, of).await)?;
    }
    let Recorder { written, skipped, missed, .. } = recorder;
    let folder = args.to.display().to_string();
    context.printer.record(&Recorded { folder, written, skipped })?;
    if skipped > 0 {
        context.printer.note(&format!("{skipped} were there already and stay as they are; `--force` replaces them"));
    }
    if missed > 0 {
        context.printer.warn(&format!("{missed} came faster than they could be written, and are not recorded"));
    }
    Ok(())
}

/// What was recorded.
#[derive(Serialize)]
struct Recorded {
    folder: String,
    written: u32,
    skipped: u32,
}

impl Record for Recorded {
    fn fields(&self) -> Vec<Field> {
        vec![
            ("folder", self.folder.clone()),
            ("written", self.written.to_string()),
            ("skipped", self.skipped.to_string()),
        ]
    }
}

/// Whose publications.
#[derive(Clone, Copy)]
enum Of<'a> {
    Action(&'a ActionName),
    Receiver(&'a ReceiverName),
}

struct Recorder<'a> {
    context: &'a Context,
    args: &'a args::Record,
    written: u32,
    skipped: u32,
    missed: u64,
}

impl Recorder<'_> {
    async fn record_last(&mut self, daemon: &Daemon, of: Of<'_>) -> Result<(), Failure> {
        let count = self.args.count.unwrap_or(COUNT);
        match of {
            Of::Action(action) => self.record_log(daemon, action, count).await?,
            Of::Receiver(receiver) => self.record_received(daemon, receiver, count).await?,
        }
        if self.written + self.skipped > 0 {
            return Ok(());
        }
        let (what, hint) = match of {
            Of::Action(action) => (
                format!("nothing is kept of action `{}`", visible(action.as_str())),
                "publish something first, such as with `action perform --notify`",
            ),
            Of::Receiver(receiver) => (
                format!("nothing is kept of receiver `{}`", visible(receiver.as_str())),
                "what a receiver has handled is gone: record it with `--follow` while it comes",
            ),
        };
        Err(Failure::new(ErrorCode::NotFound, what).hint(hint))
    }

    async fn record_log(&mut self, daemon: &Daemon, action: &ActionName, count: u32) -> Result<(), Failure> {
        let mut ask = tail(action, None, count);
        loop {
            let Stretch { publications, after, head } = daemon.call(&ask).await?;
            self.write_log(publications)?;
            let left = count.saturating_sub(self.written + self.skipped);
            if left == 0 || after >= head {
                return Ok(());
            }
            ask = tail(action, Some(after), left);
        }
    }

    async fn record_received(&mut self, daemon: &Daemon, receiver: &ReceiverName, count: u32) -> Result<(), Failure> {
        let mut ask = ReadReceived { receiver: receiver.clone(), after: None, count };
        loop {
            let received = daemon.call(&ask).await?;
            let Some(last) = received.last().map(|received| received.place) else { return Ok(()) };
            for Received { place: _, id, issuer, action, sequence, time, hops, payload } in received {
                self.write(payload, Source { id, issuer, action, sequence, time, hops, attempt: 1 })?;
            }
            ask.count = count.saturating_sub(self.written + self.skipped);
            if ask.count == 0 {
                return Ok(());
            }
            ask.after = Some(last);
        }
    }

    /// Goes on with those that come, until there are enough.
    async fn follow(&mut self, daemon: &Daemon, of: Of<'_>) -> Result<(), Failure> {
        match of {
            Of::Action(action) => self.follow_log(daemon, action).await,
            Of::Receiver(receiver) => self.follow_receiver(daemon, receiver).await,
        }
    }

    async fn follow_log(&mut self, daemon: &Daemon, action: &ActionName) -> Result<(), Failure> {
        let mut after = daemon.call(&tail(action, None, 0)).await?.after;
        while self.left() > 0 {
            let ask = TailPublications { wait_ms: Some(WAIT_MS), ..tail(action, Some(after), self.left()) };
            let stretch = daemon.session().call(&ask).await?;
            after = stretch.after;
            self.write_log(stretch.publications)?;
        }
        Ok(())
    }

    async fn follow_receiver(&mut self, daemon: &Daemon, receiver: &ReceiverName) -> Result<(), Failure> {
        let (queue, mut given) = mpsc::channel(QUEUE);
        let (queue, full) = (Arc::new(queue), Arc::new(AtomicU64::new(0)));
        let passed_over = full.clone();
        let service = Service::new().on_in_order(&queue, move |queue: &mpsc::Sender<Given>, _, given: Given| {
            if queue.try_send(given).is_err() {
                passed_over.fetch_add(1, Ordering::Relaxed);
            }
            Ok(Done {})
        });
        daemon.session().serve(service);
        daemon.call(&WatchPlugins {}).await?;
        while self.left() > 0 {
            let next = tokio::select! {
                biased;
                // `recv` is cancel-safe.
                next = given.recv() => next,
                () = daemon.session().closed() => None,
            };
            // Of whose publications they were, nobody knows.
            self.missed += full.swap(0, Ordering::Relaxed);
            let Some(Given { kind, name, input, publication, missed, .. }) = next else { return Ok(()) };
            self.missed += missed;
            if let (Kind::Receiver, true, Some(input), Some(source)) =
                (kind, name == receiver.as_str(), input, publication)
            {
                self.write(input, Source { attempt: 1, ..source })?;
            }
        }
        Ok(())
    }

    fn left(&self) -> u32 {
        self.args.count.map_or(u32::MAX, |count| count.saturating_sub(self.written))
    }

    fn write_log(&mut self, publications: Vec<Entry>) -> Result<(), Failure> {
        for Entry { id, action, sequence, time, hops, signed_by, payload, .. } in publications {
            let time = time.parse::<Timestamp>().map_err(|error| {
                Failure::new(ErrorCode::Internal, format!("the time of publication {id} makes no sense: {error}"))
            })?;
            let (action, time) = (action.to_string(), time.as_millisecond());
            let source = Source { id, issuer: signed_by, action, sequence, time, hops, attempt: 1 };
            let none = || Failure::new(ErrorCode::Internal, format!("publication {id} came without its payload"));
            self.write(payload.ok_or_else(none)?, source)?;
        }
        Ok(())
    }

    fn write(&mut self, input: Raw, source: Source) -> Result<(), Failure> {
        // Sorted by name, they are in the order of the log.
        let name = format!("{:08}-{}.json", source.sequence, source.id);
        let fixture = Fixture { input: Some(input), output: None, error: None, publication: Some(source) };
        if write(&self.args.to, &name, &fixture, self.context.is_forced())? {
            self.written += 1;
            if self.args.follow {
                self.context.printer.note(&name);
            }
        } else {
            self.skipped += 1;
        }
        Ok(())
    }
}

fn tail(action: &ActionName, after: Option<u64>, limit: u32) -> TailPublications {
    TailPublications { action: action.clone(), after, limit: Some(limit), wait_ms: None }
}
