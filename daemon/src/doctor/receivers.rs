use coattail::wire::doctor::Finding;
use coattail::wire::plugin::Kind;
use coattail::wire::subscriptions::Stuck;

use super::finding::Area;
use crate::plugins::Plugins;
use crate::publications::stuck;
use crate::store::{Backlog, Store, WhichDead};

const AREA: Area = Area("receivers");

/// Whether receivers take what waits for them. Those that do not are called on, and nothing is lost.
pub(super) async fn check(store: &Store, plugins: &Plugins, now: jiff::Timestamp) -> Vec<Finding> {
    let found = async {
        let mut findings: Vec<Finding> = stuck(store, now).await?.into_iter().map(finding).collect();
        let backlogs = store.backlogs().await?;
        findings.extend(backlogs.iter().filter_map(|backlog| unusable(plugins, backlog)));
        let dead = store.count_dead_letters(WhichDead::All).await?;
        if dead > 0 {
            let message = format!("there are {dead}: publications that receivers did not take");
            let hint = "`coattail dead-letters list` says why; `replay` or `drop` them";
            findings.push(AREA.warning("dead letters", message, hint));
        }
        if findings.is_empty() {
            findings.push(AREA.ok("all", "nothing waits for long, and nothing was given up"));
        }
        Ok(findings)
    };
    found.await.unwrap_or_else(|error: crate::store::Error| vec![AREA.failed("all", error)])
}

/// Whose receiver is missing, or broken, although something comes or waits for it: before that is stuck for long.
fn unusable(plugins: &Plugins, backlog: &Backlog) -> Option<Finding> {
    let Backlog { subscription, action, receiver, peer, waiting, .. } = backlog;
    let is_wanted = peer.is_some() || *waiting > 0;
    let failure = is_wanted.then(|| plugins.check(Kind::Receiver, receiver.as_str()).err()).flatten()?;
    Some(AREA.warning(
        format!("receiver {receiver}"),
        format!("{failure}; the subscription {subscription} to `{action}` needs it, and {waiting} publications wait"),
        "mend it or put it back, or end the subscription with `coattail action unsubscribe`; what waits is kept",
    ))
}

fn finding(stuck: Stuck) -> Finding {
    let Stuck { subscription, receiver, since, attempts, reason } = stuck;
    let why = match reason {
        Some(reason) => format!(", called {attempts} times: {reason}"),
        None => ", not called yet: it is behind".to_owned(),
    };
    AREA.warning(
        format!("receiver {receiver}"),
        format!("has left a publication waiting since {since}{why}"),
        format!("mend it; what waits of the subscription {subscription} is kept until then"),
    )
}
