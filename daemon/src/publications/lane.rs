use std::sync::Arc;
use std::time::Duration;

use coattail::id::{IssuerHash, SubscriptionId};
use coattail::name::ActionName;
use coattail::rpc::Session;
use coattail::wire::peer::{Addressee, Deliver, Reached, Stored};
use coattail::wire::places::Move;
use coattail::wire::{ErrorCode, Failure};
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;
use crate::config::RetrySchedule;
use crate::session::Sessions;
use crate::store::{Store, SubscriptionState};

/// Publications in one delivery, at the most.
const BATCH: usize = 512;

/// Bytes of payload in one delivery beyond the first publication: what is lost with a connection is sent again.
const BATCH_BYTES: usize = 1024 * 1024;

/// How long a subscriber may take to store a delivery. Its disk may be slow, and much may wait before it.
const STORE_LIMIT: Duration = Duration::from_secs(30);

/// Sends one subscriber the publications of one action, each subscription from its cursor, in order.
pub(super) struct Lane {
    pub(super) delivery: Delivery,
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    pub(super) retry: RetrySchedule,
    pub(super) subscriber: IssuerHash,
    pub(super) action: ActionName,
    pub(super) wake: Arc<Notify>,
}

/// What came of one round.
enum Round {
    /// Something was sent; there may be more.
    Sent,
    /// Every subscription has everything, or is paused.
    UpToDate,
    /// Nobody is subscribed any more.
    Deserted,
}

