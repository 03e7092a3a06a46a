//! What may be typed, as types. Nothing here does anything.

mod action;
mod audit;
mod backup;
mod cli;
mod completions;
mod data;
mod dead_letters;
mod deferred;
mod demo;
mod dev;
mod duration;
mod job;
mod keys;
mod man;
mod names;
mod peer;
mod publications;
mod said;
mod service;
mod subscribers;
mod subscriptions;
#[cfg(test)]
mod tests;
mod token;
mod validation;
mod validity;
mod which;

pub(crate) use action::{
    ActionCommand, ActionLogs, ActionTypes, CreateAction, Input, Language, Lines, ListActions, PerformAction,
    PublishAction, ReloadAction, ShowAction, SubscribeAction, TypesLanguage, UnsubscribeAction,
};
pub(crate) use audit::Audit;
pub(crate) use backup::{Backup, Restore};
pub(crate) use cli::{Cli, Command, Global, Help, New};
pub(crate) use completions::Completions;
pub(crate) use data::{DataCommand, Migration};
pub(crate) use dead_letters::{ChosenDeadLetters, DeadLettersCommand, WhichDeadLetters};
pub(crate) use deferred::Deferred;
pub(crate) use demo::Demo;
pub(crate) use dev::{Dev, Record, TestAction};
pub(crate) use job::{JobCommand, JobLogs, WaitForJob};
pub(crate) use keys::{KeysCommand, TlsCommand};
pub(crate) use man::Man;
pub(crate) use peer::{AddPeer, PeerCommand, SetAddress};
pub(crate) use publications::{
    ListPublications, PublicationsCommand, ShowPublication, TailPublications, Trace, VerifyPublications,
};
pub(crate) use said::{Log, Progress, RetryAfter};
pub(crate) use service::{ServiceCommand, StartService, StopService};
pub(crate) use subscribers::{SubscribersCommand, WhichSubscription};
pub(crate) use subscriptions::{SubscriptionsCommand, WhichHeld};
pub(crate) use token::{IssueToken, TokenCommand};
pub(crate) use validation::{AddValidation, IssueValidation, ValidationCommand};
pub(crate) use which::{Ended, Shown, Which};
