use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coattail::id::SubscriptionId;
use coattail::kill_point;
use coattail::wire::peer::{Addressee, Ahead, Deliver, Gap, Reached, Refused, Stored};
use coattail::wire::{ErrorCode, Failure, Publication, Span};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cause::Causes;
use super::grants::{Grant, Grants};
use super::links::Links;
use super::room::Room;
use super::runner::{ReceiverSettings, Runner, Wake};
use super::signature::{Former, Verifier, shown};
use crate::config::Limits;
use crate::plugins::Plugins;
use crate::session::{Caller, Sessions};
use crate::store::{InboxLane, Store, Taken, Waiting};

/// Publications in one delivery, at the most: what a lane of this version sends, with room for later ones.
const MAX_BATCH: usize = 4096;

/// Gaps of which one delivery may tell, and bytes of each reason: more is not logged.
const MOST_GAPS: usize = 16;
const MAX_REASON: usize = 256;
/// Stretches between them that are skipped.
const MAX_SPANS: usize = 4 * MAX_BATCH;

/// Subscriptions that one delivery may be for.
const MAX_ADDRESSEES: usize = 16_384;

/// Stores what is delivered to this instance, answers once it is on disk, and then runs the receivers. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Inbox {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    sessions: Sessions,
    plugins: Plugins,
    causes: Causes,
    links: Links,
    room: Room,
    grants: Grants,
    settings: ReceiverSettings,
    // Held for map operations, never over an await.
    runners: Mutex<HashMap<SubscriptionId, Arc<Wake>>>,
    /// False while the instance is opened by a command: then what waits, waits for the service.
    running: AtomicBool,
    tracker: TaskTracker,
    cancel: CancellationToken,
}

