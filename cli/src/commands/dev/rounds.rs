use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use coattail::rpc::{Deadline, Service, Session};
use coattail::wire::dev::{Files, Given, PluginFiles, TestPlugin, Tested, WatchPlugins};
use coattail::wire::host::{Level, ListActions, ListReceivers};
use coattail::wire::plugin::Kind;
use coattail::wire::plugins::{ReloadOutcome, ReloadPlugins, Reloaded};
use coattail::wire::{Done, ErrorCode, Failure, Method};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use super::super::action::Listed;
use super::keys::{Key, Keys};
use super::screen::Screen;

/// Which keys there are.
pub(super) const KEYS: &str = "r or Enter repeats the last call, l lists, q quits";

/// How often to look whether files have changed: about as soon as whoever saved one looks up.
const LOOK: Duration = Duration::from_millis(300);

/// What plugins were given, and has not been noted yet.
const QUEUE: usize = 64;

/// What happens while somebody writes plugins: files change, keys are pressed, calls are made.
pub(super) struct Rounds {
    session: Session,
    screen: Screen,
    keys: Keys,
    given: mpsc::Receiver<Given>,
    /// Whether changed files repeat the last call.
    replay: bool,
    /// With what to begin, once everything is loaded.
    first: Option<TestPlugin>,
    /// The last call, whoever made it.
    last: Option<TestPlugin>,
    /// The plugins, each with what its files were when they were last looked at.
    known: HashMap<(Kind, String), String>,
    /// What is asked of the daemon.
    work: FuturesUnordered<BoxFuture<'static, Event>>,
    is_looking: bool,
    /// How many are being loaded.
    loading: usize,
}

/// The daemon has answered.
enum Event {
    Looked(Result<Vec<Files>, Failure>),
    Loaded { name: String, is_new: bool, outcome: Result<Vec<Reloaded>, Failure> },
    Tested { name: String, outcome: Result<Tested, Failure> },
    Listed(Result<Vec<Listed>, Failure>),
}

impl Rounds {
    pub(super) fn new(session: Session, screen: Screen, keys: Keys, replay: bool, first: Option<TestPlugin>) -> Self {
        let (queue, given) = mpsc::channel(QUEUE);
        let queue = Arc::new(queue);
        session.serve(Service::new().on_in_order(&queue, |queue: &mpsc::Sender<Given>, _, given: Given| {
            // Only the last one counts; under such a load it is any of them.
            let _ = queue.try_send(given);
            Ok(Done {})
        }));
        let (known, work) = (HashMap::new(), FuturesUnordered::new());
        Self { session, screen, keys, given, replay, first, last: None, known, work, is_looking: false, loading: 0 }
    }

