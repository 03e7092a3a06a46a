use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use coattail::address::PeerAddress;
use coattail::id::{IssuerHash, SessionId};
use coattail::rpc::{Limits, Service, Session, Stray};
use coattail::wire::peer::Whereabouts;
use coattail::wire::{ErrorCode, Failure};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::{Announcer, Keys, Peers, TokenIssuer, Tokens, Validations};
use crate::actions::{Actions, Calls, Jobs, Remote};
use crate::admission::CallRates;
use crate::api::{control_service, host_service, peer_service};
use crate::audit::Audit;
use crate::config::{Config, RetrySchedule};
use crate::door::Door;
use crate::feeds::Feeds;
use crate::inspection;
use crate::instance::{Instance, InstanceLock};
use crate::own_keys::{InstanceKeys, own_identities};
use crate::parts::Parts;
use crate::plugins::{self, Host, Journals, Plugins};
use crate::publications::{
    Causes, DeadLetters, Delivery, History, Inbox, Links, Publisher, PublisherResets, PublisherSide, Reaches,
    ReceiverSettings, Schedule, SubscriberResets, SubscriberSide, Subscriptions, Traces, signer,
};
use crate::session::{OwnKeys, SessionSettings, Sessions};
use crate::store::{Database, Store};
use crate::transport::{ControlListener, Listener};

/// An instance that is open: its tables of methods can be called. [`serve`](Self::serve) makes it a service.
///
/// Built bottom up, stopped top down. Two can run in one process, on different instances.
pub struct Daemon {
    instance: Instance,
    parts: Arc<Parts>,
    plugins: Plugins,
    /// What workers may call. It leads back to everything here, so it is emptied at the end.
    table: Arc<Mutex<Option<Service>>>,
    /// Ends whatever is left of the plugins, and what waits for that.
    supervision: (CancellationToken, TaskTracker),
    delivery: Delivery,
    links: Links,
    tls: Option<Arc<rustls::ServerConfig>>,
    certificate: Option<String>,
    config: Config,
    // Held for a moment, never over an await.
    doors: Mutex<Option<Doors>>,
    tracker: TaskTracker,
    cancel: CancellationToken,
    // Last: the lock is given back when everything else is gone.
    lock: InstanceLock,
}

/// Where a service listens. Closed with the last clone.
#[derive(Clone)]
struct Doors {
    peers: Arc<Listener>,
    control: Arc<ControlListener>,
}

/// What stays when an instance is opened anew.
struct Kept {
    instance: Instance,
    lock: InstanceLock,
    config: Config,
    doors: Option<Doors>,
    started: jiff::Timestamp,
}

/// What the process that opens an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It will [`serve`](Daemon::serve).
    Service,
    /// It calls a method or two.
    Command,
}

impl std::fmt::Debug for Daemon {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Daemon").field("instance", &self.instance).finish_non_exhaustive()
    }
}

impl Daemon {
    /// Opens an instance: takes its lock, checks its settings and keys, opens its database. `executable` is this
    /// program, which watches over the plugins in a mode of its own.
    ///
    /// # Errors
    /// With what failed, on what, and what to try. Nothing was started then.
    pub async fn open(folder: &Path, executable: &Path, purpose: Purpose) -> Result<Self, Failure> {
        let instance = Instance::open(folder)?;
        let lock = instance.lock(match purpose {
            Purpose::Service => "service",
            Purpose::Command => "command",
        })?;
        let config = Config::load(instance.root())?;
        let database = Database::open(&config.database)?;
        if purpose == Purpose::Service {
            inspection::before(&database)?;
        }
        let kept = Kept { instance, lock, config, doors: None, started: jiff::Timestamp::now() };
        let daemon = Self::assemble(kept, database, executable)?;
        daemon.parts.jobs.recover().await?;
        Ok(daemon)
    }

    /// Opens the instance anew and serves it, as after a restart, with the keys that it has now. Nobody else can get at
    /// it in between, and nobody is turned away: whoever connects meanwhile waits.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`serve`](Self::serve); the service has ended then.
    pub async fn reopen(self, executable: &Path) -> Result<Self, Failure> {
        let doors = self.doors().take();
        self.shutdown(self.limits().shutdown).await;
        let started = self.parts.started;
        let Self { instance, config, lock, parts, .. } = self;
        let weak = Arc::downgrade(&parts);
        drop(parts);
        if weak.strong_count() > 0 {
            tracing::warn!("a key that was replaced stays in memory until the process ends");
        }
        let database = Database::open(&config.database)?;
        let daemon = Self::assemble(Kept { instance, lock, config, doors, started }, database, executable)?;
        daemon.serve().await?;
        Ok(daemon)
    }

