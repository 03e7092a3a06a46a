//! Programs of the benchmark itself, each in a process of its own: this very program, told by its environment.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::{bare, responder};

const ROLE: &str = "COATTAIL_BENCH_ROLE";

/// Plays the role that the environment names, if it names one.
pub(crate) fn play() -> bool {
    let Ok(role) = std::env::var(ROLE) else { return false };
    let arguments: Vec<String> = role.split(' ').map(str::to_owned).collect();
    match arguments[0].as_str() {
        "bare" => bare::play(&arguments[1..]),
        "responder" => responder::play(&arguments[1..]),
        other => panic!("there is no role {other}"),
    }
    true
}

/// One that plays a role. It ends with this.
#[derive(Debug)]
pub(super) struct Player {
    child: Child,
    /// What it said when it was ready.
    pub(super) said: String,
}

impl Player {
    #[expect(clippy::disallowed_methods, reason = "a process that is no plugin")]
    pub(super) fn start(role: &str) -> Self {
        let this = std::env::current_exe().expect("a program has a path");
        let mut child = Command::new(this)
            .env(ROLE, role)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("it can be started");
        let mut said = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut said).expect("it says when it is ready");
        assert!(!said.is_empty(), "{role} ended at once");
        Self { child, said: said.trim().to_owned() }
    }

    pub(super) fn pid(&self) -> String {
        self.child.id().to_string()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
