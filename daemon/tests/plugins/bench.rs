use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use coattail::id::{CallId, IssuerHash, PublicationId};
use coattail::name::{ActionName, ReceiverName};
use coattail::rpc::{Facts, Service};
use coattail::wire::plugin::{Kind, Source};
use coattail::wire::{Done, Failure, Raw, host};
use coattail_daemon::plugins::{GUARD, PerformCall, PluginId, Plugins, ReceiveCall, Settings};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// An instance's plugins, with everything they log.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) plugins: Plugins,
    pub(crate) logs: Arc<Mutex<Vec<(PluginId, String)>>>,
    pub(crate) kill: CancellationToken,
    pub(crate) run: JoinHandle<()>,
}

/// A plain plugin that tells the number of its guard.
pub(crate) const GUARD_SH: &str = "echo $PPID";

/// The result of a call, as text.
pub(crate) type Outcome = Result<Option<String>, Failure>;

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// Graces are short here, so that tests of stubborn processes are.
    pub(crate) fn with(change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = settings(folder.path());
        change(&mut settings);
        let logs = Arc::new(Mutex::new(Vec::new()));
        let heard = logs.clone();
        let host = move |_: &PluginId| {
            Service::new().on_in_order(&heard, |heard: &Mutex<Vec<_>>, facts: Facts, log: host::Log| {
                heard.lock().unwrap().push((facts.get::<PluginId>().unwrap(), log.message));
                Ok(Done {})
            })
        };
        let kill = CancellationToken::new();
        let (plugins, run) = Plugins::new(settings, Arc::new(host), kill.clone());
        let run = TaskTracker::new().spawn(run);
        Self { folder, plugins, logs, kill, run }
    }

    /// Puts an executable file into the instance: `actions/NAME`, `receivers/NAME`, `actions/NAME.yml`.
    pub(crate) fn file(&self, path: &str, text: &str) -> PathBuf {
        write(self.folder.path(), path, text)
    }

    /// The action `bad`, which does what it is told.
    pub(crate) fn bad(&self) -> &Self {
        self.file("actions/bad", include_str!("bad.py"));
        self
    }

    pub(crate) async fn bad_does(&self, what: &str) -> Outcome {
        self.perform("bad", Some(&format!("{what:?}"))).await
    }

    pub(crate) async fn perform(&self, action: &str, input: Option<&str>) -> Outcome {
        self.call(action, call(input)).await
    }

    pub(crate) async fn call(&self, action: &str, call: PerformCall) -> Outcome {
        let result = self.plugins.perform(&ActionName::new(action).unwrap(), call).await?;
        Ok(result.map(|raw| raw.get().to_owned()))
    }

    pub(crate) async fn receive(&self, receiver: &str, input: &str) -> Result<Source, Failure> {
        let source = Source {
            id: PublicationId::new(),
            issuer: IssuerHash::of_public_key("them"),
            action: "Report".into(),
            sequence: 7,
            time: 0,
            hops: 0,
            attempt: 1,
        };
        let call = ReceiveCall {
            call: CallId::new(),
            input: raw(input),
            source: source.clone(),
            timeout: None,
            follower: None,
            cancel: CancellationToken::new(),
        };
        self.plugins.receive(&ReceiverName::new(receiver).unwrap(), call).await?;
        Ok(source)
    }

    /// The guards there are.
    pub(crate) fn guards(&self) -> Vec<i32> {
        let instance = format!("COATTAIL_INSTANCE={}\0", self.folder.path().display());
        let is_guard = |pid: &i32| {
            let of = |what: &str| fs::read(format!("/proc/{pid}/{what}")).unwrap_or_default();
            of("cmdline") == format!("coattail\0{GUARD}\0").as_bytes() && of("environ") == instance.as_bytes()
        };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_guard).collect()
    }

    pub(crate) fn problem(&self, kind: Kind, name: &str) -> Option<String> {
        let found = self.plugins.list(kind).into_iter().find(|found| found.name == name).unwrap();
        found.problem.map(|problem| problem.message)
    }
}

pub(crate) fn settings(instance: &Path) -> Settings {
    let mut settings = Settings::new(instance.to_owned(), IssuerHash::of_public_key("key"));
    settings.grace = Duration::from_millis(300);
    settings
}

pub(crate) fn write(instance: &Path, path: &str, text: &str) -> PathBuf {
    let path = instance.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    // By another name first: a file that is open for writing cannot be executed.
    let draft = path.with_file_name(".draft");
    fs::write(&draft, text).unwrap();
    fs::set_permissions(&draft, Permissions::from_mode(0o755)).unwrap();
    fs::rename(&draft, &path).unwrap();
    path
}

pub(crate) fn call(input: Option<&str>) -> PerformCall {
    PerformCall {
        begin: None,
        call: CallId::new(),
        input: input.map(raw),
        caller: None,
        timeout: None,
        start_timeout: None,
        follower: None,
        cancel: CancellationToken::new(),
    }
}

pub(crate) fn raw(text: &str) -> Raw {
    serde_json::from_str(text).unwrap()
}

pub(crate) fn number(outcome: Outcome) -> i32 {
    outcome.unwrap().unwrap().parse().unwrap()
}

/// Whether a process exists; one that has ended and only waits to be reaped does not.
pub(crate) fn is_alive(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| !rest.trim_start().starts_with(['Z', 'X']))
}

/// Waits until something holds, for at most 5 seconds.
#[track_caller]
pub(crate) fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while !holds() {
        assert!(std::time::Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
