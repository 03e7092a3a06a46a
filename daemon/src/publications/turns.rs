use std::collections::HashMap;
use std::time::{Duration, Instant};

use coattail::id::SubscriptionId;

use crate::config::RetrySchedule;
use crate::store::Member;

/// Whose turn it is among the subscriptions of a lane: one that is refused waits by itself, and one that is far behind
/// takes turns with those that are not.
#[derive(Default)]
pub(super) struct Turns {
    waiting: HashMap<SubscriptionId, Wait>,
    /// Those of the last round.
    served: Vec<SubscriptionId>,
}

/// One that was refused.
#[derive(Debug)]
struct Wait {
    failures: u32,
    until: Instant,
    /// How often its subscriber had come by then: when it comes again, it is tried at once.
    visits: u64,
}

/// Who is delivered to in a round.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Turn {
    /// Those that wait for nothing, whose cursors are not before `after`.
    pub(super) members: Vec<Member>,
    /// Where the round begins.
    pub(super) after: u64,
    /// Whether others have the next turn, whatever comes of this one.
    pub(super) is_partial: bool,
}

impl Turns {
    /// Chooses from those that are not paused; `None` if there is nobody. `visits` is how often the subscriber has come
    /// with one.
    pub(super) fn next(
        &mut self,
        mut members: Vec<Member>,
        now: Instant,
        visits: impl Fn(SubscriptionId) -> u64,
    ) -> Option<Turn> {
        self.waiting.retain(|id, _| members.iter().any(|member| member.id == *id));
        members.retain(|member| self.waiting.get(&member.id).is_none_or(|wait| wait.is_over(now, visits(member.id))));
        let first = |members: &mut dyn Iterator<Item = &Member>| members.map(|member| member.cursor).min();
        let unserved = |member: &&Member| member.lag > 0 && !self.served.contains(&member.id);
        let all = first(&mut members.iter())?;
        let after = first(&mut members.iter().filter(unserved)).unwrap_or(all);
        let before = members.len();
        members.retain(|member| member.cursor >= after);
        // Of nobody who was not served: then all have had their turn.
        Some(Turn { is_partial: members.len() < before && !self.served.is_empty(), members, after })
    }

    /// These have had their turn.
    pub(super) fn served(&mut self, ids: impl IntoIterator<Item = SubscriptionId>) {
        self.served = ids.into_iter().collect();
    }

    /// One has stored what it was given.
    pub(super) fn stored(&mut self, id: SubscriptionId) {
        self.waiting.remove(&id);
    }

    /// One was refused; returns for how long it waits.
    pub(super) fn refused(
        &mut self,
        id: SubscriptionId,
        retry: &RetrySchedule,
        asked: Option<Duration>,
        visits: u64,
        now: Instant,
    ) -> Duration {
        let wait = self.waiting.entry(id).or_insert(Wait { failures: 0, until: now, visits });
        wait.failures = wait.failures.saturating_add(1);
        // A schedule of dials has no end.
        let delay = retry.delay(wait.failures, asked, rand::random()).unwrap_or_default();
        (wait.until, wait.visits) = (now + delay, visits);
        delay
    }

    /// When the first of those that wait is tried again.
    pub(super) fn until(&self) -> Option<Instant> {
        self.waiting.values().map(|wait| wait.until).min()
    }

    /// Whether one was refused before and is tried again: with little, since it may be refused again.
    pub(super) fn is_on_trial(&self, members: &[Member]) -> bool {
        members.iter().any(|member| self.waiting.contains_key(&member.id))
    }
}

impl Wait {
    fn is_over(&self, now: Instant, visits: u64) -> bool {
        now >= self.until || visits != self.visits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(id: SubscriptionId, cursor: u64) -> Member {
        Member { id, cursor, epoch: 0, lag: 100 - cursor, paused: false }
    }

    #[test]
    fn one_that_is_far_behind_takes_turns_with_the_others() {
        let [far, near, done] = [0; 3].map(|_| SubscriptionId::new());
        let now = Instant::now();
        let mut turns = Turns::default();
        let mut cursors = HashMap::from([(far, 0), (near, 90), (done, 100)]);
        let mut rounds = Vec::new();
        for _ in 0..5 {
            let members = [far, near, done].map(|id| member(id, cursors[&id])).to_vec();
            let turn = turns.next(members, now, |_| 0).unwrap();
            let end = (turn.after + 10).min(100);
            let to: Vec<_> = turn.members.iter().filter(|member| member.cursor < end).map(|member| member.id).collect();
            cursors.extend(to.iter().map(|id| (*id, end)));
            turns.served(to.clone());
            rounds.push((turn.after, to, turn.is_partial));
        }
        let expected = [
            (0, vec![far], false),
            (90, vec![near], true),
            (10, vec![far], false),
            (20, vec![far], false),
            (30, vec![far], false),
        ];
        assert_eq!(rounds, expected);
    }

    #[test]
    fn one_that_is_refused_waits_alone_until_its_time_or_its_subscriber_comes() {
        let [stuck, fine] = [0; 2].map(|_| SubscriptionId::new());
        let members = || vec![member(stuck, 5), member(fine, 20)];
        let (now, retry) = (Instant::now(), RetrySchedule::dialing(Duration::from_secs(5)));
        let mut turns = Turns::default();
        let delay = turns.refused(stuck, &retry, Some(Duration::from_secs(1)), 3, now);
        assert_eq!((delay, turns.until()), (Duration::from_secs(1), Some(now + delay)));
        let mut next = |now, visits| turns.next(members(), now, |_| visits).unwrap();
        assert_eq!((next(now, 3).after, next(now, 3).members.len()), (20, 1));
        assert_eq!(next(now + delay, 3).after, 5);
        assert_eq!(next(now, 4).after, 5);
        assert!(turns.is_on_trial(&members()));
        turns.stored(stuck);
        assert!(!turns.is_on_trial(&members()) && turns.until().is_none());
        turns.refused(stuck, &retry, None, 0, now);
        assert!(turns.next(vec![member(stuck, 5)], now, |_| 0).is_none());
        assert!(turns.next(vec![member(fine, 5)], now, |_| 0).is_some() && turns.until().is_none(), "it has ended");
    }
}
