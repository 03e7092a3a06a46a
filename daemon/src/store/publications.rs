use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use coattail::id::PublicationId;
use coattail::name::ActionName;
use coattail::wire::{GroupProof, Place, Publication, Raw};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use sha2::{Digest as _, Sha256};

use super::audience::Audience;
use super::columns::{parsed, signed, unsigned};
use super::epochs::extend;
use super::group::{Group, Manner, Signer};
use super::log::{FROM_THE_LOG, LogReader, PAYLOAD};
use super::merkle::{Hash, Tree, leaf_hash};
use super::names::Name;
use super::{Error, Store};

/// A publication that has no place in its log yet.
#[derive(Debug)]
pub struct Draft {
    pub(super) id: PublicationId,
    /// Whether the id was made for it: then nothing else has it.
    is_id_new: bool,
    pub(super) action: ActionName,
    time: i64,
    pub(super) payload: Raw,
    sha256: Hash,
    pub(super) cause: Option<PublicationId>,
    pub(super) hops: u8,
    name: Option<Name>,
    expires: Option<i64>,
    pub(super) audience: Option<Audience>,
}

impl Draft {
    /// Hashes the payload, here, so that the writing thread need not. `time` is in milliseconds.
    pub fn new(action: ActionName, payload: Raw, time: i64) -> Self {
        let (id, sha256) = (PublicationId::new(), Sha256::digest(payload.get()).into());
        let (cause, hops, name, expires, audience) = (None, 0, None, None, None);
        Self { id, is_id_new: true, action, time, payload, sha256, cause, hops, name, expires, audience }
    }

    /// Says which id it was given before.
    #[must_use]
    pub(super) fn with_id(mut self, id: PublicationId) -> Self {
        (self.id, self.is_id_new) = (id, false);
        self
    }

    /// Says which publication was being handled, and how many led to this one.
    #[must_use]
    pub fn caused_by(mut self, cause: PublicationId, hops: u8) -> Self {
        (self.cause, self.hops) = (Some(cause), hops);
        self
    }

    /// Says what whoever publishes it calls it: a second one of that name is not stored.
    #[must_use]
    pub fn named(mut self, name: Name) -> Self {
        self.name = Some(name);
        self
    }

    /// Says until when somebody wants it, in milliseconds.
    #[must_use]
    pub fn expiring(mut self, expires: i64) -> Self {
        self.expires = Some(expires);
        self
    }

    /// Says that it is for these subscribers only.
    #[must_use]
    pub fn addressed_to(mut self, audience: Audience) -> Self {
        self.audience = Some(audience);
        self
    }

    /// The id that it will have.
    pub fn id(&self) -> PublicationId {
        self.id
    }

    /// What its payload takes.
    pub fn bytes(&self) -> u64 {
        self.payload.get().len() as u64
    }
}

/// A publication is in its action's log, on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its id.
    pub id: PublicationId,
    /// Its place; the first is 1, and each is one more than the one before.
    pub sequence: u64,
    /// Whether one of the same name was there already: this is that one, and nothing was stored.
    pub duplicate: bool,
}

/// How far an action's log reaches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Whose log.
    pub action: ActionName,
    /// The last sequence that was given out.
    pub head: u64,
    /// The first that retention has left; `head + 1` if none.
    pub oldest: u64,
    /// What the payloads take.
    pub bytes: u64,
}

impl Store {
    /// Appends to the action's log. Once this returns, the publication is accepted.
    pub async fn append(&self, draft: Draft) -> Result<Appended, Error> {
        self.write_in(Manner::Append, move |group| group.append(draft)).await
    }

    /// Appends all of them or none.
    pub async fn append_all(&self, drafts: Vec<Draft>) -> Result<Vec<Appended>, Error> {
        self.write_in(Manner::Append, move |group| drafts.into_iter().map(|draft| group.append(draft)).collect()).await
    }

    /// What comes after a sequence, in order, each with a proof of its own: at most `max_count`, and no more payload than
    /// `max_bytes`, but at least one if there is any. What retention has removed is left out; [`head`](Self::head) tells.
    pub async fn batch(
        &self,
        action: ActionName,
        after: u64,
        max_count: usize,
        max_bytes: usize,
    ) -> Result<Vec<(Publication, GroupProof)>, Error> {
        let issuer = self.issuer();
        self.read(move |db| {
            let mut query = db.prepare_cached(FROM_THE_LOG)?;
            let mut rows = query.query(params![action.as_str(), signed(after), signed(max_count as u64)])?;
            let mut log = LogReader::new(db, issuer, action);
            let (mut batch, mut bytes) = (Vec::new(), 0);
            while let Some(row) = rows.next()? {
                bytes += row.get_ref(PAYLOAD)?.as_str().map_or(0, str::len);
                if bytes > max_bytes && !batch.is_empty() {
                    break;
                }
                let publication = log.take(row)?;
                batch.push((publication, log.proofs().pop().expect("it was just taken")));
            }
            Ok(batch)
        })
        .await
    }

