use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::source::Source;

/// The connections that have not authenticated yet. When every place is taken, the oldest connection of the source that
/// has most of them is closed for the new one: whoever only waits keeps nobody out.
#[derive(Clone)]
pub(super) struct WaitingRoom {
    places: usize,
    // Held for map operations, never over an await.
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    next: u64,
    /// In the order in which they came.
    waiting: BTreeMap<u64, (Source, CancellationToken)>,
    sources: HashMap<Source, usize>,
}

/// A place in the room, given back when it is dropped.
pub(super) struct Place {
    room: WaitingRoom,
    number: u64,
    /// Cancelled when somebody else needs the place.
    pub(super) evicted: CancellationToken,
}

impl WaitingRoom {
    pub(super) fn new(places: usize) -> Self {
        Self { places, state: Arc::default() }
    }

    pub(super) fn enter(&self, source: Source) -> Place {
        let mut state = self.state();
        if state.waiting.len() >= self.places {
            state.evict();
        }
        let (number, evicted) = (state.next, CancellationToken::new());
        state.next += 1;
        state.waiting.insert(number, (source, evicted.clone()));
        *state.sources.entry(source).or_default() += 1;
        Place { room: self.clone(), number, evicted }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Looks at every place: there are a few hundred.
    fn evict(&mut self) {
        let most = self.sources.values().copied().max();
        let oldest = self.waiting.iter().find(|(_, (source, _))| self.sources.get(source).copied() == most);
        let Some(number) = oldest.map(|(number, _)| *number) else { return };
        if let Some(evicted) = self.remove(number) {
            evicted.cancel();
        }
    }

    fn remove(&mut self, number: u64) -> Option<CancellationToken> {
        let (source, evicted) = self.waiting.remove(&number)?;
        if let Some(count) = self.sources.get_mut(&source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&source);
            }
        }
        Some(evicted)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.state().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::of([192, 0, 2, last].into())
    }

    #[test]
    fn the_oldest_of_the_busiest_source_makes_room() {
        let room = WaitingRoom::new(4);
        let old = room.enter(source(1));
        let busy: Vec<_> = (0..3).map(|_| room.enter(source(2))).collect();
        let evicted = || busy.iter().map(|place| place.evicted.is_cancelled()).collect::<Vec<_>>();
        let _new = room.enter(source(3));
        assert_eq!(evicted(), [true, false, false]);
        let _newer = room.enter(source(2));
        assert_eq!(evicted(), [true, true, false]);
        assert!(!old.evicted.is_cancelled(), "who is older and alone is not the one");
        assert_eq!(room.state().waiting.len(), 4);
    }

    #[test]
    fn a_place_is_given_back_once() {
        let room = WaitingRoom::new(1);
        let first = room.enter(source(1));
        let second = room.enter(source(1));
        assert!(first.evicted.is_cancelled());
        drop(first);
        assert_eq!(room.state().waiting.len(), 1);
        drop(second);
        assert!(room.state().waiting.is_empty() && room.state().sources.is_empty());
    }
}
