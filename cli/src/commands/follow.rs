//! What is heard of a call while it runs.

use std::sync::Arc;
use std::time::Duration;

use coattail::rpc::{Deadline, Service};
use coattail::wire::Done;
use coattail::wire::host::{Level, Log, Progress, Working};

use crate::context::{Context, Daemon};
use crate::output::{Format, Printer};

/// What a call may take beyond its own time limit, until its end is told.
const GRACE: Duration = Duration::from_secs(30);

/// Whether a call is followed: if it was asked for, or a person looks on.
pub(super) fn is_wanted(context: &Context, asked: bool) -> bool {
    match context.printer.format() {
        // With JSON, stderr has the error and nothing else, so that it can be parsed.
        Format::Json => false,
        Format::Plain => asked,
        Format::Table => asked || context.printer.is_watched(),
    }
}

/// Passes on what the daemon tells of the one call of this session while it runs. Returns until when to wait for it: it
/// is moved when the call is still worked on.
pub(super) fn listen(daemon: &Daemon, context: &Context, timeout: Option<Duration>) -> Deadline {
    // Without a limit of ours the daemon's counts, which we do not know.
    let deadline = Deadline::new(timeout.map_or(Duration::MAX, |limit| limit.saturating_add(GRACE)));
    let listener = Arc::new(Listener {
        printer: context.printer.clone(),
        verbose: context.is_verbose(),
        deadline: deadline.clone(),
    });
    let service = Service::new()
        .on_in_order(&listener, |listener, _, log: Log| {
            listener.log(&log);
            Ok(Done {})
        })
        .on_in_order(&listener, |listener, _, progress: Progress| {
            listener.printer.progress(progress.fraction, progress.message.as_deref());
            Ok(Done {})
        })
        .on_in_order(&listener, |listener, _, _: Working| {
            listener.deadline.prolong();
            Ok(Done {})
        });
    daemon.session().serve(service);
    deadline
}

struct Listener {
    printer: Printer,
    verbose: bool,
    deadline: Deadline,
}

impl Listener {
    fn log(&self, log: &Log) {
        if self.verbose || log.level != Level::Debug {
            self.printer.log(log.level, &log.message);
        }
    }
}
