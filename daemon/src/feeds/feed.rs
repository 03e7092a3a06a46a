use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use coattail::id::CallId;
use coattail::rpc::{Deadline, Session};
use coattail::wire::host::Level;
use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure};

use super::rate::{Passed, Rate};
use super::sink::{Event, Sink};

/// Who may follow one call at once: whoever made it, and some who look on.
const FOLLOWERS: usize = 16;

/// Bytes of a message that are passed on.
const MESSAGE: usize = 8 * 1024;

/// The calls under way, here and at peers, and who follows each. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Feeds {
    // Std mutexes: held for a look, or while an event is put into queues that never wait; never over an await. Order:
    // first the map, then a feed.
    calls: Arc<Mutex<Open>>,
}

type Open = HashMap<(Side, CallId), Arc<Mutex<Feed>>>;

/// Who says something of a call.
#[derive(Debug, Clone)]
pub enum Speaker {
    /// The owner of the instance, or a script of theirs, over the control socket.
    Owner,
    /// A plugin.
    Plugin(Kind, String),
    /// A peer, over this session.
    Peer(Session),
}

/// A call may be under way here and at a peer at once, should that peer be this very instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Side {
    Here,
    Peer,
}

#[derive(Debug)]
struct Feed {
    /// Who runs the call.
    origin: Speaker,
    deadline: Deadline,
    retry_after: Option<Duration>,
    rate: Rate,
    followers: Vec<Follower>,
}

#[derive(Debug)]
struct Follower {
    sink: Sink,
    /// Events that found no room since it last could be told.
    lost: u64,
}

/// A call that is under way until this is dropped.
#[derive(Debug)]
pub struct OpenFeed {
    feeds: Feeds,
    key: (Side, CallId),
    feed: Arc<Mutex<Feed>>,
}

impl Feeds {
    /// Opens a call: `origin` is who may speak of it, `deadline` what `working` moves, `first` who follows from the
    /// beginning.
    ///
    /// # Errors
    /// `AlreadyExists` if a call of this id is under way.
    pub fn open(
        &self,
        call: CallId,
        origin: Speaker,
        deadline: Deadline,
        first: Option<Sink>,
    ) -> Result<OpenFeed, Failure> {
        let key = (origin.side(), call);
        let followers = first.into_iter().map(|sink| Follower { sink, lost: 0 }).collect();
        let feed = Feed { origin, deadline, retry_after: None, rate: Rate::new(Instant::now()), followers };
        let feed = Arc::new(Mutex::new(feed));
        match self.calls().entry(key) {
            Entry::Vacant(entry) => _ = entry.insert(feed.clone()),
            Entry::Occupied(_) => {
                return Err(Failure::new(ErrorCode::AlreadyExists, format!("a call {call} is under way already")));
            }
        }
        Ok(OpenFeed { feeds: self.clone(), key, feed })
    }

    /// Follows a call that is under way, until it ends.
    ///
    /// # Errors
    /// `NotFound` if there is none, `Busy` if too many follow it.
    pub fn follow(&self, call: CallId, sink: Sink) -> Result<(), Failure> {
        let feed = [Side::Here, Side::Peer].iter().find_map(|side| self.find((*side, call)));
        let feed = feed.ok_or_else(|| Failure::new(ErrorCode::NotFound, format!("no call {call} is under way")))?;
        let mut feed = lock(&feed);
        if feed.followers.len() >= FOLLOWERS {
            return Err(Failure::busy(format!("call {call} is followed by {FOLLOWERS} already")));
        }
        feed.followers.push(Follower { sink, lost: 0 });
        Ok(())
    }

    /// Which plugin runs a call.
    pub(crate) fn plugin(&self, call: CallId) -> Option<(Kind, String)> {
        match &lock(&*self.find((Side::Here, call))?).origin {
            Speaker::Plugin(kind, name) => Some((*kind, name.clone())),
            Speaker::Owner | Speaker::Peer(_) => None,
        }
    }

    /// Passes on what somebody says of a call. What is not theirs to say is dropped; returns whether it was.
    pub fn say(&self, speaker: &Speaker, call: CallId, event: Event) -> bool {
        let Some(feed) = self.find((speaker.side(), call)) else { return false };
        let mut feed = lock(&feed);
        let may = feed.origin.is(speaker);
        if may {
            feed.take(call, event);
        }
        may
    }

