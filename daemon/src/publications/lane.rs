use std::sync::Arc;
use std::time::{Duration, Instant};

use coattail::id::SubscriptionId;
use coattail::kill_point;
use coattail::rpc::Session;
use coattail::wire::peer::{Addressee, Deliver, Gap, Reached, Refused, Stored};
use coattail::wire::places::Move;
use coattail::wire::{ErrorCode, Failure, Span};
use jiff::Timestamp;
use tokio::time::timeout_at;
use tokio_util::sync::CancellationToken;

use super::delivery::{Delivery, LaneKey};
use super::gaps::Gaps;
use super::lanes::Wake;
use super::turns::{Turn, Turns};
use crate::config::RetrySchedule;
use crate::session::Sessions;
use crate::store::{Advance, Member, Reader, Store, Stretch};

/// Publications in one delivery, at the most.
const BATCH: usize = 512;

/// Bytes of payload in one delivery beyond the first publication: what is lost with a connection is sent again, and while
/// one is on its way the next is held.
const BATCH_BYTES: usize = 512 * 1024;

/// How often the log is looked at for one delivery, as long as nothing in it is for the subscriber: it moves on over a long
/// run of what is for others with few messages, and is told now and then.
const LOOKS: usize = 16;

/// Subscriptions in one delivery, at the most; the others have the next turn.
const ADDRESSEES: usize = 4096;

/// So many always find room in a frame beside a publication: a published value has 64 KiB less than a frame.
const FEW_ADDRESSEES: usize = 256;

/// How long a subscriber may take to store a delivery. Its disk may be slow, and much may wait before it.
const STORE_LIMIT: Duration = Duration::from_secs(30);

/// Sends one subscriber the publications of one action that are for it, each subscription from its cursor, in order. Over
/// what is not for it, it moves on.
pub(super) struct Lane {
    pub(super) delivery: Delivery,
    pub(super) store: Store,
    pub(super) sessions: Sessions,
    pub(super) retry: RetrySchedule,
    pub(super) key: LaneKey,
    pub(super) wake: Arc<Wake>,
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
    /// Publications in the next delivery, at the most.
    most: usize,
    /// How much was in the last one.
    sent: usize,
    turns: Turns,
    gaps: Gaps,
    barren: Barren,
    /// What comes after a sequence, read while what is before it was on its way.
    ahead: Option<(u64, Stretch)>,
    /// Subscriptions in the next delivery, at the most.
    addressees: usize,
    /// Whether what is skipped is told in a delivery of its own: the publication behind it is too large.
    apart: bool,
}

