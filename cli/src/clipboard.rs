//! The clipboard of the desktop, through its own tools: they keep what was copied when this program has ended, which
//! the owner of an X11 selection has to.

use std::env;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a tool may take to hand over to its part in the background. A display that does not answer, such as that
/// of a broken `ssh -X`, must not hold up a command that is done.
const PATIENCE: Duration = Duration::from_secs(2);

/// How often to look whether it has.
const POLL: Duration = Duration::from_millis(10);

/// The tools, in the order in which they are tried: where each works, its program and its arguments. What is copied is
/// never among those, where others on the machine could see it.
const TOOLS: [(Place, &str, &[&str]); 4] = [
    (Place::Wayland, "wl-copy", &[]),
    (Place::X11, "xclip", &["-selection", "clipboard"]),
    (Place::X11, "xsel", &["--clipboard", "--input"]),
    (Place::MacOs, "pbcopy", &[]),
];

/// What a tool needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Wayland,
    X11,
    MacOs,
}

impl Place {
    fn is_here(self) -> bool {
        let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            Self::Wayland => is_set("WAYLAND_DISPLAY"),
            Self::X11 => is_set("DISPLAY"),
            Self::MacOs => cfg!(target_os = "macos"),
        }
    }
}

/// Whether there is a display, and so a clipboard that somebody may paste from.
pub(crate) fn has_display() -> bool {
    [Place::Wayland, Place::X11, Place::MacOs].into_iter().any(Place::is_here)
}

/// Puts a text on the clipboard, and says by which tool; or why not, in words for people.
pub(crate) fn copy(text: &str) -> Result<&'static str, String> {
    if !has_display() {
        return Err("there is no display (neither WAYLAND_DISPLAY nor DISPLAY is set)".to_owned());
    }
    let mut why = "install wl-copy, xclip or xsel".to_owned();
    for (place, tool, arguments) in TOOLS {
        if !place.is_here() {
            continue;
        }
        let Ok(program) = which::which(tool) else { continue };
        match give(program, arguments, text) {
            Ok(Some(status)) if status.success() => return Ok(tool),
            Ok(Some(status)) => why = format!("{tool} failed ({status})"),
            Ok(None) => why = format!("{tool} did not finish within {PATIENCE:?}"),
            Err(error) => why = format!("{tool}: {error}"),
        }
    }
    Err(why)
}

/// Gives a text to a tool on its stdin; `None` if it did not end in time.
fn give(program: PathBuf, arguments: &[&str], text: &str) -> io::Result<Option<ExitStatus>> {
    #[expect(clippy::disallowed_methods, reason = "a tool of the desktop, bounded here, and no plugin")]
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        // Its part in the background would hold ours open, and whoever reads them would wait for it.
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let outcome = hand_over(&mut child, text);
    if !matches!(outcome, Ok(Some(_))) {
        // It may have ended in this moment.
        let _ = child.kill();
        let _ = child.wait();
    }
    outcome
}

fn hand_over(child: &mut Child, text: &str) -> io::Result<Option<ExitStatus>> {
    // A token fits into the pipe, so that this does not wait for the tool. Dropping the pipe is the end of the text.
    let given = child.stdin.take().expect("it is piped").write_all(text.as_bytes());
    let deadline = Instant::now() + PATIENCE;
    loop {
        match child.try_wait()? {
            None if Instant::now() < deadline => sleep(POLL),
            // It says that it has done what it was not given.
            Some(status) if status.success() => return given.map(|()| Some(status)),
            ended => return Ok(ended),
        }
    }
}