    /// How far one log reaches; `None` if nothing was ever published there.
    pub async fn head(&self, action: ActionName) -> Result<Option<Head>, Error> {
        let query = "SELECT * FROM logs WHERE action = ?1";
        self.read(move |db| Ok(db.prepare_cached(query)?.query_row([action.as_str()], head).optional()?)).await
    }

    /// How far every log reaches.
    pub async fn heads(&self) -> Result<Vec<Head>, Error> {
        let query = "SELECT * FROM logs ORDER BY action";
        self.read(move |db| Ok(db.prepare_cached(query)?.query_map([], head)?.collect::<Result<_, _>>()?)).await
    }
}

/// The publications of a group: numbered, and not yet written.
#[derive(Default)]
pub(super) struct Appends {
    accepted: Vec<(Draft, u64)>,
    /// Those of them that were given before.
    ids: HashSet<PublicationId>,
    names: HashMap<(ActionName, Name), usize>,
    heads: HashMap<ActionName, u64>,
    bytes: u64,
}

impl Group<'_> {
    pub(super) fn append(&mut self, draft: Draft) -> Result<Appended, Error> {
        if let Some(first) = self.published_before(&draft)? {
            return Ok(first);
        }
        self.take_room(draft.bytes())?;
        let id = draft.id;
        if !draft.is_id_new {
            let known = "SELECT 1 FROM publications WHERE id = ?1";
            let is_known = self.db().prepare_cached(known)?.exists([id.to_string()])?;
            // Found out here, since in the rows' own INSERT it would harm the whole group.
            if is_known || !self.appends.ids.insert(id) {
                return Err(Error::Exists("the publication"));
            }
        }
        let db = self.db();
        let head = match self.appends.heads.entry(draft.action.clone()) {
            Entry::Occupied(head) => head.into_mut(),
            Entry::Vacant(none) => none.insert(head_of(db, &draft.action)?),
        };
        *head += 1;
        let sequence = *head;
        if let Some(name) = &draft.name {
            self.appends.names.insert((draft.action.clone(), name.clone()), self.appends.len());
        }
        self.appends.bytes += draft.bytes();
        self.appends.accepted.push((draft, sequence));
        Ok(Appended { id, sequence, duplicate: false })
    }

    /// The publication of the same name, on disk or in this very group, if there is one.
    fn published_before(&self, draft: &Draft) -> Result<Option<Appended>, Error> {
        let Some(name) = &draft.name else { return Ok(None) };
        let first = match self.appends.names.get(&(draft.action.clone(), name.clone())) {
            Some(at) => {
                let (first, sequence) = &self.appends.accepted[*at];
                let appended = Appended { id: first.id, sequence: *sequence, duplicate: false };
                Some((appended, first.sha256 == draft.sha256))
            }
            None => name.find(self.db(), &draft.action, draft.payload.get())?,
        };
        first.map(|(first, is_same)| name.again(first, is_same)).transpose()
    }
}

impl Appends {
    pub(super) fn len(&self) -> usize {
        self.accepted.len()
    }

    /// What the payloads take.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The last sequence of a log, with those of the current group.
    pub(super) fn head(&self, db: &Connection, action: &ActionName) -> Result<u64, Error> {
        self.heads.get(action).map_or_else(|| head_of(db, action), |head| Ok(*head))
    }

    /// Takes the last ones back, with their sequences.
    pub(super) fn truncate(&mut self, len: usize) {
        while self.accepted.len() > len {
            let Some((draft, sequence)) = self.accepted.pop() else { return };
            self.ids.remove(&draft.id);
            self.bytes -= draft.bytes();
            if let Some(name) = draft.name {
                self.names.remove(&(draft.action.clone(), name));
            }
            self.heads.insert(draft.action, sequence - 1);
        }
    }

