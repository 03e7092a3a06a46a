use std::fmt;
use std::sync::Arc;

use coattail::id::CallId;
use coattail::rpc::Session;
use coattail::wire::host::{Level, Log, Progress, Working};

/// What is said of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// On purpose.
    Log {
        /// How important.
        level: Level,
        /// What.
        message: String,
    },
    /// The plugin printed it: for this machine alone.
    Output(String),
    /// How far it has got.
    Progress {
        /// From 0 to 1.
        fraction: Option<f64>,
        /// What is being done.
        message: Option<String>,
    },
    /// It is still worked on: its time limit has begun anew.
    Working,
}

/// Where the events of a call go. It is asked while the feed is locked: it must not block, nor ask the feeds.
#[derive(Clone)]
pub struct Sink {
    wants: Wants,
    /// Returns whether there was room.
    send: Arc<Tell>,
}

type Tell = dyn Fn(CallId, &Event) -> bool + Send + Sync;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Wants {
    Working,
    Said,
    Everything,
}

impl Sink {
    /// Somebody of this machine who takes everything.
    pub fn new(send: impl Fn(CallId, &Event) -> bool + Send + Sync + 'static) -> Self {
        Self { wants: Wants::Everything, send: Arc::new(send) }
    }

    /// A caller of this machine. Whoever does not follow learns only that the time limit has begun anew.
    pub(crate) fn caller(session: Session, follows: bool) -> Self {
        let wants = if follows { Wants::Everything } else { Wants::Working };
        Self { wants, send: Arc::new(move |call, event| notify(&session, call, event)) }
    }

    /// A caller at a peer, who does not get what plugins print.
    pub(crate) fn peer(session: Session, follows: bool) -> Self {
        let wants = if follows { Wants::Said } else { Wants::Working };
        Self { wants, send: Arc::new(move |call, event| notify(&session, call, event)) }
    }

    /// Whether it takes more than that the time limit has begun anew.
    pub(crate) fn follows(&self) -> bool {
        self.wants > Wants::Working
    }

    pub(crate) fn wants(&self, event: &Event) -> bool {
        self.wants
            >= match event {
                Event::Working => Wants::Working,
                Event::Log { .. } | Event::Progress { .. } => Wants::Said,
                Event::Output(_) => Wants::Everything,
            }
    }

    /// Tells it of another call: that by which whoever listens knows this one.
    pub(crate) fn of_call(self, call: CallId) -> Self {
        let Self { wants, send } = self;
        Self { wants, send: Arc::new(move |_, event| send(call, event)) }
    }

    pub(crate) fn send(&self, call: CallId, event: &Event) -> bool {
        (self.send)(call, event)
    }
}

impl fmt::Debug for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sink").field("wants", &self.wants).finish_non_exhaustive()
    }
}

/// The frames are the same for peers and for callers of this machine.
fn notify(session: &Session, call: CallId, event: &Event) -> bool {
    match event.clone() {
        Event::Log { level, message } => session.try_notify(&Log { call: Some(call), level, message }),
        Event::Output(message) => session.try_notify(&Log { call: Some(call), level: Level::Info, message }),
        Event::Progress { fraction, message } => session.try_notify(&Progress { call, fraction, message }),
        Event::Working => session.try_notify(&Working { call }),
    }
}
