use std::sync::atomic::{AtomicU8, Ordering};

/// Whether a job has begun. Whoever wants to begin it and whoever gives it up meet here, and one of them was first.
#[derive(Debug)]
pub(super) struct Gate(AtomicU8);

const WAITING: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Gate {
    pub(super) fn new(begun: bool) -> Self {
        Self(AtomicU8::new(if begun { BEGUN } else { WAITING }))
    }

    /// Begins, unless it was given up.
    pub(super) fn begin(&self) -> bool {
        self.pass(BEGUN)
    }

    /// Gives it up, unless it has begun: then nothing was done, and nothing will be.
    pub(super) fn give_up(&self) -> bool {
        self.pass(GIVEN_UP)
    }

    /// What was begun turned out not to have been.
    pub(super) fn reset(&self) {
        self.0.store(WAITING, Ordering::SeqCst);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.0.load(Ordering::SeqCst) == BEGUN
    }

    fn pass(&self, to: u8) -> bool {
        match self.0.compare_exchange(WAITING, to, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => true,
            Err(now) => now == to,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_first_decides() {
        let gate = Gate::new(false);
        assert!(gate.begin() && gate.begin() && gate.has_begun());
        assert!(!gate.give_up());
        gate.reset();
        assert!(gate.give_up() && !gate.begin() && !gate.has_begun());
        assert!(!Gate::new(true).give_up());
    }
}