impl Inbox {
    pub(crate) fn new(
        store: Store,
        sessions: Sessions,
        plugins: Plugins,
        causes: Causes,
        links: Links,
        limits: &Limits,
        settings: ReceiverSettings,
    ) -> Self {
        let room = Room::new(store.clone(), limits);
        let grants = Grants::new(store.clone());
        let inner = Inner {
            store,
            sessions,
            plugins,
            causes,
            links,
            room,
            grants,
            settings,
            runners: Mutex::default(),
            running: AtomicBool::new(false),
            tracker: TaskTracker::new(),
            cancel: CancellationToken::new(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Takes up what was stored and not handled before the service stopped, or was killed.
    pub(crate) async fn start(&self) -> Result<(), Failure> {
        self.inner.running.store(true, Ordering::Release);
        self.look_again().await
    }

    /// Something waits that has not come with a delivery.
    pub(crate) async fn look_again(&self) -> Result<(), Failure> {
        self.inner.room.forget();
        if !self.inner.running.load(Ordering::Acquire) {
            return Ok(());
        }
        for lane in self.inner.store.subscriptions_with_waiting().await? {
            self.wake(lane).anew();
        }
        Ok(())
    }

    /// Whether there is no room for what comes for a subscription.
    pub(crate) fn is_full(&self, id: SubscriptionId) -> bool {
        self.inner.room.is_full(id)
    }

    /// Stores a delivery for those of its addressees that the caller may deliver to, and for whom there is room. Once this returns, it is on disk.
    pub(crate) async fn deliver(&self, caller: &Caller, delivery: Deliver) -> Result<Stored, Failure> {
        kill_point!("inbox.received");
        let Deliver { to, mut publications, proofs, gaps, skipped } = delivery;
        if publications.is_empty() && skipped.is_empty() {
            return Ok(Stored::default());
        }
        if publications.len() > MAX_BATCH || to.len() > MAX_ADDRESSEES || skipped.len() > MAX_SPANS {
            let message = "too many publications, stretches or addressees in one delivery";
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        let of = publications.first().map(|first| first.action.clone());
        // Authorization first: nothing is verified or stored for somebody who may not deliver.
        let grants = self.inner.grants.of(to.iter().map(|to| to.subscription).collect());
        let (evidence, grants) = tokio::try_join!(self.inner.sessions.evidence(caller), grants)?;
        let (mut allowed, mut refused, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
        for (addressee, grant) in to.into_iter().zip(grants) {
            let may = |grant: Arc<Grant>| grant.check(&evidence, addressee.subscription, of.as_ref()).map(|()| grant);
            match grant.ok_or_else(revoked).and_then(may) {
                Ok(grant) => {
                    let held = &grant.held;
                    // What is skipped takes no room.
                    if of.is_some()
                        && let Err(full) = self.inner.room.check(addressee.subscription, held.peer).await?
                    {
                        refused.push(refusal(addressee.subscription, full));
                        continue;
                    }
                    lanes.push(InboxLane {
                        subscription: addressee.subscription,
                        publisher: caller.issuer(),
                        action: held.action.clone(),
                        receiver: held.receiver.clone(),
                    });
                    allowed.push(addressee);
                }
                Err(failure) => refused.push(refusal(addressee.subscription, failure)),
            }
        }
        if allowed.is_empty() {
            return Ok(Stored { refused, ..Stored::default() });
        }
        let verifier = Verifier::default();
        let mut former = Former::new(&self.inner.store, caller.identity.clone());
        for (group, proof) in shown(&mut publications, &proofs)? {
            verifier.verify(former.key(group[0].issuer).await?, group, proof)?;
            // Whoever published it is who delivers it, whatever the key was then.
            group.iter_mut().for_each(|publication| publication.issuer = caller.issuer());
        }
        for Gap { sequence, reason } in gaps.into_iter().take(MOST_GAPS) {
            let (publisher, reason) = (caller.issuer(), &reason[..reason.floor_char_boundary(MAX_REASON)]);
            let action = of.as_ref().map(ToString::to_string);
            tracing::warn!(%publisher, action, sequence, reason, "a gap: a publication cannot be delivered here");
        }
        let mut stored = self.store(publications, skipped, allowed).await?;
        stored.refused.append(&mut refused);
        for lane in lanes {
            self.wake(lane).more();
        }
        Ok(stored)
    }

    async fn store(
        &self,
        publications: Vec<Publication>,
        skipped: Vec<Span>,
        to: Vec<Addressee>,
    ) -> Result<Stored, Failure> {
        let has_skipped = !skipped.is_empty();
        let sizes: Vec<_> =
            publications.iter().map(|publication| Waiting::bytes_of(publication.payload.get())).collect();
        kill_point!("inbox.before-store");
        let taken = self.inner.store.store_delivery(publications, skipped, to).await?;
        kill_point!("inbox.stored");
        let (mut refused, mut behind, mut ahead) = (Vec::new(), Vec::new(), Vec::new());
        for (subscription, taken) in taken {
            match taken {
                Taken::Stored { new, missed, gone, .. } => {
                    // What is new are the last ones.
                    let sizes = sizes.iter().rev().take(usize::try_from(new).unwrap_or(usize::MAX));
                    self.inner.room.add(subscription, Waiting { count: signed(new), bytes: sizes.sum() });
                    if missed > 0 {
                        tracing::warn!(%subscription, missed, "a gap: the publisher no longer had these publications when it could deliver");
                    }
                    if gone > 0 {
                        ahead.push(Ahead { subscription, count: gone });
                        tracing::warn!(%subscription, gone,
                            "the publisher was restored from a backup: it no longer knows these publications, and gives their numbers to others");
                    }
                }
                Taken::Behind(place) => behind.push(Reached { subscription, place }),
                Taken::Unknown => refused.push(refusal(subscription, revoked())),
                Taken::OtherLog => refused.push(refusal(
                    subscription,
                    Failure::new(ErrorCode::NotPermitted, "the subscription is to another action"),
                )),
            }
        }
        Ok(Stored { refused, behind, ahead, skipped: has_skipped })
    }

    /// What wakes the runner of a subscription, which runs its receiver for what waits.
    fn wake(&self, lane: InboxLane) -> Arc<Wake> {
        let mut runners = self.runners();
        if let Some(wake) = runners.get(&lane.subscription) {
            return wake.clone();
        }
        let wake = Arc::new(Wake::default());
        runners.insert(lane.subscription, wake.clone());
        drop(runners);
        let runner = Runner {
            store: self.inner.store.clone(),
            plugins: self.inner.plugins.clone(),
            causes: self.inner.causes.clone(),
            links: self.inner.links.clone(),
            room: self.inner.room.clone(),
            settings: self.inner.settings.clone(),
            lane,
            wake: wake.clone(),
        };
        self.inner.tracker.spawn(runner.run(self.inner.cancel.clone()));
        wake
    }

    /// Starts no more receivers, and waits for those that run. What they have not finished is handled at the next
    /// start.
    pub(crate) async fn close(&self) {
        self.inner.cancel.cancel();
        self.inner.tracker.close();
        self.inner.tracker.wait().await;
        self.runners().clear();
    }

    fn runners(&self) -> MutexGuard<'_, HashMap<SubscriptionId, Arc<Wake>>> {
        self.inner.runners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn revoked() -> Failure {
    Failure::new(ErrorCode::TokenRevoked, "the subscription has ended")
}

fn refusal(subscription: SubscriptionId, failure: Failure) -> Refused {
    Refused {
        subscription,
        code: failure.code.number(),
        message: failure.message,
        retry_after_ms: failure.retry_after_ms,
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
