use coattail::filter::Filter;
use coattail::id::IssuerHash;
use coattail::name::ActionName;
use coattail::wire::{GroupProof, Place, Publication, Span};
use rusqlite::{Row, params};

use super::audience::Audience;
use super::columns::{parsed_if_any, signed, unsigned};
use super::log::{AUDIENCE, EXPIRES, FROM_THE_LOG, LogReader, PAYLOAD, SEQUENCE};
use super::{Error, Store};

/// For whom a log is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reader {
    /// Whose log.
    pub action: ActionName,
    /// Who gets it.
    pub subscriber: IssuerHash,
    /// Which publications are wanted; absent: all.
    pub filter: Option<Filter>,
}

/// What comes after a place in a log, as one reader gets it.
#[derive(Debug, Clone, Default)]
pub struct Stretch {
    /// What is for the reader, in order.
    pub publications: Vec<Publication>,
    /// What shows who published them.
    pub proofs: Vec<GroupProof>,
    /// What lies before, between and after them, and is not.
    pub skipped: Vec<Span>,
    /// Those of the skipped sequences whose time was over.
    pub expired: Vec<u64>,
    /// The last sequence that was looked at; 0 if there was none.
    pub end: u64,
    /// Whether there may be more after it.
    pub more: bool,
}

impl Store {
    /// What comes after a sequence, in order: at most `max_count` for the reader, and no more payload than `max_bytes`,
    /// but at least one if there is any among those that are looked at. What is not for the reader costs no payload,
    /// unless it takes the filter to find that out. What retention has removed is left out; [`head`](Self::head) tells.
    ///
    /// `now` is in milliseconds.
    pub async fn stretch(
        &self,
        reader: Reader,
        after: u64,
        now: i64,
        max_count: usize,
        max_bytes: usize,
    ) -> Result<Stretch, Error> {
        let issuer = self.issuer();
        self.read(move |db| {
            let Reader { action, subscriber, filter } = reader;
            let mut query = db.prepare_cached(FROM_THE_LOG)?;
            let mut rows = query.query(params![action.as_str(), signed(after), signed(MOST_LOOKED_AT)])?;
            let (mut stretch, mut bytes, mut parsed, mut looked_at) = (Stretch::default(), 0, 0, 0);
            let mut log = LogReader::new(db, issuer, action);
            while let Some(row) = rows.next()? {
                if looked_at > 0 && parsed > MOST_PARSED {
                    stretch.more = true;
                    break;
                }
                looked_at += 1;
                let sequence = unsigned(row, SEQUENCE)?;
                let is_over = row.get::<_, Option<i64>>(EXPIRES)?.is_some_and(|expires| expires <= now);
                // Order: what needs no payload first.
                if is_over || !is_addressed(row, &subscriber)? || !is_wanted(row, filter.as_ref(), &mut parsed)? {
                    if is_over {
                        stretch.expired.push(sequence);
                    }
                    stretch.skip(Place { epoch: log.epoch(row)?, sequence });
                } else {
                    bytes += row.get_ref(PAYLOAD)?.as_str().map_or(0, str::len);
                    if stretch.publications.len() == max_count || bytes > max_bytes && !stretch.publications.is_empty()
                    {
                        stretch.more = true;
                        break;
                    }
                    stretch.publications.push(log.take(row)?);
                }
                stretch.end = sequence;
            }
            stretch.more |= looked_at == MOST_LOOKED_AT;
            stretch.proofs = log.proofs();
            Ok(stretch)
        })
        .await
    }
}

impl Stretch {
    /// What is skipped before the first publication, if there is any; else all of it.
    #[must_use]
    pub fn before_publications(mut self) -> Self {
        let Some(first) = self.publications.first().map(|first| first.sequence) else { return self };
        if self.skipped.first().is_none_or(|span| span.last > first) {
            return self;
        }
        self.skipped.retain(|span| span.last < first);
        self.expired.retain(|sequence| *sequence < first);
        let end = self.skipped.last().map_or(self.end, |span| span.last);
        Self { publications: Vec::new(), proofs: Vec::new(), end, more: true, ..self }
    }

    /// Adds what comes after it.
    pub fn append(&mut self, next: Self) {
        self.publications.extend(next.publications);
        self.proofs.extend(next.proofs);
        for span in next.skipped {
            self.skip_span(span);
        }
        self.expired.extend(next.expired);
        (self.end, self.more) = (self.end.max(next.end), next.more);
    }

    fn skip(&mut self, place: Place) {
        self.skip_span(Span { epoch: place.epoch, first: place.sequence, last: place.sequence });
    }

    /// What touches the last span makes it longer.
    fn skip_span(&mut self, span: Span) {
        match self.skipped.last_mut() {
            Some(last) if last.epoch == span.epoch && last.last + 1 == span.first => last.last = span.last,
            _ => self.skipped.push(span),
        }
    }
}

fn is_addressed(row: &Row<'_>, subscriber: &IssuerHash) -> rusqlite::Result<bool> {
    Ok(parsed_if_any::<Audience>(row, AUDIENCE)?.is_none_or(|audience| audience.includes(subscriber)))
}

