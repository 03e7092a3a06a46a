use std::sync::Arc;
use std::time::{Duration, Instant};

use coattail::id::{IssuerHash, SubscriptionId};
use coattail::name::ActionName;
use coattail::rpc::Session;
use coattail::wire::peer::{Addressee, Deliver, Gap, Refused, Stored};
use coattail::wire::{ErrorCode, Failure};
use tokio::sync::Notify;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;
use super::gaps::Gaps;
use super::turns::{Turn, Turns};
use crate::config::RetrySchedule;
use crate::session::Sessions;
use crate::store::{Member, Store};

/// Publications in one delivery, at the most.
const BATCH: usize = 512;

/// Bytes of payload in one delivery beyond the first publication: what is lost with a connection is sent again.
const BATCH_BYTES: usize = 1024 * 1024;

/// Subscriptions in one delivery, at the most; the others have the next turn.
const ADDRESSEES: usize = 4096;

/// So many always find room in a frame beside a publication: a published value has 64 KiB less than a frame.
const FEW_ADDRESSEES: usize = 256;

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
    /// Every subscription that does not wait has everything, or is paused.
    UpToDate,
    /// Those whose turn it was have everything; others may lack something.
    NextTurn,
    /// Nobody is subscribed any more.
    Deserted,
}

/// What a lane keeps in mind from round to round.
struct Course {
    turns: Turns,
    gaps: Gaps,
    addressees: usize,
}

