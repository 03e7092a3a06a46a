use std::any::{Any, TypeId};
use std::fmt;
use std::sync::Arc;

/// What a handler may know of the connection that a call came through: values by their type. Cheap to clone.
#[derive(Clone, Default)]
// A list: there are a handful, and each call asks for some.
pub struct Facts(Arc<Vec<(TypeId, Arc<dyn Any + Send + Sync>)>>);

impl Facts {
    /// The fact of this type.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        let fact = self.0.iter().find(|(of, _)| *of == TypeId::of::<T>());
        fact.and_then(|(_, fact)| fact.downcast_ref::<T>()).cloned()
    }

    /// Adds a fact, in the place of an earlier one of its type.
    pub(super) fn insert<T: Clone + Send + Sync + 'static>(&mut self, fact: T) {
        let facts = Arc::make_mut(&mut self.0);
        facts.retain(|(of, _)| *of != TypeId::of::<T>());
        facts.push((TypeId::of::<T>(), Arc::new(fact)));
    }
}

impl fmt::Debug for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Facts({})", self.0.len())
    }
}
