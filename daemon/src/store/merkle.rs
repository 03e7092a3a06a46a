//! Shows that a publication belongs to a group that its issuer signed.
//!
//! What one transaction accepted is the leaves of one Merkle tree, as in RFC 9162, section 2.1, with SHA-256. Its
//! root is signed once. Publications travel with what it takes to compute the root from them; of a single one, that is
//! its inclusion path (section 2.1.3). So anyone can verify them alone.
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

/// The root that follows from some leaves of a tree, in order, and from the hashes that it takes beside them; `None` if no
/// tree of that size has such leaves and hashes there. Of one leaf, these are its inclusion path.
pub fn root_from_leaves(leaves: &[(u32, Hash)], size: u32, path: &[Hash]) -> Option<Hash> {
    let is_ascending = leaves.windows(2).all(|pair| pair[0].0 < pair[1].0);
    if !is_ascending || leaves.last()?.0 >= size {
        return None;
    }
    let (mut level, mut width, mut path) = (leaves.to_vec(), size, path.iter());
    while width > 1 {
        let mut above = Vec::with_capacity(level.len() / 2 + 1);
        let mut nodes = level.into_iter().peekable();
        while let Some((at, node)) = nodes.next() {
            let risen = match sibling(at, width) {
                None => node,
                Some(left) if left < at => parent(path.next()?, &node),
                Some(right) => match nodes.next_if(|(next, _)| *next == right) {
                    Some((_, known)) => parent(&node, &known),
                    None => parent(&node, path.next()?),
                },
            };
            above.push((at / 2, risen));
        }
        (level, width) = (above, width.div_ceil(2));
    }
    path.next().is_none().then(|| level[0].1)
}

/// The hashes that it takes beside some leaves of a tree, in order, to compute the root: from their inclusion paths. The
/// leaves are in ascending order.
pub(super) fn common_path(leaves: Vec<(u32, Vec<u8>)>, size: u32) -> Vec<Hash> {
    let mut common = Vec::new();
    let mut level: Vec<_> = leaves.iter().map(|(leaf, path)| (*leaf, &path[..])).collect();
    let mut width = size;
    while width > 1 {
        let mut above = Vec::with_capacity(level.len() / 2 + 1);
        let mut nodes = level.into_iter().peekable();
        while let Some((at, path)) = nodes.next() {
            let rest = match (sibling(at, width), path.split_first_chunk()) {
                (Some(beside), Some((hash, rest))) => {
                    if nodes.next_if(|(next, _)| *next == beside).is_none() {
                        common.push(*hash);
                    }
                    rest
                }
                _ => path,
            };
            above.push((at / 2, rest));
        }
        (level, width) = (above, width.div_ceil(2));
    }
    common
}

/// The place of what stands beside a node, in a level of so many. The last one has nothing beside it if it is a left one,
/// and rises as it is.
fn sibling(at: u32, width: u32) -> Option<u32> {
    Some(at ^ 1).filter(|beside| *beside < width)
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
                let found = |leaf, index, path: &[Hash]| root_from_leaves(&[(index, leaf)], size, path);
                assert_eq!(found(leaf, index, &path), Some(root), "leaf {index} of {size}");
                for other in (0..size).filter(|&other| other != index) {
                    assert_ne!(found(leaf, other, &path), Some(root), "{index} as {other} of {size}");
                }
                assert_ne!(found([7; 32], index, &path), Some(root));
                let longer = [&path[..], &[[0; 32]]].concat();
                assert_eq!(found(leaf, index, &longer), None);
                if let [shorter @ .., _] = &path[..] {
                    assert_eq!(found(leaf, index, shorter), None);
                }
            }
            assert_eq!(root_from_leaves(&[(size, leaves[0])], size, &[]), None);
        }
        assert_eq!(root_from_leaves(&[(0, [0; 32])], 0, &[]), None);
        assert_eq!(root_from_leaves(&[], 1, &[]), None);
    }

    #[test]
    fn any_leaves_lead_to_the_root_with_what_they_lack() {
        for size in 1..=11_u32 {
            let leaves: Vec<Hash> = (0..size).map(|leaf| Sha256::digest(leaf.to_be_bytes()).into()).collect();
            let tree = Tree::new(leaves.clone());
            for chosen in 1..1_u32 << size {
                let chosen: Vec<u32> = (0..size).filter(|leaf| chosen >> leaf & 1 == 1).collect();
                let some: Vec<_> = chosen.iter().map(|leaf| (*leaf, leaves[*leaf as usize])).collect();
                let paths = chosen.iter().map(|leaf| (*leaf, tree.path(*leaf as usize))).collect();
                let path = common_path(paths, size);
                assert_eq!(root_from_leaves(&some, size, &path).as_ref(), Some(tree.root()), "{chosen:?} of {size}");
                let longer = [&path[..], &[[0; 32]]].concat();
                assert_eq!(root_from_leaves(&some, size, &longer), None);
                if some.len() > 1 {
                    let swapped: Vec<_> = some.iter().rev().copied().collect();
                    assert_eq!(root_from_leaves(&swapped, size, &path), None);
                    let twice = [&some[..1], &some[..]].concat();
                    assert_eq!(root_from_leaves(&twice, size, &path), None);
                }
                if let [shorter @ .., _] = &path[..] {
                    assert_eq!(root_from_leaves(&some, size, shorter), None);
                }
            }
        }
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
