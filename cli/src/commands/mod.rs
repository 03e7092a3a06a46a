//! One file for each group of commands: arguments in, one call of the daemon, a typed answer out.

mod action;
mod audit;
mod backup;
mod completions;
mod create;
mod data;
mod dead_letters;
mod demo;
mod dev;
mod doctor;
mod fixtures;
mod follow;
mod headless;
mod help;
mod ids;
mod input;
mod job;
mod keys;
mod logs;
mod man;
mod new;
mod peer;
mod performed;
mod plugin;
mod publications;
mod reach;
mod record;
mod said;
mod service;
mod subscribers;
mod subscriptions;
mod test;
mod token;
mod trace;
mod types;
mod validation;
mod version;

use coattail::wire::Failure;

use crate::args::{Command, Deferred};
use crate::context::Context;
use crate::error::ExitStatus;

/// Runs a command.
pub(crate) fn run(context: &Context, command: Command) -> Result<ExitStatus, Failure> {
    match command {
        Command::New(args) => new::run(context, args),
        Command::Version => version::run(context),
        Command::Service(Deferred(command)) => service::run(context, command),
        Command::Action(Deferred(command)) => action::run(context, command),
        Command::Job(Deferred(command)) => job::run(context, command),
        Command::Peer(Deferred(command)) => peer::run(context, command),
        Command::Publications(Deferred(command)) => publications::run(context, command),
        Command::Subscribers(Deferred(command)) => subscribers::run(context, command),
        Command::Subscriptions(Deferred(command)) => subscriptions::run(context, command),
        Command::DeadLetters(Deferred(command)) => dead_letters::run(context, command),
        Command::Trace(args) => trace::run(context, args).map(|()| ExitStatus::Done),
        Command::Token(Deferred(command)) => token::run(context, command),
        Command::Validation(Deferred(command)) => validation::run(context, command),
        Command::Keys(Deferred(command)) => keys::run(context, &command),
        Command::Tls(Deferred(command)) => keys::run_tls(context, &command),
        Command::Audit(args) => audit::run(context, &args),
        Command::Log(args) => said::log(context, &args),
        Command::Progress(args) => said::progress(context, &args),
        Command::Working => said::working(context),
        Command::RetryAfter(args) => said::retry_after(context, &args),
        Command::Data(Deferred(command)) => data::run(context, command),
        Command::Dev(args) => dev::run(context, &args),
        Command::Record(args) => record::run(context, &args).map(|()| ExitStatus::Done),
        Command::Demo(args) => demo::run(context, &args),
        Command::Backup(args) => backup::back_up(context, &args),
        Command::Restore(args) => backup::restore(context, args),
        Command::Doctor => doctor::run(context),
        Command::Completions(args) => completions::run(context, &args),
        Command::Man(args) => man::run(context, &args),
        Command::Help(args) => help::run(context, &args),
    }
}