    /// Signs the group and writes one row for each publication.
    pub(super) fn write(self, group: &mut Group<'_>, signer: &Signer, epoch: i64) -> Result<(), Error> {
        if self.accepted.is_empty() {
            return Ok(());
        }
        let leaf = |(draft, sequence): &(Draft, u64)| {
            let place = Place { epoch, sequence: *sequence };
            leaf_hash(&signer.issuer, &draft.action, place, &draft.id, draft.time, &draft.sha256, draft.expires)
        };
        let tree = Tree::new(self.accepted.iter().map(leaf).collect());
        let size = u32::try_from(self.accepted.len()).expect("a group fits into memory");
        let signature = (signer.sign)(size, tree.root());

        let db = group.db();
        db.prepare_cached("INSERT INTO signed_groups (size, remaining, signature, issuer) VALUES (?1, ?1, ?2, ?3)")?
            .execute(params![size, signature, signer.issuer.to_string()])?;
        let signed_group = db.last_insert_rowid();
        let logs = self.advance_logs(db, epoch)?;
        let mut insert = db.prepare_cached(
            "INSERT INTO publications (log, sequence, id, time, payload, cause, hops, signed_group, leaf, path, name,
                 publisher, expires, audience)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
        )?;
        for (leaf, (draft, sequence)) in self.accepted.iter().enumerate() {
            insert.execute(params![
                logs[&draft.action],
                signed(*sequence),
                draft.id.to_string(),
                draft.time,
                draft.payload.get(),
                draft.cause.map(|cause| cause.to_string()),
                draft.hops,
                signed_group,
                signed(leaf as u64),
                tree.path(leaf),
                draft.name.as_ref().map(|name| name.name.as_str()),
                draft.name.as_ref().map(Name::publisher).unwrap_or_default(),
                draft.expires,
                draft.audience.as_ref().map(Audience::to_string),
            ])?;
        }
        group.tally.published += i64::from(size);
        Ok(())
    }

    /// Writes the new heads and returns the logs' keys.
    fn advance_logs(&self, db: &Connection, epoch: i64) -> Result<HashMap<ActionName, i64>, Error> {
        let mut added: HashMap<&ActionName, (u64, u64, u64)> = HashMap::new();
        for (draft, sequence) in &self.accepted {
            let (_, head, bytes) = added.entry(&draft.action).or_insert((*sequence, 0, 0));
            *head = *sequence;
            *bytes += draft.bytes();
        }
        let mut upsert = db.prepare_cached(
            "INSERT INTO logs (action, head, bytes) VALUES (?1, ?2, ?3)
             ON CONFLICT (action) DO UPDATE SET head = excluded.head, bytes = bytes + excluded.bytes RETURNING id",
        )?;
        let mut logs = HashMap::new();
        for (action, (first, head, bytes)) in added {
            let id = upsert.query_row(params![action.as_str(), signed(head), signed(bytes)], |row| row.get(0))?;
            extend(db, id, first, epoch)?;
            logs.insert(action.clone(), id);
        }
        Ok(logs)
    }
}

/// The last sequence of a log that was given out before the current group.
fn head_of(db: &Connection, action: &ActionName) -> Result<u64, Error> {
    let mut query = db.prepare_cached("SELECT head FROM logs WHERE action = ?1")?;
    Ok(query.query_row([action.as_str()], |row| unsigned(row, "head")).optional()?.unwrap_or(0))
}

