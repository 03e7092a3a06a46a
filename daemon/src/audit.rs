//! Who was let in or refused, when, with which token, for what; and what the owner changed.
//!
//! Whoever decides records it and goes on: nothing waits for the audit. A task writes what was recorded, at most a
//! second later. After a kill, that second is missing; after a stop in order, nothing is. If more is recorded than can
//! be written, the rest is counted, and the count is recorded.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use coattail::id::{IssuerHash, TokenId};
use coattail::wire::Failure;
use coattail::wire::control::{AuditEntry, ListAudit, Outcome};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Source;
use crate::store::{AuditFact, AuditRow, Store};

/// Facts that wait to be counted by the task; more are dropped with a count. Some 2 MB when full.
const QUEUE: usize = 8_192;

/// Different facts after which the task writes without waiting for the second to pass.
const BATCH: usize = 256;

/// How long a fact waits to be written, so that many share a transaction.
const WAIT: Duration = Duration::from_secs(1);

/// Facts of one token, and of all strangers together, that are told apart within a minute: a flood of different ones
/// cannot fill the table and push out what was there.
const DIFFERENT: usize = 1_024;

/// Entries that are listed, unless more or fewer were asked for, and at the most: these fit into a frame.
const LISTED: u32 = 1_000;
const MOST_LISTED: u32 = 10_000;

/// Records what was decided. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Audit {
    store: Store,
    queue: mpsc::Sender<Command>,
    dropped: Arc<AtomicU64>,
    task: TaskTracker,
    cancel: CancellationToken,
}

/// Something that was decided, as it is put together.
#[derive(Debug, Clone)]
pub(crate) struct Fact(AuditFact);

enum Command {
    Record(i64, Fact),
    Flush(oneshot::Sender<()>),
}

impl Audit {
    pub(crate) fn new(store: Store) -> Self {
        let (queue, commands) = mpsc::channel(QUEUE);
        let (task, cancel) = (TaskTracker::new(), CancellationToken::new());
        let dropped = Arc::new(AtomicU64::new(0));
        let writer = Writer {
            store: store.clone(),
            dropped: dropped.clone(),
            facts: HashMap::new(),
            variety: Variety::default(),
            due: None,
        };
        task.spawn(writer.run(commands, cancel.clone()));
        task.close();
        Self { store, queue, dropped, task, cancel }
    }

    /// Records a fact, now. Waits for nothing.
    pub(crate) fn record(&self, fact: Fact) {
        if self.queue.try_send(Command::Record(Timestamp::now().as_millisecond(), fact)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What was recorded, up to this moment.
    pub(crate) async fn list(&self, request: ListAudit) -> Result<Vec<AuditEntry>, Failure> {
        let (written, wait) = oneshot::channel();
        // If the task is gone, everything is written.
        if self.queue.send(Command::Flush(written)).await.is_ok() {
            let _ = wait.await;
        }
        let limit = request.limit.unwrap_or(LISTED).min(MOST_LISTED);
        let rows = self.store.audit(request.since_ms.unwrap_or(0), limit).await?;
        Ok(rows.into_iter().map(entry).collect())
    }

    /// Writes what was recorded, and records no more.
    pub(crate) async fn close(&self) {
        self.cancel.cancel();
        self.task.wait().await;
    }
}

impl Fact {
    pub(crate) fn allowed(what: &str) -> Self {
        Self::new(Outcome::Allowed, what)
    }

    pub(crate) fn refused(what: &str, reason: &str) -> Self {
        let mut fact = Self::new(Outcome::Refused, what);
        fact.0.reason = Some(reason.to_owned());
        fact
    }

    fn new(outcome: Outcome, what: &str) -> Self {
        let what = what.to_owned();
        Self(AuditFact { outcome, what, token: None, peer: None, address: None, subject: None, reason: None })
    }

    pub(crate) fn token(mut self, token: Option<TokenId>) -> Self {
        self.0.token = token;
        self
    }

    pub(crate) fn peer(mut self, peer: IssuerHash) -> Self {
        self.0.peer = Some(peer);
        self
    }

    /// Where somebody comes from who has proven nothing yet.
    pub(crate) fn source(mut self, address: IpAddr) -> Self {
        self.0.address = Some(Source::of(address).to_string());
        self
    }

    pub(crate) fn address(mut self, address: IpAddr) -> Self {
        self.0.address = Some(address.to_canonical().to_string());
        self
    }

    /// A name that is known here, or an id: nothing else that a peer has sent.
    pub(crate) fn subject(mut self, subject: impl ToString) -> Self {
        self.0.subject = Some(subject.to_string());
        self
    }
}

struct Writer {
    store: Store,
    dropped: Arc<AtomicU64>,
    /// When first, when last, how often.
    facts: HashMap<AuditFact, (i64, i64, u64)>,
    variety: Variety,
    /// When the oldest of them has waited long enough.
    due: Option<Instant>,
}

/// How many different facts each token has caused in the current minute; strangers have none, and share a place.
#[derive(Default)]
struct Variety {
    minute: i64,
    hasher: RandomState,
    seen: HashMap<Option<TokenId>, HashSet<u64>>,
}

impl Writer {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>, cancel: CancellationToken) {
        loop {
            let due = self.due;
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                () = async { sleep_until(due.expect("checked")).await }, if due.is_some() => self.write().await,
                command = commands.recv() => match command {
                    None => break,
                    Some(command) => self.take(command).await,
                },
            }
        }
        commands.close();
        while let Some(command) = commands.recv().await {
            self.take(command).await;
        }
        self.write().await;
    }

