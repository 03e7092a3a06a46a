use coattail::id::IssuerHash;
use coattail::key::Key;
use coattail::name::ActionName;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::Error;
use super::columns::{parsed, unsigned};
use super::publications::Appended;

/// What whoever publishes calls a publication, so that it is known if they ask again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// The peer that publishes; `None`: this instance.
    pub publisher: Option<IssuerHash>,
    /// What they call it.
    pub name: Key,
}

impl Name {
    /// The publisher as its column has it.
    pub(super) fn publisher(&self) -> String {
        self.publisher.map(|issuer| issuer.to_string()).unwrap_or_default()
    }

    /// The answer for one of the same name: the first, if what it published is the same.
    pub(super) fn again(&self, first: Appended, is_same: bool) -> Result<Appended, Error> {
        if is_same { Ok(Appended { duplicate: true, ..first }) } else { Err(Error::OtherPayload(self.name.clone())) }
    }

    /// The one of this name that is in the action's log already.
    pub(super) fn find(
        &self,
        db: &Connection,
        action: &ActionName,
        payload: &str,
    ) -> Result<Option<(Appended, bool)>, Error> {
        let query = "SELECT id, sequence, payload = ?4 AS same FROM publications
             WHERE log = (SELECT id FROM logs WHERE action = ?1) AND publisher = ?2 AND name = ?3";
        let found = |row: &Row<'_>| {
            let first = Appended { id: parsed(row, "id")?, sequence: unsigned(row, "sequence")?, duplicate: false };
            Ok((first, row.get("same")?))
        };
        let asked = params![action.as_str(), self.publisher(), self.name.as_str(), payload];
        Ok(db.prepare_cached(query)?.query_row(asked, found).optional()?)
    }
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;

    use super::*;
    use crate::store::Draft;
    use crate::store::testing::{action, issuer, raw, store};

    fn named(log: &str, json: &str, name: &str, publisher: Option<IssuerHash>) -> Draft {
        let name = Name { publisher, name: name.parse().unwrap() };
        Draft::new(action(log), raw(json), 0).named(name)
    }

    #[tokio::test]
    async fn what_is_published_again_is_stored_once() {
        let store = store();
        // Together, so that some of them share a transaction.
        let all = join_all((0..50).map(|_| store.append(named("a", "1", "monday", None)))).await;
        let all: Vec<Appended> = all.into_iter().map(Result::unwrap).collect();
        assert_eq!(all.iter().filter(|one| !one.duplicate).count(), 1);
        assert!(all.iter().all(|one| (one.id, one.sequence) == (all[0].id, 1)));
        let other = store.append(named("a", "2", "monday", None)).await.unwrap_err();
        assert!(matches!(&other, Error::OtherPayload(name) if name.as_str() == "monday"), "{other:?}");
        // Nor within one transaction; and what was taken back has left no name.
        let both = vec![named("a", "1", "tuesday", None), named("a", "2", "tuesday", None)];
        assert!(matches!(store.append_all(both).await, Err(Error::OtherPayload(_))));
        assert!(!store.append(named("a", "2", "tuesday", None)).await.unwrap().duplicate);
        // Nor in the very transaction in which it was taken back: together, so that some share one.
        let taken_back = (0..50).map(|n| {
            let name = format!("{n}");
            store.append_all(vec![named("c", "1", &name, None), named("c", "2", &name, None)])
        });
        let anew = (0..50).map(|n| store.append(named("c", "2", &format!("{n}"), None)));
        let (taken_back, anew) = futures::future::join(join_all(taken_back), join_all(anew)).await;
        assert!(
            taken_back.iter().all(Result::is_err) && anew.iter().all(|one| one.as_ref().is_ok_and(|o| !o.duplicate))
        );
        let twice = vec![named("a", "3", "friday", None), named("a", "3", "friday", None)];
        let twice = store.append_all(twice).await.unwrap();
        assert_eq!((twice[0].sequence, twice[1].sequence, twice[1].duplicate), (3, 3, true));
        for one in [named("b", "2", "monday", None), named("a", "2", "monday", Some(issuer("them")))] {
            assert!(!store.append(one).await.unwrap().duplicate, "another log, another publisher");
        }
        // A name goes with what it names.
        store.trim(action("a"), i64::MAX, 0).await.unwrap();
        assert_eq!(store.append(named("a", "2", "monday", None)).await.unwrap().sequence, 5);
    }
}
