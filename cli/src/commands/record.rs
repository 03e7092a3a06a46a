use std::sync::Arc;
use std::time::Duration;

use coattail::rpc::Service;
use coattail::wire::dev::{Given, Kept, ReadPublications, WatchPlugins};
use coattail::wire::plugin::{Kind, Source};
use coattail::wire::{Done, ErrorCode, Failure, Raw};
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::fixtures::{Fixture, write};
use crate::args;
use crate::context::{Context, Daemon};
use crate::output::{Field, Record, visible};

/// How many are recorded unless it is said.
const COUNT: u32 = 20;

/// How often to look for new ones in a log. They are not gone before that: a log is kept for days.
const LOOK: Duration = Duration::from_secs(1);

/// What a receiver is given, and waits to be written.
const QUEUE: usize = 256;

/// Writes real publications as fixtures.
pub(super) fn run(context: &Context, args: &args::Record) -> Result<(), Failure> {
    let (kind, name) = match (&args.of.action, &args.of.receiver) {
        (Some(action), _) => (Kind::Action, action.to_string()),
        (None, Some(receiver)) => (Kind::Receiver, receiver.to_string()),
        (None, None) => unreachable!("clap asks for one of the two"),
    };
    let mut recorder = Recorder { context, args, kind, name, written: 0, skipped: 0 };
    if args.follow {
        // Only a service goes on; a command that had opened the instance itself would keep it for nothing.
        match context.ask_service(&context.instance()?, async |daemon| recorder.follow(daemon).await) {
            // That is how it is ended.
            Err(failure) if failure.code == ErrorCode::Cancelled => {}
            outcome => outcome?,
        }
    } else {
        context.talk(async |daemon| recorder.record_last(daemon).await)?;
    }
    let Recorder { written, skipped, .. } = recorder;
    let folder = args.to.display().to_string();
    context.printer.record(&Recorded { folder, written, skipped })?;
    if skipped > 0 {
        context.printer.note(&format!("{skipped} were there already and stay as they are; `--force` replaces them"));
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

struct Recorder<'a> {
    context: &'a Context,
    args: &'a args::Record,
    kind: Kind,
    name: String,
    written: u32,
    skipped: u32,
}

impl Recorder<'_> {
    async fn record_last(&mut self, daemon: &Daemon) -> Result<(), Failure> {
        let count = self.args.count.unwrap_or(COUNT);
        let mut kept = self.read(daemon, None, count).await?;
        if kept.is_empty() {
            let what = format!("nothing is kept of {} `{}`", self.kind.as_str(), visible(&self.name));
            return Err(Failure::new(ErrorCode::NotFound, what).hint(match self.kind {
                Kind::Action => "publish something first, such as with `action perform --notify`",
                Kind::Receiver => "what a receiver has handled is gone: record it with `--follow` while it comes",
            }));
        }
        while let Some(last) = kept.last().map(|kept| kept.place) {
            self.write_all(kept)?;
            match count.saturating_sub(self.written + self.skipped) {
                0 => break,
                left => kept = self.read(daemon, Some(last), left).await?,
            }
        }
        Ok(())
    }

    /// Goes on with those that come, until there are enough.
    async fn follow(&mut self, daemon: &Daemon) -> Result<(), Failure> {
        match self.kind {
            Kind::Action => self.follow_log(daemon).await,
            Kind::Receiver => self.follow_receiver(daemon).await,
        }
    }

    async fn follow_log(&mut self, daemon: &Daemon) -> Result<(), Failure> {
        let last = |kept: &[Kept]| kept.last().map(|kept| kept.place);
        let mut place = last(&self.read(daemon, None, 1).await?).unwrap_or(0);
        while self.left() > 0 {
            let kept = self.read(daemon, Some(place), self.left()).await?;
            match last(&kept) {
                Some(last) => place = last,
                None => sleep(LOOK).await,
            }
            self.write_all(kept)?;
        }
        Ok(())
    }

    async fn follow_receiver(&mut self, daemon: &Daemon) -> Result<(), Failure> {
        let (queue, mut given) = mpsc::channel(QUEUE);
        let queue = Arc::new(queue);
        let service = Service::new().on_in_order(&queue, |queue: &mpsc::Sender<Given>, _, given: Given| {
            // Whoever publishes faster than we write is recorded in part.
            let _ = queue.try_send(given);
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
            let Some(Given { kind, name, input, publication, .. }) = next else { return Ok(()) };
            if let (true, Some(input), Some(source)) = ((kind, &name) == (self.kind, &self.name), input, publication) {
                self.write(input, Source { attempt: 1, ..source })?;
            }
        }
        Ok(())
    }

    fn left(&self) -> u32 {
        self.args.count.map_or(u32::MAX, |count| count.saturating_sub(self.written))
    }

    async fn read(&self, daemon: &Daemon, after: Option<u64>, count: u32) -> Result<Vec<Kept>, Failure> {
        daemon.call(&ReadPublications { kind: self.kind, name: self.name.clone(), after, count }).await
    }

    fn write_all(&mut self, kept: Vec<Kept>) -> Result<(), Failure> {
        kept.into_iter().try_for_each(|Kept { place: _, id, issuer, action, sequence, time, hops, payload }| {
            self.write(payload, Source { id, issuer, action, sequence, time, hops, attempt: 1 })
        })
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
