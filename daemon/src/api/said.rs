use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use coattail::id::CallId;
use coattail::rpc::{Facts, Service, Session};
use coattail::wire::host::{Level, Log, Progress, RetryAfter, Working};
use coattail::wire::{Done, ErrorCode, Failure, peer};

use super::fact;
use crate::feeds::{Event, Speaker};
use crate::parts::Parts;
use crate::plugins::PluginId;

/// What workers, and scripts through the command line, say of the calls that they handle. In order, so that it comes
/// before what they answer.
pub(super) fn said_service(parts: &Arc<Parts>) -> Service {
    Service::new()
        .on_in_order(parts, |parts: &Parts, facts, Log { call, level, message }| {
            let plugin = whose(parts, &facts, call);
            log(plugin.as_ref(), call, level, &message);
            if let Some(plugin) = &plugin {
                parts.journals.write(plugin, level, call, &message);
            }
            if let Some(call) = call {
                parts.feeds.say(&speaker(&facts), call, Event::Log { level, message });
            }
            Ok(Done {})
        })
        .on_in_order(parts, |parts: &Parts, facts, Progress { call, fraction, message }| {
            tracing::debug!(target: "plugin", %call, fraction, message, "progress");
            parts.feeds.say(&speaker(&facts), call, Event::Progress { fraction, message });
            Ok(Done {})
        })
        .on_in_order(parts, |parts: &Parts, facts, Working { call }| {
            known(parts.feeds.say(&speaker(&facts), call, Event::Working), call)
        })
        .on_in_order(parts, |parts: &Parts, facts, RetryAfter { call, after_ms }| {
            let after = Duration::from_millis(after_ms);
            known(parts.feeds.retry_after(&speaker(&facts), call, after), call)
        })
}

/// What a peer says of the calls that we made there on the very session; of any other it is dropped, and nobody is
/// told.
pub(super) fn said_by_peer(parts: &Arc<Parts>) -> Service {
    let say = |parts: &Parts, facts: &Facts, call, event| {
        parts.feeds.say(&Speaker::Peer(fact::<Session>(facts)?), call, event);
        Ok(Done {})
    };
    Service::new()
        .on_in_order(parts, move |parts: &Parts, facts, peer::Log { call, level, message }| {
            say(parts, &facts, call, Event::Log { level, message })
        })
        .on_in_order(parts, move |parts: &Parts, facts, peer::Progress { call, fraction, message }| {
            say(parts, &facts, call, Event::Progress { fraction, message })
        })
        .on_in_order(parts, move |parts: &Parts, facts, peer::Working { call }| {
            say(parts, &facts, call, Event::Working)
        })
}

/// A worker speaks for its plugin; who has no plugin came over the control socket.
fn speaker(facts: &Facts) -> Speaker {
    facts.get::<PluginId>().map_or(Speaker::Owner, |plugin| Speaker::Plugin(plugin.kind, plugin.name))
}

/// Into whose log it goes.
fn whose(parts: &Parts, facts: &Facts, call: Option<CallId>) -> Option<PluginId> {
    facts.get().or_else(|| parts.feeds.plugin(call?).map(|(kind, name)| PluginId { kind, name }))
}

fn known(was_theirs: bool, call: CallId) -> Result<Done, Failure> {
    if was_theirs {
        return Ok(Done {});
    }
    Err(Failure::new(ErrorCode::NotFound, format!("no call {call} of yours is under way"))
        .hint("it has ended: what is left of it is being stopped"))
}

fn log(plugin: Option<&PluginId>, call: Option<CallId>, level: Level, message: &str) {
    let (plugin, call) = (tracing::field::display(Shown(plugin)), call.map(tracing::field::display));
    match level {
        Level::Debug => tracing::debug!(target: "plugin", plugin, call, "{message}"),
        Level::Info => tracing::info!(target: "plugin", plugin, call, "{message}"),
        Level::Warn => tracing::warn!(target: "plugin", plugin, call, "{message}"),
        Level::Error => tracing::error!(target: "plugin", plugin, call, "{message}"),
    }
}

struct Shown<'a>(Option<&'a PluginId>);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => name.fmt(f),
            None => f.write_str("?"),
        }
    }
}
