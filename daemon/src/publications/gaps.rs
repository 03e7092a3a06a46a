use std::collections::VecDeque;

use coattail::wire::peer::Gap;

/// What a subscriber cannot be given, and what it is told of that.
///
/// Nothing is written down: the cursor stays before a gap until something behind it was delivered, and the subscriber
/// counts what it has missed then. After a restart the same is found out again.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    gaps: VecDeque<Gap>,
}

/// How many are remembered: whoever has more of them in a row is told of the last.
const MOST: usize = 256;

impl Gaps {
    /// From where on there may be something for a subscription that has got so far.
    pub(super) fn after(&self, cursor: u64) -> u64 {
        self.gaps.iter().fold(cursor, |after, gap| if gap.sequence == after + 1 { gap.sequence } else { after })
    }

    /// A publication cannot be delivered. In ascending order, but for what is found out again.
    pub(super) fn note(&mut self, gap: Gap) {
        self.gaps.retain(|known| known.sequence < gap.sequence);
        if self.gaps.len() == MOST {
            self.gaps.pop_front();
        }
        self.gaps.push_back(gap);
    }

    /// Those between two sequences.
    pub(super) fn between(&self, after: u64, before: u64) -> Vec<Gap> {
        self.gaps.iter().filter(|gap| after < gap.sequence && gap.sequence < before).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_passed_over_and_told() {
        let mut gaps = Gaps::default();
        let gap = |sequence| Gap { sequence, reason: String::new() };
        [3, 4, 7].map(gap).into_iter().for_each(|gap| gaps.note(gap));
        assert_eq!([1, 2, 3, 4, 5, 6, 7].map(|cursor| gaps.after(cursor)), [1, 4, 4, 4, 5, 7, 7]);
        assert_eq!(gaps.between(2, 7), [gap(3), gap(4)]);
        gaps.note(gap(4));
        assert_eq!(gaps.between(0, 100), [gap(3), gap(4)]);
        (10..10 + 2 * MOST as u64).map(gap).for_each(|gap| gaps.note(gap));
        assert_eq!(gaps.between(0, u64::MAX).len(), MOST);
    }
}
