//! What has to come out, and what did.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use coattail::wire::control::Counts;
use coattail::wire::{ErrorCode, Failure};
use serde::Serialize;

use crate::error::because;
use crate::output::Row;

/// What an instance has counted, beside what it had to.
#[derive(Debug, Serialize)]
pub(super) struct Counted {
    pub(super) id: &'static str,
    #[serde(flatten)]
    pub(super) counts: Counts,
    pub(super) expected: Counts,
}

/// What site, office and desk have to count in the end, after so many readings of site.
///
/// A killed receiver may run twice, but its publication is stored once and is handled once, so that the
/// counts of the instance that is killed are exact, too.
pub(super) fn expected(readings: u64) -> [Counts; 3] {
    [
        // To `log` and `relay` of office, and to desk.
        Counts { published: readings, delivered: 3 * readings, ..Counts::default() },
        // Each reading twice from site; each judgement once to desk.
        Counts {
            published: readings,
            delivered: readings,
            stored: 2 * readings,
            handled: 2 * readings,
            ..Counts::default()
        },
        // Each reading, and each judgement.
        Counts { stored: 2 * readings, handled: 2 * readings, ..Counts::default() },
    ]
}

/// Fails if a count is off, and names each one that is.
pub(super) fn compare(counted: &[Counted]) -> Result<(), Failure> {
    let off: Vec<String> = counted
        .iter()
        .flat_map(|one| {
            let pairs = named(&one.counts).into_iter().zip(named(&one.expected));
            pairs.filter(|(found, expected)| found != expected).map(|((name, found), (_, expected))| {
                format!("{}: {name} is {found}, and had to be {expected}", one.id)
            })
        })
        .collect();
    if off.is_empty() { Ok(()) } else { Err(because(ErrorCode::Failed, "the counts are off", off.join("\n"))) }
}

/// How many lines a file has, each of which begins with the id of another publication.
pub(super) fn publications(file: &Path, heads: usize) -> io::Result<u64> {
    let text = std::fs::read_to_string(file)?;
    let mut seen = HashSet::new();
    for line in text.lines().skip(heads) {
        let id = line.split([',', ' ']).next().unwrap_or_default();
        if !seen.insert(id) {
            return Err(io::Error::other(format!("the publication {id} is in it twice")));
        }
    }
    Ok(seen.len() as u64)
}

impl Row for Counted {
    const COLUMNS: &'static [&'static str] = &[
        "instance",
        "published",
        "delivered",
        "undelivered",
        "stored",
        "handled",
        "waiting",
        "dead",
        "missed",
        "expired",
        "looped",
    ];

    fn cells(&self) -> Vec<String> {
        let counts = named(&self.counts).into_iter().map(|(_, count)| count.to_string());
        [self.id.to_owned()].into_iter().chain(counts).collect()
    }
}

fn named(counts: &Counts) -> [(&'static str, u64); 10] {
    let Counts { published, delivered, undelivered, stored, handled, waiting, dead, missed, expired, looped } = *counts;
    [
        ("published", published),
        ("delivered", delivered),
        ("undelivered", undelivered),
        ("stored", stored),
        ("handled", handled),
        ("waiting", waiting),
        ("dead", dead),
        ("missed", missed),
        ("expired", expired),
        ("looped", looped),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_is_off_is_named() {
        let counted = |counts: [Counts; 3]| {
            let rows = ["site", "office", "desk"].into_iter().zip(counts).zip(expected(10));
            rows.map(|((id, counts), expected)| Counted { id, counts, expected }).collect::<Vec<_>>()
        };
        compare(&counted(expected(10))).expect("nothing is off");

        let mut counts = expected(10);
        counts[1].published += 1;
        counts[2].dead = 1;
        let failure = compare(&counted(counts)).expect_err("two are off");
        assert_eq!(
            failure.message,
            "the counts are off\noffice: published is 11, and had to be 10\ndesk: dead is 1, and had to be 0"
        );
    }

    #[test]
    fn a_publication_counts_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("board.csv");
        std::fs::write(&file, "publication,time\na,1\nb,1\n").expect("a file in it");
        assert_eq!(publications(&file, 1).expect("it is right"), 2);
        std::fs::write(&file, "a {}\na {}\n").expect("a file in it");
        assert_eq!(publications(&file, 0).expect_err("one is twice").to_string(), "the publication a is in it twice");
    }
}
