//! What may be typed, as types. Nothing here does anything.

mod action;
mod cli;
mod data;
mod demo;
mod duration;
mod keys;
mod names;
mod peer;
mod service;
mod subscribers;
#[cfg(test)]
mod tests;
mod token;
mod validation;
mod which;

pub(crate) use action::{
    ActionCommand, CreateAction, Input, Language, ListActions, PerformAction, PublishAction, SubscribeAction,
    UnsubscribeAction,
};
pub(crate) use cli::{Cli, Command, Global, Help, New};
pub(crate) use data::{DataCommand, Migration};
pub(crate) use demo::Demo;
pub(crate) use keys::{KeysCommand, TlsCommand};
pub(crate) use peer::{AddPeer, PeerCommand, SetAddress};
pub(crate) use service::{ServiceCommand, StartService, StopService};
pub(crate) use subscribers::SubscribersCommand;
pub(crate) use token::{IssueToken, TokenCommand};
pub(crate) use validation::{AddValidation, IssueValidation, RemoveValidation, ValidationCommand};
pub(crate) use which::{Shown, Which};
