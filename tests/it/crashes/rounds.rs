//! Which points are passed in which order, from how many seeds.

use std::collections::VecDeque;

use coattail_tests::Random;

use super::points::{During, POINTS, Point};

/// Seeds for each point, unless `COATTAIL_SEEDS` says otherwise.
const SEEDS: u64 = 20;

/// One kill: at the `nth` time that this point is passed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    pub(super) point: &'static Point,
    pub(super) seed: u64,
    pub(super) nth: u64,
    /// For what else is left to chance.
    pub(super) chance: u64,
}

impl Round {
    /// Every point of these times, once for each seed, in an order that the first seed decides.
    pub(super) fn all(during: &[During]) -> VecDeque<Self> {
        let first = number("COATTAIL_FIRST_SEED").unwrap_or(1);
        let only = std::env::var("COATTAIL_POINT").ok();
        let points = POINTS.iter().filter(|point| during.contains(&point.during));
        let points = points.filter(|point| only.as_ref().is_none_or(|only| only == point.name));
        let mut rounds: Vec<Self> = points
            .flat_map(|point| {
                (first..first + number("COATTAIL_SEEDS").unwrap_or(SEEDS)).map(move |seed| Self::of(point, seed))
            })
            .collect();
        let mut random = Random::new(first);
        for at in (1..rounds.len()).rev() {
            rounds.swap(at, usize::try_from(random.below(at as u64 + 1)).expect("small"));
        }
        rounds.into()
    }

    fn of(point: &'static Point, seed: u64) -> Self {
        let name = point.name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        let mut random = Random::new(name ^ (seed << 32));
        // The first numbers of neighbouring seeds are alike.
        let _ = (random.below(1), random.below(1));
        Self { point, seed, nth: 1 + random.below(point.among), chance: random.below(u32::MAX.into()) }
    }

    /// What is to be in `COATTAIL_KILL_AT`.
    pub(super) fn order(&self) -> String {
        format!("{}:{}", self.point.name, self.nth)
    }

    /// The last words of whoever was killed there.
    pub(super) fn last_words(&self) -> String {
        format!("killed at {}", self.point.name)
    }

    /// How to look for a failure again.
    pub(super) fn again(&self) -> String {
        let Self { point, seed, nth, .. } = self;
        format!("at the passing {nth} of this point; again: COATTAIL_POINT={} COATTAIL_FIRST_SEED={seed}", point.name)
    }
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {text:?}")))
}