    async fn take(&mut self, command: Command) {
        match command {
            Command::Record(time, Fact(fact)) => {
                self.count(time, fact, 1);
                if self.facts.len() >= BATCH {
                    self.write().await;
                }
            }
            Command::Flush(written) => {
                self.write().await;
                let _ = written.send(());
            }
        }
    }

    fn count(&mut self, time: i64, mut fact: AuditFact, times: u64) {
        self.variety.limit(time, &mut fact);
        let (_, last, count) = self.facts.entry(fact).or_insert((time, time, 0));
        (*last, *count) = ((*last).max(time), *count + times);
        self.due.get_or_insert_with(|| Instant::now() + WAIT);
    }

    async fn write(&mut self) {
        self.due = None;
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            tracing::warn!(dropped, "more was to be audited than could be written");
            self.count(Timestamp::now().as_millisecond(), Fact::refused("audit", "busy").0, dropped);
            self.due = None;
        }
        if self.facts.is_empty() {
            return;
        }
        let mut rows: Vec<AuditRow> =
            self.facts.drain().map(|(fact, (first, last, count))| AuditRow { first, last, count, fact }).collect();
        rows.sort_by_key(|row| row.first);
        let lost = rows.iter().map(|row| row.count).sum();
        if let Err(error) = self.store.append_audit(rows).await {
            tracing::error!(%error, lost, "the audit could not be written");
            self.dropped.fetch_add(lost, Ordering::Relaxed);
        }
    }
}

impl Variety {
    /// Keeps of a fact only what was decided and why, when too many different ones came with its token.
    fn limit(&mut self, time: i64, fact: &mut AuditFact) {
        let minute = time.div_euclid(60_000);
        if minute != self.minute {
            (self.minute, self.seen) = (minute, HashMap::new());
        }
        // What the owner does has no address, and is never cut.
        if fact.address.is_none() {
            return;
        }
        let hash = self.hasher.hash_one(&*fact);
        let seen = self.seen.entry(fact.token).or_default();
        if seen.len() < DIFFERENT {
            seen.insert(hash);
        } else if !seen.contains(&hash) {
            (fact.peer, fact.address, fact.subject) = (None, None, None);
        }
    }
}

fn entry(row: AuditRow) -> AuditEntry {
    let AuditRow { first, last, count, fact } = row;
    let AuditFact { outcome, what, token, peer, address, subject, reason } = fact;
    let shown = |time| Timestamp::from_millisecond(time).unwrap_or(Timestamp::MIN).to_string();
    let last = (count > 1).then(|| shown(last));
    AuditEntry { time: shown(first), last, count, outcome, what, token, peer, address, subject, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_different_facts_becomes_one() {
        let mut variety = Variety::default();
        let mut is_told = |time, token, n: usize| {
            let mut fact = Fact::refused("connect", "penalty").token(token).0;
            fact.address = Some(n.to_string());
            variety.limit(time, &mut fact);
            fact.address.is_some()
        };
        assert!((0..DIFFERENT).all(|n| is_told(0, None, n)));
        assert!(!is_told(59_999, None, DIFFERENT) && is_told(0, None, 7), "who is known stays known");
        assert!(is_told(0, Some(TokenId::new()), DIFFERENT), "no other token pays");
        assert!(is_told(60_000, None, DIFFERENT), "the next minute begins anew");
    }
}
