//! Who was let in or refused, when, with which token, for what; and what the owner changed.
//!
//! Whoever decides records it and goes on: nothing waits for the audit. What repeats is counted where it waits, so that a
//! flood of one kind takes no room from the rest. A task writes what waits, at most a second later. After a kill, that
//! second is missing; after a stop in order, nothing is. What finds no room is counted, and the count is recorded.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use coattail::id::{IssuerHash, TokenId};
use coattail::wire::control::{AuditEntry, ListAudit, Outcome};
use coattail::wire::{ErrorCode, Failure};
use jiff::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Source;
use crate::store::{AuditFact, AuditRow, Store};

/// Different facts that wait to be written; more are dropped with a count. Some 3 MB when full.
const WAITING: usize = 8_192;

/// Different facts after which the task writes without waiting for the second to pass.
const BATCH: usize = 256;

/// How long a fact waits to be written, so that many share a transaction.
const WAIT: Duration = Duration::from_secs(1);

/// Commands that wait for the task to have written.
const FLUSHES: usize = 16;

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
    waiting: Arc<Waiting>,
    flush: mpsc::Sender<oneshot::Sender<()>>,
    task: TaskTracker,
    cancel: CancellationToken,
}

/// Something that was decided, as it is put together.
#[derive(Debug, Clone)]
pub(crate) struct Fact(AuditFact);

/// A fact that comes again and again: of a thousand calls, each costs no more than a count.
#[derive(Debug)]
pub(crate) struct Again {
    fact: Fact,
    // Of what has not been written yet. The times are written before it is listed, under the lock of the list.
    count: AtomicU64,
    first: AtomicI64,
    last: AtomicI64,
}

impl Again {
    pub(crate) fn new(fact: Fact) -> Arc<Self> {
        Arc::new(Self { fact, count: AtomicU64::new(0), first: AtomicI64::new(0), last: AtomicI64::new(0) })
    }
}

impl Audit {
    pub(crate) fn new(store: Store) -> Self {
        let (flush, flushes) = mpsc::channel(FLUSHES);
        let (task, cancel) = (TaskTracker::new(), CancellationToken::new());
        let waiting = Arc::new(Waiting::default());
        let writer = Writer { store: store.clone(), waiting: waiting.clone() };
        task.spawn(writer.run(flushes, cancel.clone()));
        task.close();
        Self { store, waiting, flush, task, cancel }
    }

    /// Records a fact, now. Waits for nothing.
    pub(crate) fn record(&self, fact: Fact) {
        let Waiting { facts, some, full } = &*self.waiting;
        let different = {
            let mut facts = facts.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Timestamp::now().as_millisecond();
            facts.count((now, now), fact.0, 1);
            facts.counted.len()
        };
        some.notify_one();
        if different >= BATCH {
            full.notify_one();
        }
    }

    /// As [`record`](Self::record), of what comes again and again.
    pub(crate) fn record_again(&self, again: &Arc<Again>) {
        let now = Timestamp::now().as_millisecond();
        again.last.store(now, Ordering::Relaxed);
        if again.count.fetch_add(1, Ordering::Relaxed) > 0 {
            // It waits to be written.
            return;
        }
        let Waiting { facts, some, .. } = &*self.waiting;
        {
            let mut facts = facts.lock().unwrap_or_else(PoisonError::into_inner);
            again.first.store(now, Ordering::Relaxed);
            facts.again.push(again.clone());
        }
        some.notify_one();
    }

