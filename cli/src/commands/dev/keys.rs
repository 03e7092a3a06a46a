use std::io::{self, IsTerminal as _};
use std::os::fd::AsFd as _;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{LocalFlags, SetArg, Termios, tcgetattr, tcsetattr};
use nix::unistd::read;
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Keys that wait; more are not heard.
const QUEUE: usize = 16;

/// How often to look whether nobody wants to hear keys any more, in milliseconds.
const LOOK: u16 = 100;

/// What a key asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// The last call once more.
    Replay,
    /// What there is.
    List,
    /// The end.
    Quit,
    /// Which keys there are.
    Help,
}

impl Key {
    fn of(byte: u8) -> Self {
        match byte {
            b'r' | b'\n' | b'\r' => Self::Replay,
            b'l' => Self::List,
            b'q' => Self::Quit,
            _ => Self::Help,
        }
    }
}

/// The keys of a terminal, heard one by one. When this is dropped, the terminal is as it was.
#[derive(Debug)]
pub(super) struct Keys {
    keys: mpsc::Receiver<Key>,
    terminal: Option<Terminal>,
    _end: DropGuard,
}

impl Keys {
    /// Listens, if there is a terminal on stdin and a person could see on stdout what comes of it.
    pub(super) fn new() -> Self {
        let (tell, keys) = mpsc::channel(QUEUE);
        let end = CancellationToken::new();
        let terminal = Terminal::of_stdin();
        if terminal.is_some() {
            let end = end.clone();
            // Ends within a look when this is dropped, which the runtime waits for.
            drop(tokio::task::spawn_blocking(move || listen(&tell, &end)));
        }
        Self { keys, terminal, _end: end.drop_guard() }
    }

    /// Whether somebody can press keys.
    pub(super) fn are_there(&self) -> bool {
        self.terminal.is_some()
    }

    /// The next one; never, if there is no terminal. Can be dropped and asked again.
    pub(super) async fn next(&mut self) -> Key {
        match self.keys.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

fn listen(tell: &mpsc::Sender<Key>, end: &CancellationToken) {
    let stdin = io::stdin();
    while !end.is_cancelled() {
        let mut wanted = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        if !poll(&mut wanted, PollTimeout::from(LOOK)).is_ok_and(|ready| ready > 0) {
            continue;
        }
        let mut byte = [0];
        let key = match read(stdin.as_fd(), &mut byte) {
            Ok(1) => Key::of(byte[0]),
            // The terminal is gone.
            _ => Key::Quit,
        };
        let _ = tell.try_send(key);
        if key == Key::Quit {
            return;
        }
    }
}

/// A terminal that gives keys as they are pressed and does not show them. Ctrl-C is still a signal.
#[derive(Debug)]
struct Terminal {
    before: Termios,
}

impl Terminal {
    fn of_stdin() -> Option<Self> {
        if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
            return None;
        }
        let before = tcgetattr(io::stdin()).ok()?;
        let mut single = before.clone();
        single.local_flags.remove(LocalFlags::ICANON | LocalFlags::ECHO);
        tcsetattr(io::stdin(), SetArg::TCSANOW, &single).ok()?;
        Some(Self { before })
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.before);
    }
}
