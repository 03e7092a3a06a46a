use coattail::wire::{Publication, Span};

use super::Error;

/// What a delivery consists of.
pub(super) enum Step<'d> {
    /// The publication, and its place among those of the delivery.
    Take(&'d Publication, usize),
    /// What is for nobody in it.
    Skip(Span),
}

impl Step<'_> {
    /// Which sequences.
    pub(super) fn span(&self) -> Span {
        match self {
            Self::Take(one, _) => Span { epoch: one.epoch, first: one.sequence, last: one.sequence },
            Self::Skip(span) => *span,
        }
    }
}

/// What was delivered and what was skipped, in the order of the log, if there is one.
pub(super) fn steps<'d>(publications: &'d [Publication], skipped: &[Span]) -> Result<Vec<Step<'d>>, Error> {
    let mut steps: Vec<_> = publications.iter().enumerate().map(|(place, one)| Step::Take(one, place)).collect();
    if !skipped.is_empty() {
        steps.extend(skipped.iter().copied().map(Step::Skip));
        steps.sort_by_key(|step| step.span().first);
        let in_order = |pair: &[Step<'_>]| {
            let [a, b] = pair else { return true };
            let (a, b) = (a.span(), b.span());
            a.last < b.first && a.epoch <= b.epoch
        };
        if !steps.windows(2).all(in_order) || skipped.iter().any(|span| span.last < span.first) {
            return Err(Error::Unordered);
        }
    }
    Ok(steps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::testing::publication;

    #[test]
    fn what_is_skipped_stands_between_publications_and_nowhere_else() {
        let published = [publication("them", "a", 2), publication("them", "a", 5)];
        let span = |epoch, first, last| Span { epoch, first, last };
        let order = |skipped: &[Span]| {
            let steps = steps(&published, skipped).ok()?;
            Some(steps.iter().map(|step| (step.span().first, matches!(step, Step::Take(..)))).collect::<Vec<_>>())
        };
        assert_eq!(order(&[]), Some(vec![(2, true), (5, true)]));
        let mixed = vec![(1, false), (2, true), (3, false), (5, true), (6, false), (9, false)];
        assert_eq!(order(&[span(0, 1, 1), span(0, 3, 4), span(0, 6, 7), span(1, 9, 9)]), Some(mixed));
        for wrong in [
            vec![span(0, 2, 2)],
            vec![span(0, 3, 5)],
            vec![span(0, 1, 6)],
            vec![span(0, 4, 3)],
            vec![span(1, 3, 4)],
            vec![span(0, 6, 8), span(0, 8, 9)],
            vec![span(1, 6, 6), span(0, 7, 7)],
        ] {
            assert_eq!(order(&wrong), None, "{wrong:?}");
        }
    }
}