impl Lane {
    pub(super) async fn run(self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.deliver()).await;
    }

    async fn deliver(&self) {
        let (mut failures, mut course) = (0_u32, Course::default());
        loop {
            let mut used = None;
            self.delivery.listen(&self.key, &self.wake);
            match self.round(&mut course, &mut used).await {
                Ok(Round::Sent) => (failures, course.most) = (0, BATCH.min(course.most + course.most / 4 + 1)),
                Ok(Round::NextTurn) => course.turns.served([]),
                Ok(Round::UpToDate) => {
                    failures = 0;
                    // A wake that came during the round is kept, so that nothing is overlooked.
                    match course.turns.until() {
                        Some(until) => _ = timeout_at(until.into(), self.wake.told()).await,
                        // What it knows would be gone with it.
                        None if !course.is_forgettable() => self.wake.told().await,
                        None if self.delivery.rest(&self.key, &self.wake) => return,
                        None => {}
                    }
                }
                Ok(Round::Deserted) => return,
                // Nothing was sent that has to be waited out.
                Err(failure) if failure.code == ErrorCode::TooLarge && course.most > 1 => course.shrink(),
                Err(failure) => {
                    failures = failures.saturating_add(1);
                    // Perhaps it was more than the subscriber takes in one frame, in the time it has, or on its disk.
                    let may_be_too_much = matches!(
                        failure.code,
                        ErrorCode::TooLarge | ErrorCode::Lost | ErrorCode::TimedOut | ErrorCode::StorageFull
                    );
                    if used.is_some() && may_be_too_much {
                        course.shrink();
                    }
                    let asked = failure.retry_after_ms.map(Duration::from_millis);
                    let away = self.delivery.note_away();
                    let delay =
                        self.retry.delay(failures, asked, rand::random()).unwrap_or(STORE_LIMIT).max(away.turn());
                    tracing::debug!(subscriber = %self.key.subscriber, action = %self.key.action, %failure, ?delay, "delivery failed");
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
                () = self.wake.told() => {
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
        let LaneKey { subscriber, action, filter } = self.key.clone();
        Ok(self.store.members(subscriber, action, filter).await?)
    }

    fn attached(&self, members: &[Member]) -> Option<Session> {
        members.iter().find_map(|member| self.delivery.attached(member.id))
    }

    async fn round(&self, course: &mut Course, used: &mut Option<Session>) -> Result<Round, Failure> {
        let ahead = course.ahead.take();
        let mut members = self.members().await?;
        let is_deserted = members.is_empty();
        members.retain(|member| !member.paused);
        if let Some((id, place)) = members.iter().find_map(|member| Some((member.id, member.moving?))) {
            let told = self.tell_move(&members, Reached { subscription: id, place }, used).await;
            if let Err(failure) = &told {
                self.store.set_last_error(vec![id], failure.to_string()).await?;
                self.give_up_if_refused(&members, failure).await?;
            }
            return told.map(|()| Round::Sent);
        }
        course.gaps.forget(members.iter().map(|member| member.cursor).min().unwrap_or_default());
        let visits = |id| self.delivery.visit(id);
        let Some(Turn { members, after, is_partial }) = course.turns.next(members, Instant::now(), visits) else {
            if !is_deserted {
                return Ok(Round::UpToDate);
            }
            self.delivery.end_lane(&self.key, &self.wake);
            // Whoever subscribed in this moment has found the old lane: look once more.
            if self.members().await?.is_empty() {
                // Whoever has replaced his key is still subscribed, under the new one.
                if let Some(followed) = self.store.followed(self.key.subscriber).await? {
                    self.delivery.ensure_lane(LaneKey { subscriber: followed.new, ..self.key.clone() });
                }
                return Ok(Round::Deserted);
            }
            self.delivery.ensure_lane(self.key.clone());
            return Ok(Round::Deserted);
        };
        if members.iter().all(|member| member.lag == 0) {
            return Ok(if is_partial { Round::NextTurn } else { Round::UpToDate });
        }
        // First: whoever cannot be reached costs no look into the log.
        let session = match self.session(&members, used).await {
            Ok(session) => session,
            Err(failure) => {
                let ids = members.iter().filter(|member| member.lag > 0).map(|member| member.id).collect();
                self.store.set_last_error(ids, failure.to_string()).await?;
                self.give_up_if_refused(&members, &failure).await?;
                return Err(failure);
            }
        };
        let after = course.after(after);
        let most = if course.turns.is_on_trial(&members) { 1 } else { course.most };
        let stretch = match ahead {
            Some((from, ahead)) if from == after && ahead.publications.len() <= most => ahead,
            _ => self.look(after, most).await?,
        };
        // Order: after the look. Who has replaced his key meanwhile is addressed by the new one, and nothing is skipped for the
        // old; his lane is another.
        if !stretch.skipped.is_empty() && self.members().await?.is_empty() {
            return Ok(Round::Sent);
        }
        let stretch = if course.apart { stretch.before_publications() } else { stretch };
        let Stretch { publications, proofs, skipped, expired, end, more } = stretch;
        if end == 0 {
            return Ok(if is_partial { Round::NextTurn } else { Round::UpToDate });
        }
        let to: Vec<Addressee> = members
            .iter()
            .filter(|member| member.cursor < end)
            .take(course.addressees)
            .map(|member| Addressee { subscription: member.id, after: member.cursor, epoch: member.epoch })
            .collect();
        let (count, last) = (publications.len(), publications.last().map(|publication| publication.sequence));
        course.sent = count + skipped.len();
        let lowest = to.iter().map(|to| to.after).min().unwrap_or(end);
        let gaps = course.gaps.between(lowest, end);
        let delivery = Deliver { to: to.clone(), publications, proofs, gaps: gaps.clone(), skipped: skipped.clone() };
        kill_point!("delivery.before-send");
        // Who is behind the others has the next turn, and goes on from elsewhere.
        let read_on = async { if more && !is_partial { self.look(end, most).await.ok() } else { None } };
        let (answer, next) = tokio::join!(session.call_within(STORE_LIMIT, &delivery), read_on);
        match answer {
            Ok(answer) => {
                course.ahead = next.filter(|next| next.end > 0).map(|next| (end, next));
                (course.addressees, course.apart) = (ADDRESSEES, false);
                course.turns.served(to.iter().map(|to| to.subscription));
                let end = if skipped.is_empty() || answer.skipped {
                    end
                } else {
                    // It knows nothing of what is skipped, and has got as far as the last publication.
                    course.barren.note(last.unwrap_or(after), end);
                    last.unwrap_or(0)
                };
                let moved = |to: &Addressee| moved(to, end, &skipped, &expired, &gaps);
                self.settle(to.iter().map(moved).collect(), answer, &mut course.turns).await?;
                Ok(Round::Sent)
            }
            Err(failure) => {
                let ids: Vec<_> = to.iter().map(|to| to.subscription).collect();
                self.store.set_last_error(ids, failure.to_string()).await?;
                if failure.code == ErrorCode::TooLarge && course.gives_way(to.len(), last, &skipped) {
                    return Ok(Round::Sent);
                }
                if let (ErrorCode::TooLarge, 1, Some(sequence)) = (failure.code, count, last) {
                    tracing::error!(subscriber = %self.key.subscriber, action = %self.key.action, sequence, %failure,
                        "a gap: the subscriber does not take a publication of this size");
                    course.gaps.note(after, Gap { sequence, reason: failure.message });
                    return Ok(Round::Sent);
                }
                self.give_up_if_refused(&members, &failure).await?;
                Err(failure)
            }
        }
    }

    /// What comes next in the log, until there is something in it for the subscriber.
    async fn look(&self, after: u64, most: usize) -> Result<Stretch, Failure> {
        let LaneKey { subscriber, action, filter } = self.key.clone();
        let reader = Reader { action, subscriber, filter };
        let look = async |after| {
            let now = Timestamp::now().as_millisecond();
            self.store.stretch(reader.clone(), after, now, most, BATCH_BYTES).await
        };
        let mut stretch = look(after).await?;
        for _ in 1..LOOKS {
            if !stretch.more || !stretch.publications.is_empty() || stretch.skipped.len() > BATCH {
                break;
            }
            let next = look(stretch.end).await?;
            stretch.append(next);
        }
        Ok(stretch)
    }

    /// Has a subscription go on from elsewhere, as the owner wants: before anything else is delivered to it. Once the
    /// subscriber has it on disk, the cursor follows; after a kill in between it is told again, and finds nothing to do.
    async fn tell_move(&self, members: &[Member], reached: Reached, used: &mut Option<Session>) -> Result<(), Failure> {
        let session = self.session(members, used).await?;
        let Reached { subscription: id, place } = reached;
        match session.call_within(STORE_LIMIT, &Move { reached }).await {
            Ok(_) => self.store.moved(id, place).await?,
            Err(failure) if failure.is_temporary() => return Err(failure),
            Err(failure) if failure.code == ErrorCode::TokenRevoked => self.end(id, &failure).await?,
            // Nor would it be done next time.
            Err(failure) => {
                tracing::warn!(subscription = %id, subscriber = %self.key.subscriber, %failure,
                    "the subscriber does not go on from elsewhere");
                self.store.give_up_move(id, place, failure.to_string()).await?;
            }
        }
        self.delivery.note_moved();
        Ok(())
    }

    /// The session that the subscriber attached, else one that we dial.
    async fn session(&self, members: &[Member], used: &mut Option<Session>) -> Result<Session, Failure> {
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
        Ok(session)
    }

    /// Moves the cursors of those that have stored it, has those wait that have not, and ends the subscriptions that are
    /// over at the subscriber.
    async fn settle(&self, to: Vec<Advance>, answer: Stored, turns: &mut Turns) -> Result<(), Failure> {
        let Stored { refused, mut behind, ahead, skipped: _ } = answer;
        let is_addressed = |id| to.iter().any(|to| to.subscription == id);
        let refused: Vec<_> = refused
            .into_iter()
            .map(|Refused { subscription, code, message, retry_after_ms }| {
                let failure = Failure::new(ErrorCode::from_number(code), message);
                (subscription, Failure { retry_after_ms, ..failure })
            })
            .collect();
        behind.retain(|behind| is_addressed(behind.subscription));
        let has_refused = |id| {
            refused.iter().any(|(refused, _)| *refused == id) || behind.iter().any(|behind| behind.subscription == id)
        };
        let stored: Vec<_> = to.iter().copied().filter(|to| !has_refused(to.subscription)).collect();
        if !stored.is_empty() {
            stored.iter().for_each(|stored| turns.stored(stored.subscription));
            kill_point!("delivery.answered");
            self.store.advance_cursors(stored).await?;
            kill_point!("delivery.cursor-moved");
            self.delivery.note_moved();
        }
        for ahead in ahead.into_iter().filter(|ahead| is_addressed(ahead.subscription)) {
            self.delivery.note_ahead(self.key.subscriber, ahead).await?;
        }
        // As after a failure, with a pause: who never has what it was given costs no more than one that fails.
        let failed = (!behind.is_empty())
            .then(|| Failure::new(ErrorCode::Failed, "the subscriber lacks what it had stored, and gets it again"));
        self.delivery.set_back(self.key.subscriber, behind).await?;
        for (id, failure) in refused.iter().filter(|(id, _)| is_addressed(*id)) {
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
        failed.map_or(Ok(()), Err)
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
        tracing::warn!(subscription = %id, subscriber = %self.key.subscriber, action = %self.key.action, why = %failure,
            "the subscriber has ended the subscription");
        self.store.remove_subscription(id).await?;
        self.delivery.detach(id, &self.key);
        Ok(())
    }
}

impl Default for Course {
    fn default() -> Self {
        let (turns, gaps, barren) = (Turns::default(), Gaps::default(), Barren::default());
        Self { most: BATCH, sent: BATCH, turns, gaps, barren, ahead: None, addressees: ADDRESSEES, apart: false }
    }
}

impl Course {
    /// From where on there may be something for a subscription that has got so far.
    fn after(&self, cursor: u64) -> u64 {
        self.gaps.after(self.barren.after(self.gaps.after(cursor)))
    }

    /// The last delivery was too much: the next has half of it.
    fn shrink(&mut self) {
        self.most = (self.most.min(self.sent) / 2).max(1);
    }

    /// Whether it would be found out again without being asked for.
    fn is_forgettable(&self) -> bool {
        self.gaps.is_empty() && self.barren == Barren::default()
    }

    /// Whether a delivery of one publication that is too large may be small enough without what is in it beside.
    fn gives_way(&mut self, to: usize, last: Option<u64>, skipped: &[Span]) -> bool {
        let before = (self.addressees, self.apart);
        if to > FEW_ADDRESSEES {
            self.addressees = FEW_ADDRESSEES;
        }
        self.apart |= skipped.iter().any(|span| last.is_some_and(|last| span.first < last));
        before != (self.addressees, self.apart)
    }
}

/// A stretch of the log in which nothing is for a subscriber that cannot be told so, since its version knows nothing of
/// what is skipped. Its cursor stays behind until there is something for it, and then passes over a gap. This is what
/// keeps the same from being looked at again and again; after a restart it is, once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Barren {
    after: u64,
    end: u64,
}

impl Barren {
    /// From where on there may be something for a subscription that has got so far.
    fn after(self, cursor: u64) -> u64 {
        if (self.after..self.end).contains(&cursor) { self.end } else { cursor }
    }

    fn note(&mut self, after: u64, end: u64) {
        let after = if after == self.end { self.after } else { after };
        *self = Self { after, end };
    }
}

/// How far a subscription gets with a delivery.
fn moved(to: &Addressee, end: u64, skipped: &[Span], expired: &[u64], gaps: &[Gap]) -> Advance {
    let within = |span: &Span| (span.last.min(end) + 1).saturating_sub(span.first.max(to.after + 1));
    let expired = expired.iter().filter(|&&sequence| to.after < sequence && sequence <= end).count() as u64;
    let missed = gaps.iter().filter(|gap| to.after < gap.sequence && gap.sequence <= end).count() as u64;
    let skipped = skipped.iter().map(within).sum::<u64>() + missed;
    Advance { subscription: to.subscription, from: Some(to.after), to: end, skipped, expired }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_barren_is_not_looked_at_again() {
        let mut barren = Barren::default();
        assert_eq!([0, 7].map(|cursor| barren.after(cursor)), [0, 7]);
        barren.note(5, 90);
        assert_eq!([4, 5, 89, 90, 91].map(|cursor| barren.after(cursor)), [4, 90, 90, 90, 91]);
        barren.note(90, 99);
        assert_eq!(barren.after(5), 99);
        barren.note(120, 130);
        assert_eq!([5, 120].map(|cursor| barren.after(cursor)), [5, 130]);
    }

    #[test]
    fn what_was_skipped_counts_for_those_who_had_not_passed_it() {
        let span = |first, last| Span { epoch: 0, first, last };
        let (skipped, expired) = ([span(2, 4), span(6, 9)], [3, 7]);
        for (after, end, counts) in [(0, 9, (7, 2)), (3, 9, (5, 1)), (7, 9, (2, 0)), (0, 5, (3, 1)), (0, 0, (0, 0))] {
            let to = Addressee { subscription: SubscriptionId::new(), after, epoch: 0 };
            let moved = moved(&to, end, &skipped, &expired, &[]);
            assert_eq!((moved.skipped, moved.expired), counts, "from {after} to {end}");
        }
    }
}
