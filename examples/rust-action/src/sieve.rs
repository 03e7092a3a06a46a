//! The sieve of Eratosthenes, a segment at a time, so that memory stays small however far it goes.

/// Numbers in a segment: as many bytes, which fit into the second cache of a core.
const SEGMENT: u64 = 1 << 18;

/// Counts the primes of one segment after the other.
pub(crate) struct Sieve {
    up_to: u64,
    start: u64,
    /// The primes up to the root of `up_to`.
    base: Vec<u64>,
    composite: Vec<bool>,
}

/// What a segment has given.
pub(crate) struct Segment {
    /// Its last number.
    pub(crate) end: u64,
    /// How many primes are in it.
    pub(crate) primes: u64,
}

impl Sieve {
    pub(crate) fn new(up_to: u64) -> Self {
        let mut base: Vec<u64> = Vec::new();
        for n in 2..=up_to.isqrt() {
            if base.iter().take_while(|&&prime| prime * prime <= n).all(|prime| n % prime != 0) {
                base.push(n);
            }
        }
        Self { up_to, start: 2, base, composite: Vec::new() }
    }
}

impl Iterator for Sieve {
    type Item = Segment;

    fn next(&mut self) -> Option<Segment> {
        if self.start > self.up_to {
            return None;
        }
        let (start, end) = (self.start, self.up_to.min(self.start + SEGMENT - 1));
        self.composite.clear();
        self.composite.resize((end - start + 1) as usize, false);
        for &prime in self.base.iter().take_while(|&&prime| prime * prime <= end) {
            let first = (prime * prime).max(start.next_multiple_of(prime));
            for multiple in (first..=end).step_by(prime as usize) {
                self.composite[(multiple - start) as usize] = true;
            }
        }
        self.start = end + 1;
        let primes = self.composite.iter().filter(|&&composite| !composite).count() as u64;
        Some(Segment { end, primes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_primes_are_counted() {
        for (up_to, primes) in
            [(0, 0), (1, 0), (2, 1), (3, 2), (4, 2), (100, 25), (SEGMENT, 23_000), (10_000_000, 664_579)]
        {
            assert_eq!(Sieve::new(up_to).map(|segment| segment.primes).sum::<u64>(), primes, "{up_to}");
        }
    }
}
