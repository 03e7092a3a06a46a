//! One instance.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use crate::output::Output;
use crate::wait::until;

/// The program under test.
pub fn program() -> PathBuf {
    binary("coattail-under-test")
}

/// A binary of this package, beside the test that runs.
pub fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.ancestors().nth(2).expect("a test lies in `deps`");
    folder.join(name)
}

/// An instance in a folder of its own. Its service runs after [`start`](Self::start).
#[derive(Debug)]
pub struct Instance {
    _home: TempDir,
    folder: PathBuf,
    port: u16,
    service: Option<Service>,
    env: Vec<(String, String)>,
    /// What stands before the command that starts its service.
    entering: Vec<String>,
}

#[derive(Debug)]
struct Service {
    child: Child,
    log: Arc<Mutex<String>>,
}

impl Instance {
    /// Makes one, with `coattail new`, in a folder of this name.
    ///
    /// # Panics
    /// If it cannot be made; so do all methods here if something fails that should not.
    #[track_caller]
    pub fn new(name: &str) -> Self {
        let home = tempfile::tempdir().expect("a temporary folder");
        // As the program will tell it, also where the temporary folder is a link.
        let folder = home.path().canonicalize().expect("it exists").join(name);
        let port = free_port();
        let instance = Self { _home: home, folder, port, service: None, env: Vec::new(), entering: Vec::new() };
        let path = instance.folder.display().to_string();
        let _ = instance.run_outside(&["new", &path, "--port", &port.to_string()]).ok();
        instance
    }

    /// Makes one and starts its service.
    #[track_caller]
    pub fn running(name: &str) -> Self {
        let mut instance = Self::new(name);
        instance.start();
        instance
    }

    /// Sets a variable for the service and the commands that are still to come.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// A path in its folder.
    pub fn path(&self, below: &str) -> PathBuf {
        self.folder.join(below)
    }

    /// Where its service listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Adds sections to its `config.yml`, such as `receivers:` or `limits:`.
    #[track_caller]
    pub fn configure(&self, yaml: &str) {
        let path = self.path("config.yml");
        let text = fs::read_to_string(&path).expect("config.yml is there");
        // The last of the sections is there, and empty; a section may stand there only once.
        let text = text.replacen("\nreceivers:\n", "\n", 1);
        fs::write(path, format!("{text}\n{yaml}\n")).expect("config.yml can be written");
    }

    /// Replaces a text in its `config.yml`.
    #[track_caller]
    pub fn reconfigure(&self, old: &str, new: &str) {
        let path = self.path("config.yml");
        let text = fs::read_to_string(&path).expect("config.yml is there");
        assert!(text.contains(old), "there is no {old:?} in {text}");
        fs::write(path, text.replacen(old, new, 1)).expect("config.yml can be written");
    }

    /// Moves it to another port, for its next start.
    #[track_caller]
    pub fn move_to_another_port(&mut self) {
        let port = free_port();
        self.reconfigure(&format!("port: {}", self.port), &format!("port: {port}"));
        self.port = port;
    }

    /// Has its service run elsewhere from its next start on: `entering` is a command that starts the one behind it.
    pub fn move_into(&mut self, entering: Vec<String>) {
        self.entering = entering;
    }

    /// Puts a file into `actions/` or `receivers/`; executable unless its name ends in `.js` or `.py`.
    #[track_caller]
    pub fn plugin(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::write(&path, text).expect("a plugin can be written");
        let is_script = path.extension().is_some_and(|extension| extension == "js" || extension == "py");
        fs::set_permissions(&path, fs::Permissions::from_mode(if is_script { 0o644 } else { 0o755 }))
            .expect("a mode can be set");
    }

