use std::sync::Arc;

use coattail::rpc::Service;
use coattail::wire::control::{LogLine, PluginLogs};
use coattail::wire::plugin::Kind;
use coattail::wire::{Done, ErrorCode, Failure};

use crate::args::ActionLogs;
use crate::context::{Context, Daemon};
use crate::output::{Format, Printer, visible};

pub(super) fn run(context: &Context, args: &ActionLogs) -> Result<(), Failure> {
    let kind = if args.receiver { Kind::Receiver } else { Kind::Action };
    let ask = PluginLogs { kind, name: args.name.clone(), lines: args.lines, follow: args.follow };
    let printer = &context.printer;
    if !args.follow {
        let lines = context.talk(async |daemon| daemon.call(&ask).await)?.lines;
        if lines.is_empty() {
            printer.note(&format!("nothing is kept of {} `{}`", kind.as_str(), visible(&args.name)));
        }
        return show_all(printer, &lines);
    }
    // Only a service goes on; a command that had opened the instance itself would keep it for nothing.
    match context.ask_service(&context.instance()?, async |daemon| follow(daemon, printer, &ask).await) {
        // That is how it is ended.
        Err(failure) if failure.code == ErrorCode::Cancelled => Ok(()),
        outcome => outcome,
    }
}

async fn follow(daemon: &Daemon, printer: &Printer, ask: &PluginLogs) -> Result<(), Failure> {
    let (queue, mut lines) = tokio::sync::mpsc::channel(QUEUE);
    let queue = Arc::new(queue);
    let service = Service::new().on_in_order(&queue, |queue: &tokio::sync::mpsc::Sender<LogLine>, _, line: LogLine| {
        // Whoever reads us is too slow: the file has the line.
        let _ = queue.try_send(line);
        Ok(Done {})
    });
    daemon.session().serve(service);
    for line in daemon.call(ask).await?.lines {
        show(printer, &line)?;
    }
    let ended = daemon.session().closed();
    tokio::pin!(ended);
    loop {
        tokio::select! {
            biased;
            // `recv` is cancel-safe.
            Some(line) = lines.recv() => show(printer, &line)?,
            () = &mut ended => return Ok(()),
        }
    }
}

/// Lines that wait to be printed.
const QUEUE: usize = 1_024;

/// Answers with lines of a log.
pub(super) fn show_all(printer: &Printer, lines: &[LogLine]) -> Result<(), Failure> {
    match printer.format() {
        Format::Json => printer.value("", &lines),
        Format::Plain | Format::Table => lines.iter().try_for_each(|line| show(printer, line)),
    }
}

/// Answers with one more line.
pub(super) fn show(printer: &Printer, line: &LogLine) -> Result<(), Failure> {
    let LogLine { time, level, message, .. } = line;
    let (level, message) = (level.as_str(), visible(message));
    match printer.format() {
        Format::Plain => printer.value(&format!("{}\t{level}\t{message}", visible(time)), line),
        Format::Table | Format::Json => printer.value(&format!("{} {level:<5} {message}", visible(time)), line),
    }
}