    fn assemble(kept: Kept, database: Database, executable: &Path) -> Result<Self, Failure> {
        let Kept { instance, lock, config, doors, started } = kept;
        let InstanceKeys { identity, rotations, issuers, signing, verifying, certificate, tls, retired } =
            InstanceKeys::load(&config, &database)?;
        let store = Store::open(database, signer(&identity), &instance.epoch_file())?;

        let limits = config.limits.clone();
        store.keep_free(limits.disk_reserve);
        let settings = SessionSettings {
            frame_before: limits.frame_before_authentication,
            frame: limits.frame,
            handshake: limits.handshake,
            in_flight: limits.calls_per_session,
            ping: limits.ping,
        };
        let keys = OwnKeys { identity: identity.clone(), rotations, issuers: issuers.to_vec(), verifying };
        let (audit, rates) = (Audit::new(store.clone()), CallRates::new(&limits));
        let sessions = Sessions::new(keys, store.clone(), audit.clone(), rates, settings);
        let reaching = RetrySchedule::dialing(limits.reconnect);
        let delivery = Delivery::new(store.clone(), sessions.clone(), reaching.clone());
        let links = Links::new(store.clone(), sessions.clone(), reaching);
        let publishing =
            Publisher::new(store.clone(), delivery.clone(), u8::try_from(limits.hops).unwrap_or(u8::MAX), limits.frame);
        let causes = Causes::default();
        // Workers call what is built of everything below, so their table comes last; no worker starts before it is set.
        let table = Arc::new(Mutex::new(None::<Service>));
        let host: Host = {
            let table = table.clone();
            Arc::new(move |plugin| {
                let service = table.lock().unwrap_or_else(PoisonError::into_inner).clone();
                // None once the daemon has stopped, when no worker is left that could call.
                service.unwrap_or_default().fact(plugin.clone()).fact(SessionId::new())
            })
        };
        let journals = Journals::new(instance.logs()).map_err(|error| {
            Failure::new(ErrorCode::Internal, format!("the thread that keeps the logs could not start: {error}"))
                .hint("look at the limits of this account: `ulimit -a`")
        })?;
        let feeds = Feeds::default();
        let settings = plugins::Settings {
            feeds: feeds.clone(),
            journals: journals.clone(),
            ..plugin_settings(&instance, &config, identity.issuer(), executable)
        };
        let workers = CancellationToken::new();
        let (plugins, run_plugins) = Plugins::new(settings, host, workers.clone());
        let supervision = TaskTracker::new();
        supervision.spawn(run_plugins);
        supervision.close();

        let address = Arc::new(OnceLock::new());
        let issuer = Arc::new(TokenIssuer {
            issuer: identity.issuer(),
            key: signing,
            config: config.clone(),
            certificate: certificate.clone(),
            address: address.clone(),
        });
        let issue = {
            let issuer = issuer.clone();
            Box::new(move |held: &_, token, now| issuer.subscription(held, token, now))
        };
        let renew = CancellationToken::new();
        let receivers = ReceiverSettings { timeout: limits.local_call, retry: config.receiver_retry.clone() };
        let inbox = Inbox::new(
            store.clone(),
            sessions.clone(),
            plugins.clone(),
            causes.clone(),
            links.clone(),
            &limits,
            receivers,
        );
        let publisher =
            PublisherSide::new(identity.clone(), store.clone(), sessions.clone(), delivery.clone(), plugins.clone());
        let schedule = Schedule::new(store.clone(), delivery.clone(), publishing.clone());
        let actions = Actions::new(plugins.clone(), publishing, schedule.clone(), causes.clone());
        let remote = Remote::new(store.clone(), sessions.clone(), feeds.clone(), limits.remote_call);
        let jobs = Jobs::new(store.clone(), actions.clone(), remote.clone(), feeds.clone(), instance.jobs(), &limits);
        let history = History::new(store.clone(), delivery.clone(), own_identities(&identity, &retired)?);
        let parts = Arc::new(Parts {
            instance: instance.root().to_owned(),
            store: store.clone(),
            sessions: sessions.clone(),
            plugins: plugins.clone(),
            actions,
            remote,
            feeds,
            journals,
            calls: Calls::default(),
            jobs: jobs.clone(),
            history,
            reaches: Reaches::new(store.clone(), delivery.clone(), publisher.clone()),
            traces: Traces::new(identity.issuer(), store.clone(), sessions.clone(), publisher.clone()),
            schedule,
            dead_letters: DeadLetters::new(store.clone(), inbox.clone()),
            subscriptions: Subscriptions::new(store.clone(), inbox.clone(), plugins.clone()),
            publisher_resets: PublisherResets::new(store.clone(), delivery.clone()),
            subscriber_resets: SubscriberResets::new(store.clone(), sessions.clone(), inbox.clone(), links.clone()),
            inbox,
            subscriber: SubscriberSide::new(issue, store.clone(), sessions.clone(), links.clone(), plugins.clone()),
            tokens: Tokens::new(issuer, store.clone(), sessions.clone(), jobs.clone(), publisher.clone()),
            validations: Validations::new(identity.clone(), store.clone(), sessions.clone(), jobs, publisher.clone()),
            keys: Keys::new(config.clone(), identity.clone(), store.clone(), retired, renew.clone())?,
            peers: Peers::new(issuers, store, sessions.clone(), links.clone()),
            publisher,
            audit,
            causes,
            limits,
            stop: CancellationToken::new(),
            renew,
            started,
            address,
        });
        sessions.serve(peer_service(&parts));
        *table.lock().unwrap_or_else(PoisonError::into_inner) = Some(host_service(&parts));
        Ok(Self {
            instance,
            parts,
            plugins,
            table,
            supervision: (workers, supervision),
            delivery,
            links,
            tls,
            certificate,
            config,
            doors: Mutex::new(doors),
            tracker: TaskTracker::new(),
            cancel: CancellationToken::new(),
            lock,
        })
    }

