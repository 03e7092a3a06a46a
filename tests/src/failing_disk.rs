//! A disk that fails, for one process.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait::until;

/// `strace`, which has a system call of a process fail.
#[derive(Debug)]
pub struct FailingDisk(Child);

impl FailingDisk {
    /// From now on the `nth` `fsync` or `fdatasync` of each thread that a process has fails, once. `None` if this machine
    /// has no `strace`, or does not let it look into other processes; that is said.
    ///
    /// # Panics
    /// If `strace` says nothing that can be understood.
    pub fn of(process: Pid, nth: u64) -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "another program than the one under test")]
        let mut command = Command::new("strace");
        command.args(["-o", "/dev/null", "-e", "trace=fsync,fdatasync"]);
        command.args(["-e", &format!("inject=fsync,fdatasync:error=EIO:when={nth}")]);
        // Each by itself, since to follow a process is to follow its children: `strace` never lets go of a thread that
        // waits for a child to start which `strace` holds.
        let threads = threads(process);
        for thread in &threads {
            command.args(["-p", thread]);
        }
        let Ok(mut child) = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn() else {
            return left_out("there is no `strace`");
        };
        let mut said = BufReader::new(child.stderr.take().expect("piped"));
        for _ in threads {
            let mut line = String::new();
            said.read_line(&mut line).expect("a text");
            if !line.contains("attached") {
                let _ = child.kill();
                let _ = child.wait();
                return left_out(&format!("`strace` cannot be used: {}", line.trim()));
            }
        }
        // It may go on to say something; nobody reads that, and it must not wait for it.
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        Some(Self(child))
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        // It lets go of the threads, which a kill might leave stopped.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGINT);
        until("`strace` to let go", || self.0.try_wait().ok().flatten());
    }
}

fn threads(process: Pid) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).expect("the process runs");
    tasks.map(|task| task.expect("it can be read").file_name().into_string().expect("a number")).collect()
}

fn left_out(why: &str) -> Option<FailingDisk> {
    // Not by a macro, whose text is not shown unless the test fails.
    let _ = io::stderr().write_all(format!("LEFT OUT: {why}, so a disk that fails was NOT tested\n").as_bytes());
    None
}
