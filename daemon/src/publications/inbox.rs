use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coattail::id::SubscriptionId;
use coattail::wire::peer::{Addressee, Ahead, Deliver, Reached, Refused, Stored};
use coattail::wire::{ErrorCode, Failure, Publication, Span};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::cause::Causes;
use super::runner::{ReceiverSettings, Runner, Wake};
use super::signature::{Former, Verifier};
use crate::plugins::Plugins;
use crate::session::{Caller, Sessions};
use crate::store::{InboxLane, Store, Taken};
use crate::tokens::{Operation, authorize, inspect};

/// Publications in one delivery, at the most: what a lane of this version sends, with room for later ones.
const MAX_BATCH: usize = 4096;

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
        settings: ReceiverSettings,
    ) -> Self {
        let inner = Inner {
            store,
            sessions,
            plugins,
            causes,
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
        if !self.inner.running.load(Ordering::Acquire) {
            return Ok(());
        }
        for lane in self.inner.store.subscriptions_with_waiting().await? {
            self.wake(lane).anew();
        }
        Ok(())
    }

    /// Stores a delivery for those of its addressees that the caller may deliver to. Once this returns, it is on disk.
    pub(crate) async fn deliver(&self, caller: &Caller, delivery: Deliver) -> Result<Stored, Failure> {
        let Deliver { to, mut publications, skipped } = delivery;
        if publications.is_empty() && skipped.is_empty() {
            return Ok(Stored::default());
        }
        if publications.len() > MAX_BATCH || to.len() > MAX_ADDRESSEES || skipped.len() > MAX_SPANS {
            let message = "too many publications, stretches or addressees in one delivery";
            return Err(Failure::new(ErrorCode::TooLarge, message));
        }
        let of = publications.first().map(|first| first.action.clone());
        // Authorization first: nothing is verified or stored for somebody who may not deliver.
        let evidence = self.inner.sessions.evidence(caller).await?;
        let (mut allowed, mut refused, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
        let tokens = self.inner.store.tokens_of(to.iter().map(|to| to.subscription).collect()).await?;
        for (addressee, token) in to.into_iter().zip(tokens) {
            let refuse = |failure: Failure| refusal(addressee.subscription, failure);
            match token {
                None => refused.push(refuse(revoked())),
                Some(token) => {
                    // Our own row: nobody else has written it.
                    let claims = inspect(token.jwt.reveal())?.into_claims();
                    let Some(held) = token.held else {
                        refused.push(refuse(revoked()));
                        continue;
                    };
                    let (subscription, receiver) = (addressee.subscription, &held.receiver);
                    // Without a publication, the publisher speaks of the log that the token is for.
                    let action = of.as_ref().unwrap_or(&held.action);
                    match authorize(&claims, &evidence, &Operation::Deliver { subscription, action, receiver }) {
                        Ok(()) => {
                            lanes.push(InboxLane {
                                subscription: addressee.subscription,
                                publisher: caller.issuer(),
                                action: held.action,
                                receiver: held.receiver,
                            });
                            allowed.push(addressee);
                        }
                        Err(denied) => refused.push(refuse(denied.into())),
                    }
                }
            }
        }
        if allowed.is_empty() {
            return Ok(Stored { refused, ..Stored::default() });
        }
        let verifier = Verifier::default();
        let mut former = Former::new(&self.inner.store, caller.identity.clone());
        for publication in &mut publications {
            verifier.verify(former.key(publication.issuer).await?, publication)?;
            // Whoever published it is who delivers it, whatever the key was then.
            publication.issuer = caller.issuer();
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
        let taken = self.inner.store.store_delivery(publications, skipped, to).await?;
        let (mut refused, mut behind, mut ahead) = (Vec::new(), Vec::new(), Vec::new());
        for (subscription, taken) in taken {
            match taken {
                Taken::Stored { missed, gone, .. } => {
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
    Refused { subscription, code: failure.code.number(), message: failure.message }
}