fn head(row: &Row<'_>) -> rusqlite::Result<Head> {
    Ok(Head {
        action: parsed(row, "action")?,
        head: unsigned(row, "head")?,
        oldest: unsigned(row, "oldest")?,
        bytes: unsigned(row, "bytes")?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use futures::future::{join_all, try_join_all};

    use super::*;
    use crate::store::merkle::root_from_leaves;
    use crate::store::testing::{action, draft, issuer, raw, signer, store};

    /// Checks the proof of a publication alone, as a subscriber would.
    #[track_caller]
    fn verify((publication, proof): &(Publication, GroupProof)) {
        let Publication { issuer, action, id, time, payload, expires, .. } = publication;
        let sha256 = Sha256::digest(payload.get()).into();
        let leaf = leaf_hash(issuer, action, publication.place(), id, *time, &sha256, *expires);
        let hash = |text: &String| STANDARD.decode(text).unwrap().try_into().unwrap();
        let path: Vec<Hash> = proof.path.iter().map(hash).collect();
        let root = root_from_leaves(&[(proof.leaves[0], leaf)], proof.size, &path).expect("the path fits the size");
        let signature = (signer().sign)(proof.size, &root);
        assert_eq!(STANDARD.decode(&proof.signature).unwrap(), signature, "{publication:?}");
    }

    #[tokio::test]
    async fn concurrent_appends_are_numbered_without_holes_and_signed_in_groups() {
        let store = store();
        let appends = (0..600).map(|n| store.append(draft(["a", "b"][n % 2], &format!("{{\"n\": {n}}}"))));
        let mut sequences: Vec<u64> = try_join_all(appends).await.unwrap().iter().map(|done| done.sequence).collect();
        sequences.sort_unstable();
        assert_eq!(sequences, (1..=300).flat_map(|n| [n, n]).collect::<Vec<_>>());

        let mut largest = 0;
        for log in ["a", "b"] {
            let batch = store.batch(action(log), 0, 1000, usize::MAX).await.unwrap();
            assert!(batch.iter().map(|(publication, _)| publication.sequence).eq(1..=300));
            batch.iter().for_each(verify);
            assert!(batch.iter().all(|(publication, _)| publication.issuer == issuer("us")));
            largest = largest.max(batch.iter().map(|(_, proof)| proof.size).max().unwrap());
        }
        assert!(largest > 1, "writes that waited together share a transaction");
        assert_eq!(store.counts().await.unwrap().published, 600);
    }

    #[tokio::test]
    async fn a_failing_append_harms_no_other_and_leaves_no_hole() {
        let store = store();
        let one_more = || draft("a", "1");
        let first = one_more();
        let id = first.id;
        store.append(first).await.unwrap();

        let again = |n: usize| Draft::new(action("a"), raw(&n.to_string()), 0).with_id(id);
        // A third fails half-way: with a draft that had its sequence already, which the next one must get.
        let append = |n: usize| match n % 3 {
            0 => store.append_all(vec![one_more(), again(n)]),
            _ => store.append_all(vec![one_more()]),
        };
        let results = join_all((0..100).map(append)).await;
        for (n, result) in results.iter().enumerate() {
            assert_eq!(n % 3 == 0, matches!(result, Err(Error::Exists(_))), "{n}: {result:?}");
        }
        // Nor is a log begun by a batch that fails.
        let batch = vec![one_more(), draft("new", "1"), again(0)];
        assert!(matches!(store.append_all(batch).await, Err(Error::Exists(_))));
        assert_eq!(store.head(action("new")).await.unwrap(), None);
        assert_eq!(store.append(one_more()).await.unwrap().sequence, 68);
        let batch = store.batch(action("a"), 0, 1000, usize::MAX).await.unwrap();
        assert!(batch.iter().map(|(publication, _)| publication.sequence).eq(1..=68));
        batch.iter().for_each(verify);
    }

    #[tokio::test]
    async fn a_batch_comes_back_as_it_was_appended_and_within_its_limits() {
        let store = store();
        let cause = PublicationId::new();
        let odd = "{ \"b\": 1.50,  \"a\": \"\\u00e9\" }";
        let drafts = vec![draft("a", odd).caused_by(cause, 3), draft("a", "\"22\""), draft("a", "3"), draft("b", "4")];
        let ids: Vec<_> = drafts.iter().map(|draft| draft.id).collect();
        let appended = store.append_all(drafts).await.unwrap();
        assert_eq!(appended.iter().map(|one| one.id).collect::<Vec<_>>(), ids);

        let batch = store.batch(action("a"), 0, 2, usize::MAX).await.unwrap();
        assert_eq!(batch.len(), 2);
        let (first, proof) = &batch[0];
        assert_eq!((first.payload.get(), first.cause, first.hops, first.time), (odd, Some(cause), 3, 1000));
        assert_eq!(proof.size, 4);
        for (after, max_bytes, sequences) in
            [(0, 1, vec![1]), (1, 5, vec![2, 3]), (1, 4, vec![2]), (2, 0, vec![3]), (3, 99, vec![]), (99, 99, vec![])]
        {
            let batch = store.batch(action("a"), after, 9, max_bytes).await.unwrap();
            assert_eq!(batch.iter().map(|(one, _)| one.sequence).collect::<Vec<_>>(), sequences, "{after} {max_bytes}");
        }
        assert!(store.batch(action("none"), 0, 9, 9).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn every_log_has_its_head() {
        let store = store();
        for log in ["b", "a", "b"] {
            store.append(draft(log, "1")).await.unwrap();
        }
        let heads = store.heads().await.unwrap();
        let heads: BTreeMap<_, _> = heads.iter().map(|head| (head.action.as_str(), head.head)).collect();
        assert_eq!(heads, BTreeMap::from([("a", 1), ("b", 2)]));
    }
}
