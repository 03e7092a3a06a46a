//! A command that goes on while the test does something else.

use std::process::{Child, ChildStdout, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::instance::Instance;
use crate::output::Output;

/// A command that was started.
#[derive(Debug)]
pub struct Background {
    command: String,
    child: Child,
}

impl Instance {
    /// Starts a command on this instance, and does not wait for it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[track_caller]
    pub fn begin(&self, arguments: &[&str]) -> Background {
        let folder = self.folder().display().to_string();
        let child = self
            .command(&[arguments, &["--instance", &folder]].concat())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        Background { command: arguments.join(" "), child }
    }
}

impl Background {
    /// Whether it has ended.
    ///
    /// # Panics
    /// If it cannot be looked after.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_some()
    }

    /// Sends it a signal; one that has ended already gets none.
    ///
    /// # Panics
    /// If it may not be signalled.
    pub fn signal(&mut self, signal: Signal) {
        if !self.has_ended() {
            // Not reaped yet, so the number is still its own.
            kill(Pid::from_raw(self.child.id().cast_signed()), signal).expect("it is ours");
        }
    }

    /// What it writes to stdout, from here on; [`finish`](Self::finish) then lacks it.
    ///
    /// # Panics
    /// If it was asked for before.
    pub fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().expect("asked for once")
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// If it writes what is no text.
    #[track_caller]
    #[must_use]
    pub fn finish(self) -> Output {
        let output = self.child.wait_with_output().expect("it ends");
        Output::new(self.command, output)
    }
}
