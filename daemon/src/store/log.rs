//! Rows of a log, as publications with what shows who signed them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coattail::id::IssuerHash;
use coattail::name::ActionName;
use coattail::wire::{GroupProof, Publication};
use rusqlite::{Connection, Row, params};

use super::columns::{parsed, parsed_if_any, payload, signed, unsigned};
use super::merkle::common_path;

/// What comes after a sequence of a log, in order. Takes the action, the sequence, and how many rows.
pub(super) const FROM_THE_LOG: &str = "
    SELECT sequence, id, time, payload, cause, hops, expires, audience, signed_group, leaf, path FROM publications
    WHERE log = (SELECT id FROM logs WHERE action = ?1) AND sequence > ?2 ORDER BY sequence LIMIT ?3";

// Its columns, by number: to look for their names in each row would take longer than to read it.
pub(super) const SEQUENCE: usize = 0;
const ID: usize = 1;
const TIME: usize = 2;
pub(super) const PAYLOAD: usize = 3;
const CAUSE: usize = 4;
const HOPS: usize = 5;
pub(super) const EXPIRES: usize = 6;
pub(super) const AUDIENCE: usize = 7;
const SIGNED_GROUP: usize = 8;
const LEAF: usize = 9;
const PATH: usize = 10;

/// Reads the rows of one log, in its order. What those of a signed group have in common is looked up once.
pub(super) struct LogReader<'c> {
    db: &'c Connection,
    /// This instance.
    issuer: IssuerHash,
    action: ActionName,
    group: Option<SignedGroup>,
    proofs: Vec<GroupProof>,
}

/// What the rows of a group have in common, and which of them were taken, with their inclusion paths.
struct SignedGroup {
    id: i64,
    epoch: i64,
    issuer: IssuerHash,
    size: u32,
    signature: String,
    taken: Vec<(u32, Vec<u8>)>,
}

impl<'c> LogReader<'c> {
    pub(super) fn new(db: &'c Connection, issuer: IssuerHash, action: ActionName) -> Self {
        Self { db, issuer, action, group: None, proofs: Vec::new() }
    }

    /// The epoch of a row's place.
    pub(super) fn epoch(&mut self, row: &Row<'_>) -> rusqlite::Result<i64> {
        Ok(self.group(row)?.epoch)
    }

    /// A row as a publication, which is to be shown.
    pub(super) fn take(&mut self, row: &Row<'_>) -> rusqlite::Result<Publication> {
        let action = self.action.clone();
        let group = self.group(row)?;
        group.taken.push((row.get(LEAF)?, row.get(PATH)?));
        Ok(Publication {
            id: parsed(row, ID)?,
            issuer: group.issuer,
            action,
            sequence: unsigned(row, SEQUENCE)?,
            epoch: group.epoch,
            time: row.get(TIME)?,
            payload: payload(row, PAYLOAD)?,
            cause: parsed_if_any(row, CAUSE)?,
            hops: row.get(HOPS)?,
            expires: row.get(EXPIRES)?,
        })
    }

    /// What shows who signed what was taken, as far as it was not asked for before.
    pub(super) fn proofs(&mut self) -> Vec<GroupProof> {
        self.proofs.extend(self.group.as_mut().and_then(SignedGroup::proof));
        std::mem::take(&mut self.proofs)
    }

    /// The group of a row.
    fn group(&mut self, row: &Row<'_>) -> rusqlite::Result<&mut SignedGroup> {
        let id = row.get(SIGNED_GROUP)?;
        let next = match self.group.take_if(|last| last.id == id) {
            Some(same) => same,
            None => {
                self.proofs.extend(self.group.as_mut().and_then(SignedGroup::proof));
                self.look_up(id, unsigned(row, SEQUENCE)?)?
            }
        };
        Ok(self.group.insert(next))
    }

    /// All rows of a group are of one epoch: it was written by one opening of the database.
    fn look_up(&self, id: i64, sequence: u64) -> rusqlite::Result<SignedGroup> {
        let query = "SELECT size, signature, issuer, (
                         SELECT epoch FROM epochs JOIN logs ON logs.id = log
                         WHERE action = ?2 AND first <= ?3 ORDER BY first DESC LIMIT 1
                     ) AS epoch FROM signed_groups WHERE id = ?1";
        let key = params![id, self.action.as_str(), signed(sequence)];
        self.db.prepare_cached(query)?.query_row(key, |row| {
            let signature: Vec<u8> = row.get("signature")?;
            Ok(SignedGroup {
                id,
                epoch: row.get("epoch")?,
                // Signed before there was more than one.
                issuer: parsed_if_any(row, "issuer")?.unwrap_or(self.issuer),
                size: row.get("size")?,
                signature: STANDARD.encode(signature),
                taken: Vec::new(),
            })
        })
    }
}

impl SignedGroup {
    fn proof(&mut self) -> Option<GroupProof> {
        let taken = std::mem::take(&mut self.taken);
        let leaves: Vec<u32> = taken.iter().map(|(leaf, _)| *leaf).collect();
        let path = common_path(taken, self.size).iter().map(|hash| STANDARD.encode(hash)).collect();
        let (size, signature) = (self.size, self.signature.clone());
        (!leaves.is_empty()).then_some(GroupProof { size, leaves, path, signature })
    }
}