impl Lane {
    pub(super) async fn run(self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.deliver()).await;
    }

    async fn deliver(&self) {
        let (mut failures, mut most, mut course) =
            (0_u32, BATCH, Course { turns: Turns::default(), gaps: Gaps::default(), addressees: ADDRESSEES });
        loop {
            let mut used = None;
            match self.round(most, &mut course, &mut used).await {
                Ok(Round::Sent) => (failures, most) = (0, BATCH.min(most + 1)),
                Ok(Round::NextTurn) => course.turns.served([]),
                Ok(Round::UpToDate) => {
                    failures = 0;
                    // A wake that came during the round is kept, so that nothing is overlooked.
                    match course.turns.until() {
                        Some(until) => _ = timeout_at(until.into(), self.wake.notified()).await,
                        None => self.wake.notified().await,
                    }
                }
                Ok(Round::Deserted) => return,
                // Nothing was sent that has to be waited out.
                Err(failure) if failure.code == ErrorCode::TooLarge && most > 1 => most /= 2,
                Err(failure) => {
                    failures = failures.saturating_add(1);
                    // Perhaps it was more than the subscriber takes in one frame, or in the time it has.
                    if matches!(failure.code, ErrorCode::TooLarge | ErrorCode::Lost | ErrorCode::TimedOut) {
                        most = (most / 2).max(1);
                    }
                    let asked = failure.retry_after_ms.map(Duration::from_millis);
                    let delay = self.retry.delay(failures, asked, rand::random()).unwrap_or(STORE_LIMIT);
                    tracing::debug!(subscriber = %self.subscriber, action = %self.action, %failure, ?delay, "delivery failed");
                    for member in self.members().await.unwrap_or_default() {
                        self.delivery.note_next(member.id, delay);
                    }
                    self.wait_out(delay, used).await;
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

    async fn members(&self) -> Result<Vec<Member>, Failure> {
        Ok(self.store.members(self.subscriber, self.action.clone()).await?)
    }

    fn attached(&self, members: &[Member]) -> Option<Session> {
        members.iter().find_map(|member| self.delivery.attached(member.id))
    }

    async fn round(&self, most: usize, course: &mut Course, used: &mut Option<Session>) -> Result<Round, Failure> {
        let Course { turns, gaps, addressees } = course;
        let mut members = self.members().await?;
        let is_deserted = members.is_empty();
        members.retain(|member| !member.paused);
        let visits = |id| self.delivery.visit(id);
        let Some(Turn { members, after, is_partial }) = turns.next(members, Instant::now(), visits) else {
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
        let most = if turns.is_on_trial(&members) { 1 } else { most };
        let after = gaps.after(after);
        let publications = self.store.batch(self.action.clone(), after, most, BATCH_BYTES).await?;
        let count = publications.len();
        let Some(last) = publications.last().map(|publication| publication.sequence) else {
            return Ok(if is_partial { Round::NextTurn } else { Round::UpToDate });
        };
        let to: Vec<Addressee> = members
            .iter()
            .filter(|member| member.cursor < last)
            .take(*addressees)
            .map(|member| Addressee { subscription: member.id, after: member.cursor, epoch: member.epoch })
            .collect();
        let lowest = to.iter().map(|to| to.after).min().unwrap_or(last);
        let delivery = Deliver { to: to.clone(), publications, gaps: gaps.between(lowest, last) };
        match self.send(&members, delivery, used).await {
            Ok(answer) => {
                *addressees = ADDRESSEES;
                turns.served(to.iter().map(|to| to.subscription));
                self.settle(&to, last, answer, turns).await
            }
            Err(failure) => {
                let ids: Vec<_> = to.iter().map(|to| to.subscription).collect();
                self.store.set_last_error(ids, failure.to_string()).await?;
                if failure.code == ErrorCode::TooLarge && to.len() > FEW_ADDRESSEES {
                    *addressees = FEW_ADDRESSEES;
                    return Ok(Round::Sent);
                }
                if failure.code == ErrorCode::TooLarge && count == 1 {
                    tracing::error!(subscriber = %self.subscriber, action = %self.action, sequence = last, %failure,
                        "a gap: the subscriber does not take a publication of this size");
                    gaps.note(Gap { sequence: last, reason: failure.message });
                    return Ok(Round::Sent);
                }
                self.give_up_if_refused(&members, &failure).await?;
                Err(failure)
            }
        }
    }

    /// Over the session that the subscriber attached, else over one that we dial.
    async fn send(&self, members: &[Member], delivery: Deliver, used: &mut Option<Session>) -> Result<Stored, Failure> {
        let session = match self.attached(members) {
            Some(session) => session,
            None => {
                let first = members.first().expect("there is nothing to send to nobody").id;
                let gone = || Failure::new(ErrorCode::NotFound, "the subscription has just ended");
                let first = self.store.subscription(first).await?.ok_or_else(gone)?.subscription;
                self.sessions.get_or_dial(&self.sessions.target(&first.jwt, first.issuer).await?).await?
            }
        };
        *used = Some(session.clone());
        session.call_within(STORE_LIMIT, &delivery).await
    }

    /// Moves the cursors of those that have stored it, has those wait that have not, and ends the subscriptions that are
    /// over at the subscriber.
    async fn settle(&self, to: &[Addressee], last: u64, answer: Stored, turns: &mut Turns) -> Result<Round, Failure> {
        let Stored { refused, mut behind, ahead } = answer;
        let refused: Vec<_> = refused
            .into_iter()
            .map(|Refused { subscription, code, message, retry_after_ms }| {
                let failure = Failure::new(ErrorCode::from_number(code), message);
                (subscription, Failure { retry_after_ms, ..failure })
            })
            .collect();
        behind.retain(|behind| to.iter().any(|to| to.subscription == behind.subscription));
        let has_refused = |id| {
            refused.iter().any(|(refused, _)| *refused == id) || behind.iter().any(|behind| behind.subscription == id)
        };
        let stored: Vec<_> =
            to.iter().map(|to| to.subscription).filter(|&id| !has_refused(id)).map(|id| (id, last)).collect();
        if !stored.is_empty() {
            stored.iter().for_each(|(id, _)| turns.stored(*id));
            self.store.advance_cursors(stored).await?;
        }
        for ahead in ahead.into_iter().filter(|ahead| to.iter().any(|to| to.subscription == ahead.subscription)) {
            self.delivery.note_ahead(self.subscriber, ahead).await?;
        }
        // As after a failure, with a pause: who never has what it was given costs no more than one that fails.
        let failed = (!behind.is_empty())
            .then(|| Failure::new(ErrorCode::Failed, "the subscriber lacks what it had stored, and gets it again"));
        self.delivery.set_back(self.subscriber, behind).await?;
        for (id, failure) in refused.iter().filter(|(id, _)| to.iter().any(|to| to.subscription == *id)) {
            if failure.code == ErrorCode::TokenRevoked {
                self.end(*id, failure).await?;
            } else {
                self.store.set_last_error(vec![*id], failure.to_string()).await?;
                let asked = failure.retry_after_ms.map(Duration::from_millis);
                let delay = turns.refused(*id, &self.retry, asked, self.delivery.visit(*id), Instant::now());
                tracing::debug!(subscription = %id, %failure, ?delay, "a subscription did not take a delivery");
                self.delivery.note_next(*id, delay);
            }
        }
        failed.map_or(Ok(Round::Sent), Err)
    }

    /// The token with which we dialled is not accepted: that one subscription is over. The others may still be good,
    /// and the next round dials with the next of them.
    async fn give_up_if_refused(&self, members: &[Member], failure: &Failure) -> Result<(), Failure> {
        match members.first() {
            Some(first) if failure.code == ErrorCode::TokenRevoked => self.end(first.id, failure).await,
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