/// `parsed` counts the bytes that were read for it.
fn is_wanted(row: &Row<'_>, filter: Option<&Filter>, parsed: &mut usize) -> rusqlite::Result<bool> {
    let Some(filter) = filter else { return Ok(true) };
    let payload = row.get_ref(PAYLOAD)?.as_str()?;
    *parsed += payload.len();
    // What cannot be read is found out, and said, when it is made a publication.
    Ok(serde_json::from_str(payload).map_or(true, |payload| filter.matches(&payload)))
}

/// Rows that are looked at for one answer, and bytes of payload that are parsed beyond the first: some ten milliseconds,
/// then others get their turn.
const MOST_LOOKED_AT: u64 = 4096;
const MOST_PARSED: usize = 1024 * 1024;

#[cfg(test)]
mod tests {

    use super::*;
    use crate::store::Draft;
    use crate::store::testing::{action, issuer, raw, store};

    fn reader(subscriber: &str, filter: Option<&str>) -> Reader {
        let filter = filter.map(|filter| filter.parse().unwrap());
        Reader { action: action("a"), subscriber: issuer(subscriber), filter }
    }

    fn draft(json: &str) -> Draft {
        Draft::new(action("a"), raw(json), 1000)
    }

    fn sequences(stretch: &Stretch) -> Vec<u64> {
        stretch.publications.iter().map(|publication| publication.sequence).collect()
    }

    fn skipped(stretch: &Stretch) -> Vec<(u64, u64)> {
        stretch.skipped.iter().map(|span| (span.first, span.last)).collect()
    }

    #[tokio::test]
    async fn what_is_over_or_for_others_or_not_wanted_is_skipped() {
        let store = store();
        let to = |names: &[&str]| Audience::new(names.iter().map(|name| issuer(name)).collect());
        store
            .append_all(vec![
                draft("{\"n\":1}"),
                draft("{\"n\":2}").expiring(5000),
                draft("{\"n\":3}").addressed_to(to(&["them", "others"])),
                draft("{\"n\":4}").addressed_to(to(&["others"])),
                draft("{\"n\":5}"),
                draft("{\"n\":6}").expiring(7000),
            ])
            .await
            .unwrap();
        let look = async |reader: Reader, now, after| store.stretch(reader, after, now, 99, usize::MAX).await.unwrap();
        let everything = look(reader("others", None), 4999, 0).await;
        assert_eq!((sequences(&everything), skipped(&everything)), ((1..=6).collect(), vec![]));
        assert_eq!((everything.end, everything.more), (6, false));
        assert_eq!(everything.publications[1].expires, Some(5000));

        let theirs = look(reader("them", None), 5000, 0).await;
        assert_eq!((sequences(&theirs), skipped(&theirs)), (vec![1, 3, 5, 6], vec![(2, 2), (4, 4)]));
        assert_eq!(theirs.expired, [2]);
        let third = look(reader("third", None), 7000, 1).await;
        assert_eq!((sequences(&third), skipped(&third)), (vec![5], vec![(2, 4), (6, 6)]));
        assert_eq!((third.expired, third.end), (vec![2, 6], 6));

        let wanted = look(reader("others", Some("/n >= 5")), 0, 0).await;
        assert_eq!((sequences(&wanted), skipped(&wanted)), (vec![5, 6], vec![(1, 4)]));
        let none = look(reader("others", Some("/m")), 0, 2).await;
        assert_eq!((sequences(&none), skipped(&none), none.end), (vec![], vec![(3, 6)], 6));
        assert_eq!(look(reader("others", None), 0, 6).await.end, 0);

        let two = store.stretch(reader("them", None), 0, 5000, 2, usize::MAX).await.unwrap();
        assert_eq!((sequences(&two), skipped(&two), two.end, two.more), (vec![1, 3], vec![(2, 2), (4, 4)], 4, true));
        let one = store.stretch(reader("them", None), 0, 5000, 9, 0).await.unwrap();
        assert_eq!((sequences(&one), skipped(&one), one.end), (vec![1], vec![(2, 2)], 2));
    }

    #[tokio::test]
    async fn a_long_run_is_looked_at_bit_by_bit_and_adds_up_to_one_span() {
        let store = store();
        let count = MOST_LOOKED_AT + 10;
        store.append_all((0..count).map(|_| draft("1").expiring(1)).collect()).await.unwrap();
        let mut all = store.stretch(reader("them", None), 0, 1, 1, 1).await.unwrap();
        assert_eq!((all.end, all.more), (MOST_LOOKED_AT, true));
        all.append(store.stretch(reader("them", None), all.end, 1, 1, 1).await.unwrap());
        assert_eq!((skipped(&all), all.end, all.more), (vec![(1, count)], count, false));
        assert_eq!(all.expired.len() as u64, count);

        let large = format!("\"{}\"", "x".repeat(MOST_PARSED));
        store.append_all(vec![draft(&large), draft(&large)]).await.unwrap();
        let some = store.stretch(reader("them", Some("/n")), count, 1, 9, 1).await.unwrap();
        assert_eq!((skipped(&some), some.more), (vec![(count + 1, count + 1)], true));
    }

    #[tokio::test]
    async fn what_is_between_two_epochs_is_two_spans() {
        let mut stretch = Stretch::default();
        for (epoch, sequence) in [(1, 1), (1, 2), (2, 3), (2, 5)] {
            stretch.skip(Place { epoch, sequence });
        }
        let span = |epoch, first, last| Span { epoch, first, last };
        assert_eq!(stretch.skipped, [span(1, 1, 2), span(2, 3, 3), span(2, 5, 5)]);
    }
}
