//! Shows that a publication belongs to a group that its issuer signed.
//!
//! What one transaction accepted is the leaves of one Merkle tree, as in RFC 9162, section 2.1, with SHA-256. Its
//! root is signed once; each publication travels with its inclusion path (section 2.1.3), so that anyone can verify
//! it alone.
//!
//! A leaf's hash is SHA-256 of the byte `00` and of these fields, each after its length in bytes as a big-endian
//! 32-bit number, so that no two publications have the same encoding:
//!
//! 1. the text `coattail publication 2`
//! 2. issuer: the 32 bytes of its hash
//! 3. action: its name, UTF-8 in NFC
//! 4. sequence: 64 bits, big-endian
//! 5. id: as text, 36 characters, lower case
//! 6. time: milliseconds since 1970-01-01 UTC, 64 bits, big-endian, two's complement
//! 7. payload: SHA-256 of its JSON text as it travels
//! 8. epoch: as time
//! 9. until when it is wanted: as time
//!
//! Only what has such a time has the ninth field; its first is `coattail publication 3` then.
//!
//! What was signed before there were epochs is of epoch 0: its first field is `coattail publication 1`, and it has
//! neither of the last two.
//!
//! A node's hash is SHA-256 of the byte `01`, the left and the right hash.

use coattail::id::{IssuerHash, PublicationId};
use coattail::name::ActionName;
use coattail::wire::Place;
use sha2::{Digest, Sha256};

/// SHA-256 of something.
pub type Hash = [u8; 32];

/// The hash of one publication as a leaf.
pub fn leaf_hash(
    issuer: &IssuerHash,
    action: &ActionName,
    place: Place,
    id: &PublicationId,
    time: i64,
    payload: &Hash,
    expires: Option<i64>,
) -> Hash {
    let mut leaf = Sha256::new_with_prefix([LEAF]);
    let id = id.to_string();
    let (sequence, epoch) = (place.sequence.to_be_bytes(), place.epoch.to_be_bytes());
    let expires = expires.map(i64::to_be_bytes);
    let (domain, epoch) = match expires {
        Some(_) => (DOMAIN_3, Some(&epoch[..])),
        None if place.epoch == 0 => (DOMAIN_1, None),
        None => (DOMAIN, Some(&epoch[..])),
    };
    let fields: [&[u8]; 7] =
        [domain, issuer.as_bytes(), action.as_str().as_bytes(), &sequence, id.as_bytes(), &time.to_be_bytes(), payload];
    for field in fields.into_iter().chain(epoch).chain(expires.as_ref().map(|expires| &expires[..])) {
        leaf.update(u32::try_from(field.len()).expect("names are short").to_be_bytes());
        leaf.update(field);
    }
    leaf.finalize().into()
}

/// The root that follows from a leaf and its path, or `None` if no tree of that size has such a path there.
pub fn root_from_path(leaf: Hash, index: u32, size: u32, path: &[Hash]) -> Option<Hash> {
    if index >= size {
        return None;
    }
    // RFC 9162, section 2.1.3.2: `place` and `last` are the positions of our node and of the last one, level by level.
    let (mut place, mut last, mut node) = (index, size - 1, leaf);
    for sibling in path {
        if last == 0 {
            return None;
        }
        if place % 2 == 1 || place == last {
            node = parent(sibling, &node);
            // The last node without a sibling rises until it is a right one.
            while place % 2 == 0 && place != 0 {
                place /= 2;
                last /= 2;
            }
        } else {
            node = parent(&node, sibling);
        }
        place /= 2;
        last /= 2;
    }
    (last == 0).then_some(node)
}

/// A group's tree.
#[derive(Debug)]
pub(super) struct Tree {
    /// From the leaves to the root. A last node without a sibling rises as it is.
    levels: Vec<Vec<Hash>>,
}

impl Tree {
    /// Of at least one leaf.
    pub(super) fn new(leaves: Vec<Hash>) -> Self {
        assert!(!leaves.is_empty(), "a group without publications is not signed");
        let mut levels = vec![leaves];
        while let Some(level) = levels.last().filter(|level| level.len() > 1) {
            let above = level.chunks(2).map(|pair| match pair {
                [left, right] => parent(left, right),
                alone => alone[0],
            });
            levels.push(above.collect());
        }
        Self { levels }
    }

    pub(super) fn root(&self) -> &Hash {
        &self.levels[self.levels.len() - 1][0]
    }

