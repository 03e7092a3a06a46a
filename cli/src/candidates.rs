//! What may come next on a command line, as a shell asks while somebody types: from the definitions in [`args`] and,
//! for names and ids, from the instance. Fast, silent and harmless: what cannot be had at once is not offered.
//!
//! [`args`]: crate::args

use std::env;
use std::ffi::{OsStr, OsString};
use std::time::Duration;

use clap::CommandFactory as _;
use clap_complete::CompleteEnv;
use clap_complete::engine::CompletionCandidate;
use coattail::id::PeerId;
use coattail::wire::Failure;
use coattail::wire::control::{ListTokens, ListValidations};
use coattail::wire::dead_letters::ListDeadLetters;
use coattail::wire::host::{Entry, ListActions, ListPeers, ListReceivers, ListSubscribers, Peer, ShowPeer};
use coattail::wire::jobs::ListJobs;
use coattail::wire::subscriptions::ListSubscriptions;

use crate::args::{Cli, Global};
use crate::context::{Context, Daemon};
use crate::error::ExitStatus;
use crate::output::{Format, Printer, list_or, visible};

/// Names the shell that asks. Its script, which `coattail completions` prints, sets it.
pub(crate) const VARIABLE: &str = "COATTAIL_COMPLETE";

/// How long the instance is asked. A person notices when a shell takes longer.
const PATIENCE: Duration = Duration::from_millis(150);

/// The most that is offered: nobody reads more.
const MOST: usize = 500;

/// A variable that only the script for bash sets, the one shell that takes what it gets as it is.
const BASH: &str = "_CLAP_COMPLETE_COMP_TYPE";

/// Answers a shell that asks what may come next; nothing if it is no shell that asks.
pub(crate) fn answer_shell(argv: &[OsString]) -> Option<ExitStatus> {
    env::var_os(VARIABLE).filter(|shell| !shell.is_empty())?;
    let folder = env::current_dir().ok();
    match CompleteEnv::with_factory(Cli::command).var(VARIABLE).try_complete(argv, folder.as_deref()) {
        Ok(true) => Some(ExitStatus::Done),
        Ok(false) => None,
        // Whatever were said would stand in the middle of what is typed.
        Err(_) => Some(ExitStatus::Failed),
    }
}

/// Ids of peers.
pub(crate) fn peers(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, async |daemon| {
        let peers = daemon.call(&ListPeers {}).await?;
        Ok(peers.into_iter().map(|peer| (peer.id.to_string(), list_or(&peer.addresses, ""))).collect())
    })
}

/// Names of actions: of the peer that is named before, or of this instance.
pub(crate) fn actions(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = Words::typed();
    let peer: Option<Option<PeerId>> = words.option("--peer", "-p").map(|id| id.parse().ok());
    offer(current, async |daemon| match peer {
        None => Ok(entries(daemon.call(&ListActions { peer: None, schemas: false }).await?)),
        // No peer has that name.
        Some(None) => Ok(Vec::new()),
        Some(Some(peer)) => {
            let named = of_token(&daemon.call(&ShowPeer { peer }).await?);
            match named {
                Some(names) => Ok(names),
                None => Ok(entries(daemon.call(&ListActions { peer: Some(peer), schemas: false }).await?)),
            }
        }
    })
}

/// Names of the receivers of this instance.
pub(crate) fn receivers(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, async |daemon| Ok(entries(daemon.call(&ListReceivers { peer: None, schemas: false }).await?)))
}

/// Names of actions, or of receivers if it is about one.
pub(crate) fn plugins(current: &OsStr) -> Vec<CompletionCandidate> {
    if Words::typed().first_of(&["--receiver", "-r"]).is_some() { receivers(current) } else { actions(current) }
}

/// Ids of what the command is about: jobs, peers, tokens or validation tokens.
pub(crate) fn ids(current: &OsStr) -> Vec<CompletionCandidate> {
    let words = Words::typed();
    match words.first_of(&["job", "peer", "token", "validation"]) {
        Some("job") => jobs(current),
        Some("peer") => peers(current),
        Some("token") => tokens(current),
        Some("validation") => validations(current, ""),
        _ => Vec::new(),
    }
}

/// Ids of the subscriptions that others hold here.
pub(crate) fn subscriptions(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, async |daemon| {
        let held = daemon.call(&ListSubscribers {}).await?;
        Ok(held
            .into_iter()
            .map(|held| (held.id.to_string(), format!("{} to {}", held.action, held.receiver)))
            .collect())
    })
}

/// Ids of the subscriptions that this instance holds.
pub(crate) fn held(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, async |daemon| {
        let held = daemon.call(&ListSubscriptions {}).await?;
        Ok(held
            .into_iter()
            .map(|held| (held.id.to_string(), format!("{} to {}", held.action, held.receiver)))
            .collect())
    })
}

/// Numbers of dead letters.
pub(crate) fn dead_letters(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, async |daemon| {
        let dead = daemon.call(&ListDeadLetters::default()).await?;
        Ok(dead.into_iter().map(|dead| (dead.id.to_string(), format!("{}: {}", dead.receiver, dead.reason))).collect())
    })
}

/// Bearers: the validation tokens that are stored here.
pub(crate) fn bearers(current: &OsStr) -> Vec<CompletionCandidate> {
    validations(current, "vt://")
}

