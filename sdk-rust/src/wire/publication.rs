use serde::{Deserialize, Serialize};

use super::Raw;
use crate::id::{IssuerHash, PublicationId};
use crate::name::ActionName;

/// A result made public, as it travels.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Publication {
    /// The same at its origin and at everyone who gets it.
    pub id: PublicationId,
    /// The instance that published it.
    pub issuer: IssuerHash,
    /// The action in whose log it stands.
    pub action: ActionName,
    /// Its place in that log; the first is 1.
    pub sequence: u64,
    /// The [epoch](Place) of that place.
    #[serde(default)]
    pub epoch: i64,
    /// When it was accepted, in milliseconds since 1970-01-01 UTC.
    pub time: i64,
    /// What was published.
    pub payload: Raw,
    /// The publication that was being handled when this one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<PublicationId>,
    /// How many publications led to this one.
    #[serde(default)]
    pub hops: u8,
    /// After this time nobody wants it any more, in milliseconds since 1970-01-01 UTC: it is not delivered, and no receiver
    /// is called with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<i64>,
}

impl Publication {
    /// Where it stands in its log.
    pub fn place(&self) -> Place {
        Place { epoch: self.epoch, sequence: self.sequence }
    }
}

/// A place in an action's log, in the order of the log: by epoch first.
///
/// The log of a publisher whose database was put back to an earlier state gives sequences out again, and in another
/// epoch. Within an epoch none is given out twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// When the publisher opened its database, in milliseconds since 1970-01-01 UTC; 0 before the first publication,
    /// and for what was published by versions without epochs.
    #[serde(default)]
    pub epoch: i64,
    /// What counts up by one, across epochs too.
    pub sequence: u64,
}

/// Sequences of a log that follow each other, all of one [epoch](Place).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The epoch.
    #[serde(default)]
    pub epoch: i64,
    /// The first of them.
    pub first: u64,
    /// The last of them, which is not before the first.
    pub last: u64,
}

impl Span {
    /// Where it ends.
    pub fn end(&self) -> Place {
        Place { epoch: self.epoch, sequence: self.last }
    }
}

/// Shows that publications, which come one after the other, belong to a group that their issuer signed.
///
/// The leaves of a group (everything that one transaction accepted) form a Merkle tree as in RFC 9162,
/// section 2.1. The root follows from these leaves and `path`, so it does not travel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupProof {
    /// How many leaves the group has.
    pub size: u32,
    /// Which leaves these are, from 0, in ascending order.
    pub leaves: Vec<u32>,
    /// The hashes that it takes beside them to compute the root, level by level and from left to right, lowest first;
    /// base64. Of a single leaf, this is the inclusion path of RFC 9162, section 2.1.3.
    pub path: Vec<String>,
    /// The issuer's signature of size and root; base64.
    pub signature: String,
}
