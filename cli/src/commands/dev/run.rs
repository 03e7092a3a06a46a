use coattail::wire::dev::TestPlugin;
use coattail::wire::host::Level;
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure};

use super::super::input;
use super::keys::Keys;
use super::rounds::{KEYS, Rounds};
use super::screen::Screen;
use super::stage::Stage;
use crate::args;
use crate::context::Context;
use crate::error::ExitStatus;
use crate::local::{self, LogEvent};

/// What is logged unless `COATTAIL_LOG` says otherwise: what plugins say, and what is wrong. What becomes of workers is
/// told by the rounds.
const LOG: &str = "warn,plugin=debug,coattail_daemon::plugins::pool=off";

/// Runs a temporary instance around the plugins of a folder, until it is told to end.
pub(in crate::commands) fn run(context: &Context, args: &args::Dev) -> Result<ExitStatus, Failure> {
    let data = args.data.as_ref().map(input::read_json).transpose()?;
    let first = args.perform.as_ref().map(|name| TestPlugin {
        // Corrected once it is known what there is.
        kind: Kind::Action,
        name: name.clone(),
        input: data,
        publication: None,
        timeout_ms: None,
        follow: false,
    });
    let stage = Stage::set(&args.folder, args.receivers)?;
    let screen = Screen::new(context.printer.clone());
    let outcome = context.block_on(async |interrupt| {
        let log = screen.clone();
        let tell = move |line: LogEvent| log.say(line.level, line.plugin.as_deref().map(name), &line.message);
        let daemon = interrupt.or(local::serve_in_process(stage.instance(), LOG, tell)).await?;
        let keys = Keys::new();
        screen.say(Level::Info, None, &format!("instance {}", stage.instance().display()));
        if keys.are_there() {
            screen.say(Level::Info, None, KEYS);
        }
        let rounds = Rounds::new(daemon.session().clone(), screen.clone(), keys, args.replay, first);
        let outcome = interrupt.or(rounds.run()).await;
        // A second Ctrl-C does not wait for the end.
        let ending = async {
            daemon.end().await;
            Ok(())
        };
        let _ = interrupt.or(ending).await;
        outcome
    });
    match outcome {
        // That is how it is ended.
        Err(failure) if failure.code == ErrorCode::Cancelled => Ok(ExitStatus::Done),
        outcome => outcome.map(|()| ExitStatus::Done),
    }
}

/// The name of a plugin in the log, where its kind stands before it.
fn name(plugin: &str) -> &str {
    plugin.split_once('`').map_or(plugin, |(_, name)| name.strip_suffix('`').unwrap_or(name))
}