fn jobs(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, async |daemon| {
        let jobs = daemon.call(&ListJobs {}).await?;
        Ok(jobs
            .into_iter()
            .rev()
            .map(|job| (job.id.to_string(), format!("{} {}", job.action, job.state.name())))
            .collect())
    })
}

fn tokens(current: &OsStr) -> Vec<CompletionCandidate> {
    offer(current, async |daemon| {
        let tokens = daemon.call(&ListTokens {}).await?;
        Ok(tokens.into_iter().map(|token| (token.id.to_string(), token.usage)).collect())
    })
}

fn validations(current: &OsStr, prefix: &str) -> Vec<CompletionCandidate> {
    offer(current, async |daemon| {
        let stored = daemon.call(&ListValidations {}).await?;
        let named = stored.into_iter().filter_map(|stored| Some((stored.id?, stored.issuer)));
        Ok(named.map(|(id, issuer)| (format!("{prefix}{id}"), issuer.to_string())).collect())
    })
}

fn entries(entries: Vec<Entry>) -> Vec<(String, String)> {
    entries.into_iter().map(|entry| (entry.name, entry.description.unwrap_or_default())).collect()
}

/// The actions that the token of a peer names, which needs no word with the peer; nothing if it allows any.
fn of_token(peer: &Peer) -> Option<Vec<(String, String)>> {
    let mut names: Vec<&String> =
        [&peer.performable, &peer.publishable, &peer.subscribable].into_iter().flatten().collect();
    names.sort();
    names.dedup();
    let any = names.iter().any(|name| *name == "*");
    (!any).then(|| names.into_iter().map(|name| (name.clone(), String::new())).collect())
}

/// What begins as what was typed, of what the instance has: values and what is said of them.
fn offer(
    current: &OsStr,
    look: impl AsyncFnOnce(&Daemon) -> Result<Vec<(String, String)>, Failure>,
) -> Vec<CompletionCandidate> {
    let bash = env::var_os(BASH).is_some();
    let typed = current.to_string_lossy();
    let typed = if bash { unquoted(&typed) } else { typed.into_owned() };
    let instance = Words::typed().option("--instance", "-i").map(Into::into);
    let context = Context::new(Global { instance, ..Global::default() }, Printer::new(Format::Json));
    let found = context.peek(PATIENCE, look).unwrap_or_default();
    let fitting = found.into_iter().filter(|(value, _)| value.starts_with(&typed)).take(MOST);
    fitting
        .map(|(value, help)| {
            let value = if bash { quoted(&value) } else { value };
            let help = (!help.is_empty()).then(|| visible(&help).into_owned().into());
            CompletionCandidate::new(value).help(help)
        })
        .collect()
}

/// The command line that is typed, as the shell hands it over: after `--`.
struct Words(Vec<String>);

impl Words {
    fn typed() -> Self {
        let words = env::args_os().skip_while(|word| word != "--").skip(1);
        Self(words.map(|word| word.to_string_lossy().into_owned()).collect())
    }

    /// The value of an option, if it has been typed.
    fn option(&self, long: &str, short: &str) -> Option<String> {
        let mut words = self.0.iter();
        while let Some(word) = words.next() {
            if word == long || word == short {
                return words.next().filter(|value| !value.is_empty()).cloned();
            }
            if let Some(value) = word.strip_prefix(long).and_then(|rest| rest.strip_prefix('=')) {
                return Some(value.to_owned());
            }
        }
        None
    }

    fn first_of<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        self.0.iter().find_map(|word| names.iter().find(|name| word == **name).copied())
    }
}

/// A value as it can stand on the command line of bash.
fn quoted(value: &str) -> String {
    let mut quoted = String::with_capacity(value.len() + 8);
    for c in value.chars() {
        if c.is_ascii() && !c.is_ascii_alphanumeric() && !"_-./:@%+,=~".contains(c) {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted
}

/// What was typed on the command line of bash, without the characters that quote.
fn unquoted(typed: &str) -> String {
    let mut text = String::with_capacity(typed.len());
    let mut escaped = false;
    for c in typed.chars() {
        match c {
            '\\' if !escaped => escaped = true,
            '"' | '\'' if !escaped => {}
            c => {
                text.push(c);
                escaped = false;
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_gets_and_gives_what_is_quoted() {
        for (value, typed) in [("echo", "echo"), ("My Action", r"My\ Action"), ("a'$b", r"a\'\$b"), ("Café", "Café")]
        {
            assert_eq!(quoted(value), typed);
            assert_eq!(unquoted(typed), value);
        }
        assert_eq!(unquoted("\"My Ac"), "My Ac");
    }

    #[test]
    fn what_was_typed_before_is_found() {
        let words = |line: &str| Words(line.split(' ').map(str::to_owned).collect());
        for (line, peer) in [
            ("coattail action perform -p one -a x", Some("one")),
            ("coattail action perform --peer two", Some("two")),
            ("coattail action perform --peer=three", Some("three")),
            ("coattail action perform --peer ", None),
            ("coattail action perform --peers x", None),
        ] {
            assert_eq!(words(line).option("--peer", "-p").as_deref(), peer, "{line}");
        }
        assert_eq!(words("coattail -v token show").first_of(&["peer", "token"]), Some("token"));
    }
}
