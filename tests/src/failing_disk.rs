//! A disk that fails, for one process.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// `strace`, which has a system call of a process fail.
#[derive(Debug)]
pub struct FailingDisk(Child);

impl FailingDisk {
    /// From now on the `nth` `fsync` or `fdatasync` of each thread of a process fails, once. `None` if this machine has no
    /// `strace`, or does not let it look into other processes; that is said.
    ///
    /// # Panics
    /// If `strace` says nothing that can be understood.
    pub fn of(process: Pid, nth: u64) -> Option<Self> {
        #[expect(clippy::disallowed_methods, reason = "another program than the one under test")]
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-e", "trace=fsync,fdatasync"]);
        command.args(["-e", &format!("inject=fsync,fdatasync:error=EIO:when={nth}")]);
        command.args(["-p", &process.to_string()]);
        let Ok(mut child) = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn() else {
            return left_out("there is no `strace`");
        };
        let mut said = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        said.read_line(&mut line).expect("a text");
        if !line.contains("attached") {
            let _ = child.wait();
            return left_out(&format!("`strace` cannot be used: {}", line.trim()));
        }
        // It goes on to say which threads it follows; nobody reads that, and it must not wait for it.
        std::thread::spawn(move || said.read_to_end(&mut Vec::new()));
        Some(Self(child))
    }
}

impl Drop for FailingDisk {
    fn drop(&mut self) {
        // It lets go of the process, which a kill would end.
        let _ = kill(Pid::from_raw(self.0.id().cast_signed()), Signal::SIGINT);
        let _ = self.0.wait();
    }
}

fn left_out(why: &str) -> Option<FailingDisk> {
    // Not by a macro, whose text is not shown unless the test fails.
    let _ = io::stderr().write_all(format!("LEFT OUT: {why}, so a disk that fails was NOT tested\n").as_bytes());
    None
}
