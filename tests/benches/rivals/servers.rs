//! The other brokers, if they are installed: each with its files in a folder of its own, and TLS.

use std::fs::{self, File};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use coattail_tests::instance::free_port;
use coattail_tests::wait::until;
use tempfile::TempDir;

use crate::process::is_installed;

/// When JetStream calls `fsync`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sync {
    /// `sync_interval: always`.
    Always,
    /// As it comes: every two minutes.
    Default,
}

#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    pub(super) port: u16,
    _folder: TempDir,
}

impl Server {
    /// `nats-server` with JetStream.
    pub(super) fn nats(sync: Sync) -> Option<Self> {
        let sync = match sync {
            Sync::Always if !knows_sync_interval() => return None,
            Sync::Always => "sync_interval: always",
            Sync::Default => "",
        };
        Self::nats_with(|folder| format!("jetstream {{ store_dir: '{}', {sync} }}", folder.display()))
    }

    /// Two of them, without JetStream, that pass on to each other, over TLS.
    pub(super) fn routed_nats() -> Option<(Self, Self)> {
        let route = free_port();
        let tls = |folder: &Path| {
            let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
            format!(
                "tls {{ cert_file: '{}', key_file: '{}', ca_file: '{}' }}",
                cert.display(),
                key.display(),
                cert.display()
            )
        };
        // One certificate for both, so that each believes the other.
        let pair = Pair::new();
        let first = Self::nats_of(&pair, |folder| {
            format!("cluster {{ name: two, listen: '127.0.0.1:{route}', {} }}", tls(folder))
        })?;
        let second = Self::nats_of(&pair, |folder| {
            let own = free_port();
            let routes = format!("routes: ['nats-route://localhost:{route}']");
            format!("cluster {{ name: two, listen: '127.0.0.1:{own}', {routes}, {} }}", tls(folder))
        })?;
        Some((first, second))
    }

    fn nats_with(more: impl Fn(&Path) -> String) -> Option<Self> {
        Self::nats_of(&Pair::new(), more)
    }

    fn nats_of(pair: &Pair, more: impl Fn(&Path) -> String) -> Option<Self> {
        Self::start("nats-server", &["-c"], pair, |folder, port| {
            format!(
                "listen: '127.0.0.1:{port}'\ntls {{ cert_file: '{}', key_file: '{}' }}\n{}\n",
                folder.join("cert.pem").display(),
                folder.join("key.pem").display(),
                more(folder)
            )
        })
    }

    /// `mosquitto` with persistence, and without its limits on what may wait.
    pub(super) fn mosquitto() -> Option<Self> {
        Self::start("mosquitto", &["-c"], &Pair::new(), |folder, port| {
            let folder = folder.display();
            format!(
                "listener {port} 127.0.0.1\ncertfile {folder}/cert.pem\nkeyfile {folder}/key.pem\nuser root\n\
                 allow_anonymous true\npersistence true\npersistence_location {folder}/\nautosave_interval 1\n\
                 max_inflight_messages 0\nmax_queued_messages 0\nset_tcp_nodelay true\n"
            )
        })
    }

    pub(super) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    #[expect(clippy::disallowed_methods, reason = "a process that is no plugin")]
    fn start(program: &str, options: &[&str], pair: &Pair, config: impl Fn(&Path, u16) -> String) -> Option<Self> {
        if !is_installed(program) {
            return None;
        }
        let (folder, port) = (tempfile::tempdir().expect("a temporary folder"), free_port());
        fs::write(folder.path().join("cert.pem"), &pair.cert).expect("written");
        fs::write(folder.path().join("key.pem"), &pair.key).expect("written");
        let file = folder.path().join("server.conf");
        fs::write(&file, config(folder.path(), port)).expect("written");
        let log = folder.path().join("server.log");
        let child = Command::new(program)
            .args(options)
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(File::create(&log).expect("a file can be made"))
            .stderr(File::options().append(true).open(&log).expect("it was made"))
            .spawn()
            .expect("it is installed");
        let mut server = Self { child, port, _folder: folder };
        until("the other broker to listen", || {
            if let Some(status) = server.child.try_wait().expect("a child can be waited for") {
                panic!("{program} ended at once ({status}):\n{}", fs::read_to_string(&log).unwrap_or_default());
            }
            TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), Duration::from_secs(1)).ok()
        });
        Some(server)
    }
}

/// Versions before 2.10 cannot be told when to call `fsync`.
#[expect(clippy::disallowed_methods, reason = "a process that is no plugin")]
fn knows_sync_interval() -> bool {
    let Ok(output) = Command::new("nats-server").arg("--version").output() else { return false };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let numbers: Vec<u32> = text.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect();
    matches!(numbers[..], [major, minor, ..] if (major, minor) >= (2, 10))
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A certificate for this machine, by itself.
struct Pair {
    cert: String,
    key: String,
}

impl Pair {
    fn new() -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate can be made");
        Self { cert: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }
}
