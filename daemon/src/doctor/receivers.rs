use coattail::wire::ErrorCode;
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
        findings.extend(backlogs.iter().filter(|backlog| is_missing(plugins, backlog)).map(missing));
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

/// Whether there is no such receiver, and something comes or waits for it.
fn is_missing(plugins: &Plugins, backlog: &Backlog) -> bool {
    let found = plugins.check(Kind::Receiver, backlog.receiver.as_str());
    let is_wanted = backlog.peer.is_some() || backlog.waiting > 0;
    is_wanted && found.is_err_and(|failure| failure.code == ErrorCode::NotFound)
}

fn missing(backlog: &Backlog) -> Finding {
    let Backlog { subscription, action, receiver, waiting, .. } = backlog;
    AREA.warning(
        format!("receiver {receiver}"),
        format!("is missing; the subscription {subscription} to `{action}` needs it, and {waiting} publications wait"),
        "put it into `receivers/`, or end the subscription with `coattail action unsubscribe`",
    )
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