    /// What was recorded, up to this moment.
    pub(crate) async fn list(&self, request: ListAudit) -> Result<Vec<AuditEntry>, Failure> {
        let (written, wait) = oneshot::channel();
        // If the task is gone, everything is written.
        if self.flush.send(written).await.is_ok() {
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

/// What waits to be written.
#[derive(Default)]
struct Waiting {
    // Held for map operations, never over an await.
    facts: Mutex<Facts>,
    some: Notify,
    full: Notify,
}

#[derive(Default)]
struct Facts {
    /// When first, when last, how often.
    counted: HashMap<AuditFact, (i64, i64, u64)>,
    /// Each of them is here once.
    again: Vec<Arc<Again>>,
    variety: Variety,
    dropped: u64,
}

struct Writer {
    store: Store,
    waiting: Arc<Waiting>,
}

/// How many different facts each token has caused in the current minute; strangers have none, and share a place.
#[derive(Default)]
struct Variety {
    minute: i64,
    hasher: RandomState,
    seen: HashMap<Option<TokenId>, HashSet<u64>>,
}

impl Writer {
    async fn run(self, mut flushes: mpsc::Receiver<oneshot::Sender<()>>, cancel: CancellationToken) {
        let mut due = None;
        loop {
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                () = async { sleep_until(due.expect("checked")).await }, if due.is_some() => {}
                () = self.waiting.full.notified() => {}
                () = self.waiting.some.notified(), if due.is_none() => {
                    due = Some(Instant::now() + WAIT);
                    continue;
                }
                Some(written) = flushes.recv() => {
                    self.write().await;
                    let _ = written.send(());
                }
            }
            due = None;
            self.write().await;
        }
        // Who asked to see it is answered when this is dropped.
        self.write().await;
    }

    async fn write(&self) {
        let rows = self.facts().take();
        if rows.is_empty() {
            return;
        }
        let lost: u64 = rows.iter().map(|row| row.count).sum();
        if let Err(error) = self.store.append_audit(rows).await {
            tracing::error!(%error, lost, "the audit could not be written");
            self.facts().dropped += lost;
        }
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.waiting.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Facts {
    fn count(&mut self, (first, last): (i64, i64), mut fact: AuditFact, times: u64) {
        self.variety.limit(last, &mut fact);
        if self.counted.len() >= WAITING && !self.counted.contains_key(&fact) {
            self.dropped += times;
            return;
        }
        let counted = self.counted.entry(fact).or_insert((first, last, 0));
        *counted = (counted.0.min(first), counted.1.max(last), counted.2 + times);
    }

    fn take(&mut self) -> Vec<AuditRow> {
        for again in std::mem::take(&mut self.again) {
            let times = again.count.swap(0, Ordering::Relaxed);
            let (first, last) = (again.first.load(Ordering::Relaxed), again.last.load(Ordering::Relaxed));
            self.count((first, last), again.fact.0.clone(), times);
        }
        let row = |(fact, (first, last, count))| AuditRow { first, last, count, fact };
        let mut rows: Vec<AuditRow> = self.counted.drain().map(row).collect();
        rows.sort_by_key(|row| row.first);
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            tracing::warn!(dropped, "more was to be audited than there was room for");
            let now = Timestamp::now().as_millisecond();
            rows.push(row((Fact::refused("audit", ErrorCode::Busy.name()).0, (now, now, dropped))));
        }
        rows
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
    use crate::store::{Database, Migration, Signer, migrate};

    #[tokio::test]
    async fn what_was_recorded_is_written_without_being_asked_for_and_at_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data.db");
        migrate(&path, Migration::Latest).unwrap();
        let signer = Signer { issuer: IssuerHash::of_public_key("us"), sign: Arc::new(|_, _| Vec::new()) };
        let store = Store::open(Database::open(&path).unwrap(), signer, &folder.path().join("epoch")).unwrap();
        let audit = Audit::new(store.clone());
        let written = async |what: &str| store.audit(0, 10).await.unwrap().iter().any(|row| row.fact.what == what);
        audit.record(Fact::allowed("first"));
        tokio::time::timeout(10 * WAIT, async {
            while !written("first").await {
                tokio::task::yield_now().await;
            }
        })
        .await
        .unwrap();
        audit.record(Fact::allowed("second"));
        let told = audit.list(ListAudit { limit: Some(1), ..ListAudit::default() }).await.unwrap();
        assert_eq!(told[0].what, "second", "who asks sees everything");
        let again = Again::new(Fact::allowed("again"));
        audit.record_again(&again);
        let counted = async || {
            let told = audit.list(ListAudit::default()).await.unwrap();
            told.iter().filter(|entry| entry.what == "again").map(|entry| entry.count).sum::<u64>()
        };
        assert_eq!(counted().await, 1);
        audit.record_again(&again);
        audit.record_again(&again);
        audit.record(Fact::allowed("last"));
        audit.close().await;
        assert!(written("last").await);
        assert_eq!(counted().await, 3, "it can still be read");
    }

    #[test]
    fn a_flood_takes_one_place_and_what_finds_none_is_counted() {
        let mut facts = Facts::default();
        for time in 0..100_000 {
            facts.count((time, time), Fact::refused("connect", "penalty").0, 1);
        }
        let rows = facts.take();
        assert_eq!((rows.len(), rows[0].first, rows[0].last, rows[0].count), (1, 0, 99_999, 100_000));
        for n in 0..WAITING + 3 {
            facts.count((0, 0), Fact::allowed("session.authenticate").subject(n).0, 1);
        }
        facts.count((0, 0), Fact::allowed("session.authenticate").subject(0).0, 1);
        let rows = facts.take();
        let last = rows.last().expect("the count of those that found no room");
        assert_eq!((rows.len(), last.fact.what.as_str(), last.count), (WAITING + 1, "audit", 3));
        assert!(facts.take().is_empty());
    }

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