    /// The folder of the instance.
    pub fn folder(&self) -> &Path {
        self.instance.root()
    }

    /// Where peers are told to look for it.
    pub(crate) fn address(&self) -> &PeerAddress {
        self.parts.address.get().expect("asked for once it serves")
    }

    pub(crate) fn started(&self) -> jiff::Timestamp {
        self.parts.started
    }

    pub(crate) fn limits(&self) -> &crate::config::Limits {
        &self.parts.limits
    }

    /// The methods of the control socket, for one caller.
    pub fn control(&self) -> Service {
        control_service(&self.parts).fact(SessionId::new())
    }

    /// As [`control`](Self::control), served on a session that nobody drives yet.
    pub fn serve_on(&self, session: &Session) {
        session.serve(self.control().fact(session.clone()));
    }

    /// Cancelled when somebody asks the service to stop.
    pub fn stop_requested(&self) -> CancellationToken {
        self.parts.stop.clone()
    }

    /// Cancelled when a key was replaced, for the service to [`reopen`](Self::reopen).
    pub fn renew_requested(&self) -> CancellationToken {
        self.parts.renew.clone()
    }

    /// Makes it a service: listens for peers and commands, takes up what was not delivered or handled when it stopped
    /// or was killed. Returns where it listens.
    ///
    /// # Errors
    /// If the port or the control socket cannot be had.
    pub async fn serve(&self) -> Result<SocketAddr, Failure> {
        let kept = self.doors().take();
        let listener = match &kept {
            Some(doors) => doors.peers.with_tls(self.tls.clone()),
            None => Listener::bind(SocketAddr::new(self.config.bind, self.config.port), self.tls.clone())?,
        };
        let address = listener.address();
        let addresses = self.config.advertised(address.port());
        let first = addresses.first().expect("there is an address, at least the one that is configured");
        self.parts.address.set(first.clone()).expect("a daemon serves once");
        self.advertise(addresses).await?;
        // The rows first, so that a command which comes at once finds everything under way.
        tokio::try_join!(self.parts.inbox.start(), self.delivery.start(), self.links.start())?;
        self.parts.jobs.serve().await?;
        let control = match kept {
            Some(doors) => doors.control,
            None => Arc::new(self.bind_control()?),
        };
        let door = Door::new(self.parts.sessions.clone(), self.parts.audit.clone(), &self.config.limits);
        // The door has the socket itself, so that it is closed before the rest stops, unless it is kept.
        *self.doors() = Some(Doors { peers: Arc::new(listener.with_tls(None)), control: control.clone() });
        self.tracker.spawn(door.run(listener, self.cancel.clone()));
        self.tracker.spawn(self.listen_for_commands(control));
        let announcer = Announcer {
            store: self.parts.store.clone(),
            sessions: self.parts.sessions.clone(),
            retry: RetrySchedule::dialing(self.config.limits.reconnect),
        };
        self.tracker.spawn(announcer.run(self.cancel.clone()));
        // Starts what is to be warm.
        self.tracker.spawn(self.plugins.clone().watch(self.cancel.clone()));
        self.tracker.spawn(self.parts.schedule.clone().run(self.cancel.clone()));
        self.tracker.spawn(crate::expiry::run(self.parts.tokens.clone(), self.cancel.clone()));
        self.tracker.spawn(inspection::run(
            self.parts.store.clone(),
            self.config.database.clone(),
            self.cancel.clone(),
        ));
        self.tracker.spawn(crate::retention::run(
            self.parts.store.clone(),
            self.parts.jobs.clone(),
            self.config.limits.clone(),
            self.cancel.clone(),
        ));
        Ok(address)
    }