    /// Runs a command on this instance.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Output {
        self.run_with(arguments, "")
    }

    /// Runs a command on this instance with `--json`, which must succeed, and returns its answer.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Value {
        self.run(&[arguments, &["--json"]].concat()).ok().json()
    }

    /// As [`run`](Self::run), with something on stdin.
    #[track_caller]
    pub fn run_with(&self, arguments: &[&str], stdin: &str) -> Output {
        let instance = self.folder.display().to_string();
        self.run_outside_with(&[arguments, &["--instance", &instance]].concat(), stdin)
    }

    /// As [`run`](Self::run), with these variables besides.
    #[track_caller]
    pub fn run_with_env(&self, arguments: &[&str], env: &[(&str, &str)]) -> Output {
        let instance = self.folder.display().to_string();
        let arguments = [arguments, &["--instance", &instance]].concat();
        let mut command = self.command(&arguments);
        command.envs(env.iter().copied()).stdin(Stdio::null());
        Output::new(arguments.join(" "), command.output().expect("the program can be started"))
    }

    /// Runs a command without naming the instance.
    #[track_caller]
    pub fn run_outside(&self, arguments: &[&str]) -> Output {
        self.run_outside_with(arguments, "")
    }

    #[track_caller]
    fn run_outside_with(&self, arguments: &[&str], stdin: &str) -> Output {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let mut pipe = child.stdin.take().expect("piped");
        let stdin = stdin.to_owned();
        // A command that does not read must not hold us up.
        let feed = thread::spawn(move || pipe.write_all(stdin.as_bytes()));
        let output = child.wait_with_output().expect("it ends");
        let _ = feed.join().expect("writing does not panic");
        Output::new(arguments.join(" "), output)
    }

    /// The program with these arguments, in the environment of this instance.
    pub fn command(&self, arguments: &[&str]) -> Command {
        self.command_after(&[], arguments)
    }

    #[expect(clippy::disallowed_methods, reason = "the program under test is started here")]
    fn command_after(&self, entering: &[String], arguments: &[&str]) -> Command {
        let mut command = match entering {
            [] => Command::new(program()),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(program());
                command
            }
        };
        command.args(arguments);
        command.env("XDG_RUNTIME_DIR", self.folder.parent().expect("a home"));
        for name in ["COATTAIL_OUTPUT", "COATTAIL_INSTANCE", "COATTAIL_LOG", "CLICOLOR_FORCE"] {
            command.env_remove(name);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// Starts its service and waits until it is ready.
    #[track_caller]
    pub fn start(&mut self) {
        self.launch(&[]);
        self.wait_until_ready();
    }

    /// Waits until its service, which was launched, is ready.
    #[track_caller]
    pub fn wait_until_ready(&mut self) {
        until("the service to be ready", || {
            let service = self.service.as_mut().expect("just started");
            if let Some(status) = service.child.try_wait().expect("a child can be waited for") {
                panic!("the service of {} ended at once ({status}):\n{}", self.folder.display(), self.log());
            }
            self.log().contains(" is ready: ").then_some(())
        });
    }

    /// Starts its service, with these variables besides, and does not wait for anything.
    #[track_caller]
    pub fn launch(&mut self, env: &[(&str, &str)]) {
        assert!(self.service.is_none(), "the service runs already");
        let folder = self.folder.display().to_string();
        let mut child = self
            .command_after(&self.entering, &["service", "start", "--instance", &folder])
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .expect("the program can be started");
        let log = Arc::new(Mutex::new(String::new()));
        let (lines, written) = (BufReader::new(child.stderr.take().expect("piped")), log.clone());
        thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                let mut log = written.lock().unwrap_or_else(PoisonError::into_inner);
                log.push_str(&line);
                log.push('\n');
            }
        });
        self.service = Some(Service { child, log });
    }

    /// How its service has ended by itself, if it has.
    #[track_caller]
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.service.as_mut().expect("it was started").child.try_wait().expect("a child can be waited for")
    }

    /// Its service has ended by itself, and may be started again.
    #[track_caller]
    pub fn forget(&mut self) {
        assert!(self.ended().is_some(), "it runs");
        self.service = None;
    }

    /// What its service has logged since it was started.
    pub fn log(&self) -> String {
        let log =
            self.service.as_ref().map(|service| service.log.lock().unwrap_or_else(PoisonError::into_inner).clone());
        log.unwrap_or_default()
    }

    /// The process of its service.
    #[track_caller]
    pub fn pid(&self) -> Pid {
        let id = self.service.as_ref().expect("the service runs").child.id();
        Pid::from_raw(i32::try_from(id).expect("a process id"))
    }

    /// Sends its service a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).expect("the service runs");
    }

    /// Whether its service was started, and not ended by a test.
    pub fn is_running(&self) -> bool {
        self.service.is_some()
    }

    /// Kills its service, as a power cut would end it.
    #[track_caller]
    pub fn kill(&mut self) {
        self.signal(Signal::SIGKILL);
        self.service.take().expect("the service runs").child.wait().expect("it ends");
    }

    /// Stops its service in order; it must exit with 0.
    #[track_caller]
    pub fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        self.wait_until_stopped();
    }

    /// Waits until its service has ended, which was told to; it must exit with 0.
    #[track_caller]
    pub fn wait_until_stopped(&mut self) {
        let log = self.log();
        let mut service = self.service.take().expect("the service runs");
        let status = until("the service to stop", || service.child.try_wait().expect("a child can be waited for"));
        assert!(status.success(), "the service stopped with {status}:\n{log}");
    }

    /// What its service counts.
    #[track_caller]
    pub fn counts(&self) -> Value {
        self.json(&["service", "status"])[0]["counts"].clone()
    }

    /// Waits until one of its counts has reached a number.
    #[track_caller]
    pub fn wait_for(&self, count: &str, number: u64) {
        until(
            &format!("`{count}` to reach {number} at {}; it is {}", self.folder.display(), self.counts()[count]),
            || (self.counts()[count].as_u64()? >= number).then_some(()),
        );
    }

    /// What its receivers have kept so far, line by line.
    #[track_caller]
    pub fn received(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.path("received.jsonl")).unwrap_or_default();
        // The last line may be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// Processes whose command line or environment names its folder.
    pub fn processes(&self) -> Vec<(u32, String)> {
        let folder = self.folder.as_os_str().as_encoded_bytes();
        let names = |path: PathBuf| {
            fs::read(path).ok().filter(|bytes| bytes.windows(folder.len()).any(|window| window == folder))
        };
        let entries = fs::read_dir("/proc").expect("there is /proc").flatten();
        entries
            .filter_map(|entry| {
                let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
                let found = names(entry.path().join("cmdline")).or_else(|| names(entry.path().join("environ")))?;
                let text = String::from_utf8_lossy(&found).replace('\0', " ");
                Some((pid, text.chars().take(200).collect()))
            })
            .filter(|(pid, _)| *pid != std::process::id())
            .collect()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("--- log of {}:\n{}", self.folder.display(), self.log());
        }
        if let Some(service) = &mut self.service {
            let _ = service.child.kill();
            let _ = service.child.wait();
        }
        if !thread::panicking() {
            until("every process of an instance to end", || self.processes().is_empty().then_some(()));
        }
    }
}

/// A port on which nobody listens, from below those that the system gives to clients.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 20_000 + u16::try_from(std::process::id() % 400).expect("below 400") * 30;
    loop {
        let port = first + NEXT.fetch_add(1, Ordering::Relaxed) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
