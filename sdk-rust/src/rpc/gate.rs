use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::facts::Facts;
use crate::wire::Failure;

/// What is decided about a frame of the other side before anything of it is looked at but the name of its method.
///
/// The default is to go on.
#[derive(Debug, Default)]
pub struct Admission {
    /// Why it is refused.
    pub refusal: Option<Failure>,
    /// How long nothing more is read from the other side, which is told by the flow control of whatever carries the
    /// frames. What waits is neither lost nor held in memory here.
    pub rest: Duration,
}

/// Decides so of each frame.
#[derive(Clone)]
pub(super) struct Gate(Arc<Decide>);

/// By what is known of the connection, and the name of a method that is served. There is none if the method is unknown,
/// or if the frame is an answer that nobody waits for.
type Decide = dyn Fn(&Facts, Option<&'static str>) -> Admission + Send + Sync;

impl Gate {
    pub(super) fn new(decide: impl Fn(&Facts, Option<&'static str>) -> Admission + Send + Sync + 'static) -> Self {
        Self(Arc::new(decide))
    }

    pub(super) fn admit(&self, facts: &Facts, method: Option<&'static str>) -> Admission {
        (self.0)(facts, method)
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gate")
    }
}
