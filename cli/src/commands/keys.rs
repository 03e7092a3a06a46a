use coattail::wire::Failure;
use coattail::wire::control::{Key, KeyKind, KeyState, ListKeys, RotateKey};

use crate::args::{KeysCommand, TlsCommand};
use crate::context::Context;
use crate::error::ExitStatus;
use crate::local;
use crate::output::{Row, ago};

impl Row for Key {
    const COLUMNS: &'static [&'static str] = &["kind", "id", "state", "replaced", "until"];

    fn cells(&self) -> Vec<String> {
        let time = |time: &Option<String>| time.as_deref().map_or_else(|| "-".to_owned(), ago);
        vec![
            self.kind.name().to_owned(),
            self.id.clone(),
            match self.state {
                KeyState::Current => "current",
                KeyState::Overlap => "overlap",
                KeyState::Ended => "ended",
            }
            .to_owned(),
            time(&self.replaced),
            time(&self.until),
        ]
    }
}

pub(super) fn run(context: &Context, command: &KeysCommand) -> Result<ExitStatus, Failure> {
    match command {
        KeysCommand::Rotate(args) => rotate(context, &args.to_call()),
        KeysCommand::List => list(context, &context.talk(async |daemon| daemon.call(&ListKeys {}).await)?),
    }
}

pub(super) fn run_tls(context: &Context, command: &TlsCommand) -> Result<ExitStatus, Failure> {
    if local::repair_tls(&context.instance()?)? {
        context.printer.note("the key and certificate that were there could not be used, so there is no overlap");
        return run(context, &KeysCommand::List);
    }
    rotate(context, &command.to_call())
}

fn rotate(context: &Context, call: &RotateKey) -> Result<ExitStatus, Failure> {
    let keys = context.talk(async |daemon| daemon.call(call).await)?;
    list(context, &keys)?;
    context.printer.note(match call.kind {
        KeyKind::Auth => {
            "tokens that the old key has signed are refused after the overlap; `token issue` makes new ones"
        }
        KeyKind::Identity => "peers and subscribers follow when they next meet this instance, until the overlap ends",
        KeyKind::Tls => "peers learn the new certificate when they next meet this instance, until the overlap ends",
    });
    Ok(ExitStatus::Done)
}

fn list(context: &Context, keys: &[Key]) -> Result<ExitStatus, Failure> {
    context.printer.list(keys, "this instance has no keys of its own")?;
    Ok(ExitStatus::Done)
}