    /// Notes when to try again, should the call end with `retry-later`.
    pub fn retry_after(&self, speaker: &Speaker, call: CallId, after: Duration) -> bool {
        let Some(feed) = self.find((speaker.side(), call)) else { return false };
        let mut feed = lock(&feed);
        let may = feed.origin.is(speaker);
        if may {
            feed.retry_after = Some(after);
        }
        may
    }

    fn find(&self, key: (Side, CallId)) -> Option<Arc<Mutex<Feed>>> {
        self.calls().get(&key).cloned()
    }

    fn calls(&self) -> MutexGuard<'_, Open> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Speaker {
    fn side(&self) -> Side {
        match self {
            Speaker::Owner | Speaker::Plugin(..) => Side::Here,
            Speaker::Peer(_) => Side::Peer,
        }
    }

    /// Whether `other` may speak for this origin.
    fn is(&self, other: &Speaker) -> bool {
        match (self, other) {
            // Whoever owns the instance may do everything, and so may scripts: their processes are not told apart.
            (Speaker::Plugin(..), Speaker::Owner) => true,
            (Speaker::Plugin(kind, name), Speaker::Plugin(other_kind, other_name)) => {
                (kind, name) == (other_kind, other_name)
            }
            (Speaker::Peer(session), Speaker::Peer(other)) => session.is_same(other),
            _ => false,
        }
    }
}

impl Feed {
    fn take(&mut self, call: CallId, event: Event) {
        if event == Event::Working {
            self.deadline.prolong();
            return self.tell(call, &event);
        }
        match self.rate.pass(Instant::now()) {
            Passed::No => {}
            Passed::After(left_out) => {
                self.tell_left_out(call, left_out);
                self.tell(call, &cut(event));
            }
        }
    }

    fn tell_left_out(&mut self, call: CallId, count: u64) {
        if count > 0 {
            self.tell(call, &left_out(count, "too many in a second"));
        }
    }

    fn tell(&mut self, call: CallId, event: &Event) {
        for follower in self.followers.iter_mut().filter(|follower| follower.sink.wants(event)) {
            if follower.catch_up(call) && !follower.sink.send(call, event) {
                follower.lost = 1;
            }
        }
    }
}

impl Follower {
    /// Tells what was lost, if anything was; whether there was room for that. If not, one more is lost.
    fn catch_up(&mut self, call: CallId) -> bool {
        let has_room = self.lost == 0 || self.sink.send(call, &left_out(self.lost, "the connection was too slow"));
        self.lost = if has_room { 0 } else { self.lost + 1 };
        has_room
    }
}

impl OpenFeed {
    /// When to try again, if it was said.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        lock(&self.feed).retry_after
    }
}

impl Drop for OpenFeed {
    fn drop(&mut self) {
        self.feeds.calls().remove(&self.key);
        let (call, mut feed) = (self.key.1, lock(&self.feed));
        let count = feed.rate.take_left_out();
        feed.tell_left_out(call, count);
        for follower in &mut feed.followers {
            follower.catch_up(call);
        }
    }
}

fn lock(feed: &Mutex<Feed>) -> MutexGuard<'_, Feed> {
    feed.lock().unwrap_or_else(PoisonError::into_inner)
}

fn left_out(count: u64, why: &str) -> Event {
    Event::Log { level: Level::Warn, message: format!("{count} lines were left out: {why}") }
}

/// What is too long is cut, and a number that is none is nothing.
fn cut(event: Event) -> Event {
    let short = |mut text: String| {
        text.truncate(text.floor_char_boundary(MESSAGE));
        text
    };
    match event {
        Event::Log { level, message } => Event::Log { level, message: short(message) },
        Event::Output(line) => Event::Output(short(line)),
        Event::Progress { fraction, message } => {
            let fraction = fraction.filter(|fraction| fraction.is_finite()).map(|fraction| fraction.clamp(0.0, 1.0));
            Event::Progress { fraction, message: message.map(short) }
        }
        Event::Working => Event::Working,
    }
}

#[cfg(test)]
mod tests;
