use std::collections::VecDeque;

use coattail::wire::peer::Gap;

/// What a subscriber cannot be given, and what it is told of that.
///
/// Nothing is written down: the cursor stays before a gap until something behind it was delivered, and the subscriber
/// counts what it has missed then. After a restart the same is found out again.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    /// In ascending order, each behind the cursor to which it is the next.
    gaps: VecDeque<(u64, Gap)>,
}

/// How many are remembered: whoever has more of them in a row is told of the last.
const MOST: usize = 256;

impl Gaps {
    /// From where on there may be something for a subscription that has got so far.
    pub(super) fn after(&self, cursor: u64) -> u64 {
        let pass = |cursor, (after, gap): &(u64, Gap)| {
            if (*after..gap.sequence).contains(&cursor) { gap.sequence } else { cursor }
        };
        self.gaps.iter().fold(cursor, pass)
    }

    /// A publication cannot be delivered, and is the next after this cursor.
    pub(super) fn note(&mut self, after: u64, gap: Gap) {
        self.gaps.retain(|(_, known)| known.sequence < gap.sequence);
        if self.gaps.len() == MOST {
            self.gaps.pop_front();
        }
        self.gaps.push_back((after, gap));
    }

    /// All subscriptions have got so far.
    pub(super) fn forget(&mut self, cursor: u64) {
        self.gaps.retain(|(_, gap)| cursor < gap.sequence);
    }

    /// Whether there is none that somebody has to be told of.
    pub(super) fn is_empty(&self) -> bool {
        self.gaps.is_empty()
    }

    /// Those between two sequences.
    pub(super) fn between(&self, after: u64, before: u64) -> Vec<Gap> {
        let gaps = self.gaps.iter().map(|(_, gap)| gap);
        gaps.filter(|gap| after < gap.sequence && gap.sequence < before).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_passed_over_and_told() {
        let mut gaps = Gaps::default();
        let gap = |sequence| Gap { sequence, reason: String::new() };
        // What is between 4 and 7 is not kept any more.
        for (after, sequence) in [(2, 3), (3, 4), (4, 7)] {
            gaps.note(after, gap(sequence));
        }
        assert_eq!([1, 2, 3, 4, 5, 7, 8].map(|cursor| gaps.after(cursor)), [1, 7, 7, 7, 7, 7, 8]);
        assert_eq!(gaps.between(2, 7), [gap(3), gap(4)]);
        gaps.note(3, gap(4));
        assert_eq!(gaps.between(0, 100), [gap(3), gap(4)]);
        gaps.forget(3);
        assert_eq!((gaps.between(0, 100), gaps.is_empty()), (vec![gap(4)], false));
        gaps.forget(4);
        assert!(gaps.is_empty());
        (10..10 + 2 * MOST as u64).for_each(|sequence| gaps.note(sequence - 1, gap(sequence)));
        assert_eq!(gaps.between(0, u64::MAX).len(), MOST);
    }
}
