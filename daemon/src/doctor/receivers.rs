use coattail::wire::doctor::Finding;
use coattail::wire::subscriptions::Stuck;

use super::finding::Area;
use crate::publications::{Inbox, stuck};
use crate::store::{Backlog, Looped, Store, WhichDead};

const AREA: Area = Area("receivers");

/// Whether receivers take what waits for them. Those that do not are called on, and nothing is lost.
pub(super) async fn check(store: &Store, inbox: &Inbox, now: jiff::Timestamp) -> Vec<Finding> {
    let found = async {
        let mut findings: Vec<Finding> = stuck(store, now).await?.into_iter().map(finding).collect();
        let full = store.backlogs().await?.into_iter().filter(|backlog| inbox.is_full(backlog.subscription));
        findings.extend(full.map(no_room));
        let dead = store.count_dead_letters(WhichDead::All).await?;
        if dead > 0 {
            let message = format!("there are {dead}: publications that receivers did not take");
            let hint = "`coattail dead-letters list` says why; `replay` or `drop` them";
            findings.push(AREA.warning("dead letters", message, hint));
        }
        let since = now.as_millisecond().saturating_sub(LOOPS_MS);
        findings.extend(store.loops_since(since).await?.into_iter().map(loops));
        if findings.is_empty() {
            findings.push(AREA.ok("all", "nothing waits for long, and nothing was given up"));
        }
        Ok(findings)
    };
    found.await.unwrap_or_else(|error: crate::store::Error| vec![AREA.failed("all", error)])
}

fn no_room(backlog: Backlog) -> Finding {
    let Backlog { subscription, receiver, waiting, .. } = backlog;
    AREA.warning(
        format!("receiver {receiver}"),
        format!("has left {waiting} publications waiting: its inbox is full, and the publisher keeps the rest"),
        format!("the subscription {subscription} goes on when an eighth of `limits.inbox` or `inbox_bytes` is free"),
    )
}

/// How long the end of a loop is told, in milliseconds: a day.
const LOOPS_MS: i64 = 24 * 60 * 60 * 1000;

fn loops(looped: Looped) -> Finding {
    let Looped { cause, action, hops, time } = looped;
    let time = jiff::Timestamp::from_millisecond(time).map_or_else(|_| time.to_string(), |time| time.to_string());
    AREA.warning(
        format!("loop at {action}"),
        format!("a publication was refused, last at {time}, since {} had led to it", hops.saturating_sub(1)),
        format!("`coattail trace {cause}` shows who publishes what leads back to himself"),
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