impl Lane {
    pub(super) async fn run(self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.deliver()).await;
    }

    async fn deliver(&self) {
        let (mut failures, mut most) = (0_u32, BATCH);
        loop {
            let mut used = None;
            match self.round(most, &mut used).await {
                Ok(Round::Sent) => (failures, most) = (0, BATCH.min(most + 1)),
                Ok(Round::UpToDate) => {
                    failures = 0;
                    // A wake that came during the round is kept, so that nothing is overlooked.
                    self.wake.notified().await;
                }
                Ok(Round::Deserted) => return,
                Err(failure) => {
                    failures = failures.saturating_add(1);
                    // Perhaps it was more than the subscriber takes in one frame, or in the time it has.
                    if matches!(failure.code, ErrorCode::TooLarge | ErrorCode::Lost | ErrorCode::TimedOut) {
                        most = (most / 2).max(1);
                    }
                    let asked = failure.retry_after_ms.map(Duration::from_millis);
                    let delay = self.retry.delay(failures, asked, rand::random()).unwrap_or(STORE_LIMIT);
                    tracing::debug!(subscriber = %self.subscriber, action = %self.action, %failure, ?delay, "delivery failed");
                    self.delivery.note_next(self.subscriber, &self.action, Some(Timestamp::now() + delay));
                    self.wait_out(delay, used).await;
                    self.delivery.note_next(self.subscriber, &self.action, None);
                }
            }
        }
    }

    /// Waits, or until the subscriber comes by itself, over another session than that which was used. New publications
    /// do not cut the wait short.
    async fn wait_out(&self, delay: Duration, used: Option<Session>) {
        let over = tokio::time::sleep(delay);
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                () = &mut over => return,
                () = self.wake.notified() => {
                    let is_new = |now: Session| used.as_ref().is_none_or(|used| !used.is_same(&now));
                    let has_come = match self.members().await {
                        Ok(members) => members.is_empty() || self.attached(&members).is_some_and(is_new),
                        Err(_) => false,
                    };
                    if has_come {
                        return;
                    }
                }
            }
        }
    }

    async fn members(&self) -> Result<Vec<SubscriptionState>, Failure> {
        let mut members = self.store.subscriptions_of(self.subscriber).await?;
        members.retain(|member| member.subscription.action == self.action);
        Ok(members)
    }

    fn attached(&self, members: &[SubscriptionState]) -> Option<Session> {
        members.iter().find_map(|member| self.delivery.attached(member.subscription.id))
    }

    async fn round(&self, most: usize, used: &mut Option<Session>) -> Result<Round, Failure> {
        let mut members = self.members().await?;
        let is_deserted = members.is_empty();
        members.retain(|member| !member.paused);
        let Some(after) = members.iter().map(|member| member.cursor).min() else {
            if !is_deserted {
                return Ok(Round::UpToDate);
            }
            self.delivery.end_lane(self.subscriber, &self.action, &self.wake);
            // Whoever subscribed in this moment has found the old lane: look once more.
            if self.members().await?.is_empty() {
                // Whoever has replaced his key is still subscribed, under the new one.
                if let Some(followed) = self.store.followed(self.subscriber).await? {
                    self.delivery.ensure_lane(followed.new, self.action.clone());
                }
                return Ok(Round::Deserted);
            }
            self.delivery.ensure_lane(self.subscriber, self.action.clone());
            return Ok(Round::Deserted);
        };
        if let Some((member, to)) = members.iter().find_map(|member| Some((member, member.moving?))) {
            let id = member.subscription.id;
            let told = self.tell_move(&members, Reached { subscription: id, place: to }, used).await;
            if let Err(failure) = &told {
                self.store.set_last_error(id, failure.to_string()).await?;
                self.give_up_if_refused(&members, failure).await?;
            }
            return told.map(|()| Round::Sent);
        }
        let publications = self.store.batch(self.action.clone(), after, most, BATCH_BYTES).await?;
        let Some(last) = publications.last().map(|publication| publication.sequence) else {
            return Ok(Round::UpToDate);
        };
        let to: Vec<Addressee> = members
            .iter()
            .filter(|member| member.cursor < last)
            .map(|member| Addressee { subscription: member.subscription.id, after: member.cursor, epoch: member.epoch })
            .collect();
        match self.send(&members, Deliver { to: to.clone(), publications }, used).await {
            Ok(answer) => self.settle(&to, last, answer).await,
            Err(failure) => {
                for addressee in &to {
                    self.store.set_last_error(addressee.subscription, failure.to_string()).await?;
                }
                self.give_up_if_refused(&members, &failure).await?;
                Err(failure)
            }
        }
    }

    /// Has a subscription go on from elsewhere, as the owner wants: before anything else is delivered to it. Once the
    /// subscriber has it on disk, the cursor follows; after a kill in between it is told again, and finds nothing to do.
    async fn tell_move(
        &self,
        members: &[SubscriptionState],
        reached: Reached,
        used: &mut Option<Session>,
    ) -> Result<(), Failure> {
        let session = self.session(members, used).await?;
        let Reached { subscription: id, place } = reached;
        match session.call_within(STORE_LIMIT, &Move { reached }).await {
            Ok(_) => self.store.moved(id, place).await?,
            Err(failure) if failure.is_temporary() => return Err(failure),
            Err(failure) if failure.code == ErrorCode::TokenRevoked => self.end(id, &failure).await?,
            // Nor would it be done next time.
            Err(failure) => {
                tracing::warn!(subscription = %id, subscriber = %self.subscriber, %failure,
                    "the subscriber does not go on from elsewhere");
                self.store.give_up_move(id, place, failure.to_string()).await?;
            }
        }
        self.delivery.note_moved();
        Ok(())
    }

    async fn send(
        &self,
        members: &[SubscriptionState],
        delivery: Deliver,
        used: &mut Option<Session>,
    ) -> Result<Stored, Failure> {
        self.session(members, used).await?.call_within(STORE_LIMIT, &delivery).await
    }

    /// The session that the subscriber attached, else one that we dial.
    async fn session(&self, members: &[SubscriptionState], used: &mut Option<Session>) -> Result<Session, Failure> {
        let session = match self.attached(members) {
            Some(session) => session,
            None => {
                let first = members.first().expect("a lane without members has ended");
                let target = self.sessions.target(&first.subscription.jwt, first.subscription.issuer).await?;
                self.sessions.get_or_dial(&target).await?
            }
        };
        *used = Some(session.clone());
        Ok(session)
    }

    /// Moves the cursors of those that have stored it, and ends the subscriptions that are over at the subscriber.
    async fn settle(&self, to: &[Addressee], last: u64, answer: Stored) -> Result<Round, Failure> {
        let Stored { refused, mut behind, ahead } = answer;
        let refused: Vec<_> = refused
            .into_iter()
            .map(|refused| (refused.subscription, Failure::new(ErrorCode::from_number(refused.code), refused.message)))
            .collect();
        behind.retain(|behind| to.iter().any(|to| to.subscription == behind.subscription));
        let has_refused = |id| {
            refused.iter().any(|(refused, _)| *refused == id) || behind.iter().any(|behind| behind.subscription == id)
        };
        let stored: Vec<_> =
            to.iter().filter(|to| !has_refused(to.subscription)).map(|to| (to.subscription, to.after, last)).collect();
        if !stored.is_empty() {
            self.store.advance_cursors(stored).await?;
        }
        for ahead in ahead.into_iter().filter(|ahead| to.iter().any(|to| to.subscription == ahead.subscription)) {
            self.delivery.note_ahead(self.subscriber, ahead).await?;
        }
        // As after a failure, with a pause: who never has what it was given costs no more than one that fails.
        let mut failed = (!behind.is_empty())
            .then(|| Failure::new(ErrorCode::Failed, "the subscriber lacks what it had stored, and gets it again"));
        self.delivery.set_back(self.subscriber, behind).await?;
        for (id, failure) in refused.iter().filter(|(id, _)| to.iter().any(|to| to.subscription == *id)) {
            if failure.code == ErrorCode::TokenRevoked {
                self.end(*id, failure).await?;
            } else {
                self.store.set_last_error(*id, failure.to_string()).await?;
                failed = Some(failure.clone());
            }
        }
        failed.map_or(Ok(Round::Sent), Err)
    }

    /// The token with which we dialled is not accepted: that one subscription is over. The others may still be good,
    /// and the next round dials with the next of them.
    async fn give_up_if_refused(&self, members: &[SubscriptionState], failure: &Failure) -> Result<(), Failure> {
        match members.first() {
            Some(first) if failure.code == ErrorCode::TokenRevoked => self.end(first.subscription.id, failure).await,
            _ => Ok(()),
        }
    }

    async fn end(&self, id: SubscriptionId, failure: &Failure) -> Result<(), Failure> {
        tracing::warn!(subscription = %id, subscriber = %self.subscriber, action = %self.action, why = %failure,
            "the subscriber has ended the subscription");
        self.store.remove_subscription(id).await?;
        self.delivery.detach(id, self.subscriber, &self.action);
        Ok(())
    }
}
