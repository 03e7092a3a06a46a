use std::time::Instant;

use coattail::wire::doctor::Finding;
use coattail::wire::plugin::Kind;
use futures::StreamExt as _;
use futures::stream;

use super::finding::{Area, timed};
use crate::plugins::{Found, Plugins};

const AREA: Area = Area("plugins");

/// Plugins that are started at once: each may be an interpreter with all that it imports.
const AT_ONCE: usize = 4;

/// Whether each plugin starts. Those that do stay warm until they are idle for long enough.
pub(super) async fn check(plugins: &Plugins) -> Vec<Finding> {
    let found: Vec<Found> = [Kind::Action, Kind::Receiver].into_iter().flat_map(|kind| plugins.list(kind)).collect();
    if found.is_empty() {
        return vec![AREA.ok("all", "there are none")];
    }
    stream::iter(found).map(|found| one(plugins, found)).buffered(AT_ONCE).collect().await
}

async fn one(plugins: &Plugins, found: Found) -> Finding {
    let subject = format!("{} {}", found.kind.as_str(), found.name);
    if let Some(problem) = found.problem {
        let hint = problem.hint.unwrap_or_else(|| "mend it, or take it out of the folder".to_owned());
        return AREA.failure(subject, problem.message, hint);
    }
    let started = Instant::now();
    match plugins.warm(found.kind, &found.name).await {
        Ok(true) => timed(AREA.ok(subject, "starts"), started.elapsed()),
        Ok(false) => AREA.ok(subject, "can be run; it is started for each call"),
        Err(failure) => {
            let finding = AREA.failed(subject, failure);
            let hint = finding.hint.or_else(|| Some("mend it, then `coattail doctor` again".to_owned()));
            Finding { hint, ..finding }
        }
    }
}