    /// The inclusion path of a leaf, lowest first, one hash after the other.
    pub(super) fn path(&self, index: usize) -> Vec<u8> {
        let mut path = Vec::with_capacity(self.levels.len() * size_of::<Hash>());
        for (height, level) in self.levels.iter().enumerate() {
            if let Some(sibling) = level.get((index >> height) ^ 1) {
                path.extend_from_slice(sibling);
            }
        }
        path
    }
}

fn parent(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix([NODE]).chain_update(left).chain_update(right).finalize().into()
}

const LEAF: u8 = 0;
const NODE: u8 = 1;
const DOMAIN: &[u8] = b"coattail publication 2";
const DOMAIN_1: &[u8] = b"coattail publication 1";
const DOMAIN_3: &[u8] = b"coattail publication 3";

#[cfg(test)]
mod tests {
    use super::*;

    /// The definition of RFC 9162, section 2.1.1, word by word.
    fn root_by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [leaf] => *leaf,
            _ => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                parent(&root_by_definition(left), &root_by_definition(right))
            }
        }
    }

    fn hashes(path: &[u8]) -> Vec<Hash> {
        path.chunks(32).map(|hash| hash.try_into().unwrap()).collect()
    }

    #[test]
    fn every_leaf_of_every_tree_leads_to_the_root_and_to_no_other() {
        for size in 1..=70_u32 {
            let leaves: Vec<Hash> = (0..size).map(|leaf| Sha256::digest(leaf.to_be_bytes()).into()).collect();
            let tree = Tree::new(leaves.clone());
            let root = root_by_definition(&leaves);
            assert_eq!(*tree.root(), root, "size {size}");
            for index in 0..size {
                let leaf = leaves[index as usize];
                let path = hashes(&tree.path(index as usize));
                assert_eq!(root_from_path(leaf, index, size, &path), Some(root), "leaf {index} of {size}");
                for other in (0..size).filter(|&other| other != index) {
                    assert_ne!(root_from_path(leaf, other, size, &path), Some(root), "{index} as {other} of {size}");
                }
                assert_ne!(root_from_path([7; 32], index, size, &path), Some(root));
                let longer = [&path[..], &[[0; 32]]].concat();
                assert_eq!(root_from_path(leaf, index, size, &longer), None);
                if let [shorter @ .., _] = &path[..] {
                    assert_eq!(root_from_path(leaf, index, size, shorter), None);
                }
            }
            assert_eq!(root_from_path(leaves[0], size, size, &[]), None);
        }
        assert_eq!(root_from_path([0; 32], 0, 0, &[]), None);
    }

    #[test]
    fn a_leaf_depends_on_each_of_its_fields() {
        let issuer = IssuerHash::of_public_key("a");
        let (action, id) = (ActionName::new("a").unwrap(), PublicationId::new());
        let at = |epoch, sequence| Place { epoch, sequence };
        let leaf = leaf_hash(&issuer, &action, at(9, 1), &id, 2, &[3; 32], None);
        for other in [
            leaf_hash(&IssuerHash::of_public_key("b"), &action, at(9, 1), &id, 2, &[3; 32], None),
            leaf_hash(&issuer, &ActionName::new("b").unwrap(), at(9, 1), &id, 2, &[3; 32], None),
            leaf_hash(&issuer, &action, at(9, 2), &id, 2, &[3; 32], None),
            leaf_hash(&issuer, &action, at(8, 1), &id, 2, &[3; 32], None),
            leaf_hash(&issuer, &action, at(0, 1), &id, 2, &[3; 32], None),
            leaf_hash(&issuer, &action, at(9, 1), &PublicationId::new(), 2, &[3; 32], None),
            leaf_hash(&issuer, &action, at(9, 1), &id, 3, &[3; 32], None),
            leaf_hash(&issuer, &action, at(9, 1), &id, 2, &[4; 32], None),
            leaf_hash(&issuer, &action, at(9, 1), &id, 2, &[3; 32], Some(5)),
        ] {
            assert_ne!(leaf, other);
        }
        let expiring = |epoch, expires| leaf_hash(&issuer, &action, at(epoch, 1), &id, 2, &[3; 32], Some(expires));
        assert_ne!(expiring(9, 5), expiring(9, 6));
        assert_ne!(expiring(9, 5), expiring(0, 5));
    }
}