    /// Until somebody wants to end it.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        ask(&self.session, &WatchPlugins {}).await?;
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Each of these can be dropped and asked again: no event is lost.
            tokio::select! {
                key = self.keys.next() => match key {
                    Key::Quit => return Ok(()),
                    Key::Replay => self.replay_last(),
                    Key::List => self.list(),
                    Key::Help => self.screen.say(Level::Info, None, KEYS),
                },
                Some(given) = self.given.recv() => self.note(given),
                Some(event) = self.work.next() => self.take(event)?,
                _ = ticks.tick(), if !self.is_looking => self.look(),
                () = self.session.closed() => {
                    return Err(Failure::new(ErrorCode::ShuttingDown, "the service has stopped"));
                }
            }
        }
    }

    fn look(&mut self) {
        self.is_looking = true;
        let session = self.session.clone();
        self.work.push(async move { Event::Looked(ask(&session, &PluginFiles {}).await) }.boxed());
    }

    fn take(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Looked(files) => {
                self.is_looking = false;
                self.compare(files?);
            }
            Event::Loaded { name, is_new, outcome } => {
                self.loading -= 1;
                let is_loaded = self.tell_loaded(&name, is_new, outcome);
                if is_loaded && !is_new && self.replay && self.last.is_some() {
                    self.replay_last();
                }
            }
            Event::Tested { name, outcome } => self.screen.result(&name, outcome),
            Event::Listed(Err(failure)) => self.screen.failure(None, &failure),
            Event::Listed(Ok(listed)) => self.screen.printer().list(&listed, "there are no plugins")?,
        }
        if self.loading == 0 && !self.is_looking {
            self.begin();
        }
        Ok(())
    }

    /// Loads what is new or has changed, and says what is gone.
    fn compare(&mut self, files: Vec<Files>) {
        let mut before = std::mem::take(&mut self.known);
        for Files { kind, name, state } in files {
            let known = before.remove(&(kind, name.clone()));
            if known.as_ref() != Some(&state) {
                self.load(kind, name.clone(), known.is_none());
            }
            self.known.insert((kind, name), state);
        }
        for (_, name) in before.into_keys() {
            self.screen.say(Level::Warn, Some(&name), "it is gone");
        }
    }

    fn load(&mut self, kind: Kind, name: String, is_new: bool) {
        self.loading += 1;
        let session = self.session.clone();
        let load = async move {
            let reload = ReloadPlugins { kind: Some(kind), name: Some(name.clone()) };
            Event::Loaded { outcome: ask(&session, &reload).await, name, is_new }
        };
        self.work.push(load.boxed());
    }

    /// Whether it can be called as its files are now.
    fn tell_loaded(&self, name: &str, is_new: bool, outcome: Result<Vec<Reloaded>, Failure>) -> bool {
        let reloaded = match outcome {
            Ok(reloaded) => reloaded,
            // Gone again: the next look says so.
            Err(failure) if failure.code == ErrorCode::NotFound => return false,
            Err(failure) => {
                self.screen.failure(Some(name), &failure);
                return false;
            }
        };
        for Reloaded { kind, outcome, message, .. } in &reloaded {
            let kind = kind.as_str();
            let (level, what) = match (outcome, is_new) {
                (ReloadOutcome::Failed, _) => {
                    (Level::Error, format!("{kind} broken: {}", message.as_deref().unwrap_or("nobody knows why")))
                }
                (ReloadOutcome::Reloaded, true) => (Level::Info, format!("{kind} ready")),
                (ReloadOutcome::Reloaded, false) => (Level::Info, format!("{kind} changed: the new version runs")),
                (ReloadOutcome::PerCall, true) => (Level::Info, format!("{kind} ready, started for each call")),
                (ReloadOutcome::PerCall, false) => (Level::Info, format!("{kind} changed")),
            };
            self.screen.say(level, Some(name), &what);
        }
        reloaded.iter().all(|one| one.outcome != ReloadOutcome::Failed)
    }

    /// Makes the first call, if there is to be one, now that everything has been loaded.
    fn begin(&mut self) {
        let Some(first) = self.first.take() else { return };
        let is_receiver = self.known.contains_key(&(Kind::Receiver, first.name.clone()))
            && !self.known.contains_key(&(Kind::Action, first.name.clone()));
        let kind = if is_receiver { Kind::Receiver } else { Kind::Action };
        self.test(TestPlugin { kind, ..first });
    }

    fn replay_last(&mut self) {
        match self.last.clone() {
            Some(last) => self.test(last),
            None => {
                let how = "there is no last call yet: begin with `--perform NAME`, or perform from another terminal";
                self.screen.say(Level::Warn, None, how);
            }
        }
    }

    fn test(&mut self, test: TestPlugin) {
        let session = self.session.clone();
        let call = async move {
            // The daemon has a limit of its own.
            let outcome = session.call_until(&Deadline::new(Duration::MAX), &test).await;
            Event::Tested { name: test.name, outcome }
        };
        self.work.push(call.boxed());
    }

    fn note(&mut self, given: Given) {
        let Given { kind, name, input, publication, .. } = given;
        self.last = Some(TestPlugin { kind, name, input, publication, timeout_ms: None, follow: false });
    }

    fn list(&mut self) {
        let session = self.session.clone();
        let list = async move {
            let actions = ask(&session, &ListActions { peer: None, schemas: false }).await;
            let receivers = ask(&session, &ListReceivers { peer: None, schemas: false }).await;
            Event::Listed(actions.and_then(|mut all| {
                all.extend(receivers?);
                Ok(all.into_iter().map(Listed::from).collect())
            }))
        };
        self.work.push(list.boxed());
    }
}

async fn ask<M: Method>(session: &Session, method: &M) -> Result<M::Reply, Failure> {
    session.call(method).await.map_err(Failure::from)
}