    /// Before anything is dialled: what is told then has to be what holds now.
    async fn advertise(&self, addresses: Vec<PeerAddress>) -> Result<(), Failure> {
        let whereabouts = Whereabouts { addresses, certificate: self.certificate.clone() };
        let text = serde_json::to_string(&whereabouts).expect("it is JSON");
        self.parts.store.advertise(text).await?;
        self.parts.sessions.set_whereabouts(whereabouts);
        Ok(())
    }

    /// Takes commands on the control socket.
    ///
    /// # Errors
    /// If the socket cannot be made.
    pub fn serve_commands(&self) -> Result<(), Failure> {
        let control = self.bind_control()?;
        self.tracker.spawn(self.listen_for_commands(Arc::new(control)));
        Ok(())
    }

    fn bind_control(&self) -> Result<ControlListener, Failure> {
        let path = self.instance.control_socket();
        ControlListener::bind(&path).map_err(|error| {
            Failure::new(ErrorCode::Failed, format!("cannot listen on {}: {error}", path.display()))
                .hint("check that you own the folder of the instance, and that its disk is not full")
        })
    }

    fn doors(&self) -> MutexGuard<'_, Option<Doors>> {
        self.doors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listen_for_commands(&self, listener: Arc<ControlListener>) -> impl Future<Output = ()> + use<> {
        let (parts, cancel) = (self.parts.clone(), self.cancel.clone());
        let tracker = self.tracker.clone();
        async move {
            loop {
                let accepted = tokio::select! {
                    biased;
                    () = cancel.cancelled() => break,
                    // Whoever has seen the answer that a key was replaced meets the instance that has the new one.
                    () = parts.renew.cancelled() => break,
                    accepted = listener.accept() => accepted,
                };
                let stream = match accepted {
                    Ok(stream) => stream,
                    Err(error) => {
                        crate::door::pause_after(&error).await;
                        continue;
                    }
                };
                let (reader, writer) = stream.into_split();
                let limits = Limits::default();
                let (session, run) =
                    Session::new(reader, writer, Service::new(), Stray::Close, limits, CancellationToken::new());
                session.serve(control_service(&parts).fact(SessionId::new()).fact(session.clone()));
                let stop = cancel.clone();
                tracker.spawn(async move {
                    tokio::pin!(run);
                    tokio::select! {
                        _ = &mut run => {}
                        () = stop.cancelled() => {
                            // What a command waits for is still answered.
                            session.drain();
                            run.await;
                        }
                    }
                });
            }
        }
    }

    /// Stops: refuses new work, finishes what is under way until the deadline, ends the rest. May be called twice.
    pub async fn shutdown(&self, deadline: Duration) {
        let Parts { sessions, inbox, jobs, store, audit, .. } = &*self.parts;
        drop(self.doors().take());
        let graceful = async {
            // 1. Nothing new comes in: no connections, no commands, no deliveries from here.
            self.cancel.cancel();
            self.tracker.close();
            self.delivery.close().await;
            self.links.close().await;
            // 2. Receivers that run finish; their outcome is on disk when this returns.
            inbox.close().await;
            // 3. Calls under way are answered. Jobs that have begun here finish, the others stay for the next start.
            tokio::join!(jobs.close(), sessions.drain());
            self.tracker.wait().await;
        };
        if tokio::time::timeout(deadline, graceful).await.is_err() {
            tracing::warn!(?deadline, "not everything was finished in time; ending the rest");
        }
        // 4. Workers end, with all that they have started. What waited for them ends as lost.
        self.plugins.shutdown(Duration::ZERO).await;
        let (cancel, supervision) = &self.supervision;
        cancel.cancel();
        supervision.wait().await;
        // What became of the jobs that did not finish, which is lost, is on disk when this returns.
        jobs.close().await;
        // 5. Whatever is still there is dropped, and joined.
        sessions.close().await;
        // 6. Nobody says or decides anything any more.
        self.parts.journals.close().await;
        audit.close().await;
        drop(self.table.lock().unwrap_or_else(PoisonError::into_inner).take());
        store.close().await;
    }
}

fn plugin_settings(instance: &Instance, config: &Config, issuer: IssuerHash, executable: &Path) -> plugins::Settings {
    let limits = &config.limits;
    plugins::Settings {
        guard: executable.to_owned(),
        node: config.runtimes.node.clone(),
        python: config.runtimes.python.clone(),
        sh: config.runtimes.sh.clone(),
        timeout: limits.local_call,
        start: limits.plugin_start,
        grace: limits.plugin_grace,
        queue: limits.queued_calls_per_action,
        frame: limits.frame,
        retry: config.receiver_retry.clone(),
        ..plugins::Settings::new(instance.root().to_owned(), issuer)
    }
}
