use std::sync::Arc;
use std::time::Duration;

use coattail::id::{CallId, SessionId};
use coattail::rpc::{Facts, Service, Session};
use coattail::wire::dev::{PluginFiles, ReadReceived, TestPlugin, Tested, WatchPlugins};
use coattail::wire::{Done, Failure};

use super::fact;
use crate::feeds::Sink;
use crate::parts::Parts;
use crate::plugins::{PluginId, Trial, Tried};
use crate::publications;

/// What the owner may call who writes plugins.
pub(super) fn dev_service(parts: &Arc<Parts>) -> Service {
    Service::new()
        .on(parts, |parts: Arc<Parts>, facts, request: TestPlugin| async move { test(&parts, &facts, request).await })
        .on(parts, |parts: Arc<Parts>, _, request: ReadReceived| async move {
            publications::read_received(&parts.store, request).await
        })
        .on(parts, |parts: Arc<Parts>, _, _: PluginFiles| async move { parts.plugins.files().await })
        .on_in_order(parts, |parts: &Parts, facts, _: WatchPlugins| {
            parts.plugins.tap().watch(fact::<Session>(&facts)?)?;
            Ok(Done {})
        })
}

async fn test(parts: &Parts, facts: &Facts, request: TestPlugin) -> Result<Tested, Failure> {
    let TestPlugin { kind, name, input, publication: source, timeout_ms, follow } = request;
    let session: SessionId = fact(facts)?;
    let (call, id) = (CallId::new(), PluginId { kind, name });
    let timeout = timeout_ms.map(Duration::from_millis);
    let follower = Some(Sink::caller(fact(facts)?, follow));
    let trial = Trial { id, call, input, source, timeout, follower };
    let Tried { load, call: took, outcome } = parts.calls.run(session, call, parts.plugins.test(trial)).await?;
    let (result, error) = match outcome {
        Ok(result) => (result, None),
        Err(failure) => (None, Some(failure)),
    };
    let milliseconds = |time: Option<Duration>| time.map(|time| time.as_secs_f64() * 1_000.0);
    Ok(Tested { call, result, error, load_ms: milliseconds(load), call_ms: milliseconds(took) })
}
