//! From a publication to the start of a receiver's code.

use std::os::unix::fs::symlink;

use coattail_tests::Cluster;
use coattail_tests::instance::binary;

use super::goals::{Goal, Sample, row};
use crate::cores::Pinned;
use crate::delivery::starts;
use crate::effort::Effort;
use crate::load::{Round, client};
use crate::report::{Row, Unit};

pub(super) fn rows(effort: &Effort) -> Vec<Row> {
    let mut rows = one_machine(effort, "");
    let _pinned = Pinned::to_first();
    rows.extend(one_machine(effort, ", pinned"));
    rows
}

fn one_machine(effort: &Effort, how: &str) -> Vec<Row> {
    let cluster = Cluster::pair();
    let receiver = cluster.subscriber.path("receivers/rust-0");
    symlink(binary("stamp-receiver"), receiver).expect("a link can be made");
    let (rounds, _) = client(starts(effort, &cluster, "rust", 1));
    let quantile = |share| -> Vec<Sample> {
        let sample = |round: &Round| Sample { ours: round.quantile(share).as_secs_f64(), rival: None, floor: None };
        rounds.iter().map(sample).collect()
    };
    let what = format!("publication to receiver start, two `fsync`s on the way{how}, p50");
    vec![
        row(what, Unit::Seconds, "", Goal::AtMost(1.5e-3), &quantile(0.5)),
        row(format!("… p99{how}"), Unit::Seconds, "", Goal::AtMost(5e-3), &quantile(0.99)),
    ]
}
