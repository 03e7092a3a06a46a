use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use coattail::id::CallId;
use coattail::rpc::Pace;
use coattail::wire::host::Level;
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{Journals, PluginId, Settings};
use crate::feeds::{Event, Feeds, Passed, Rate, Speaker};

/// Bytes of a line that are kept. The rest of a longer line is dropped, and its length told.
const LINE: usize = 8 * 1024;
/// What is kept for error messages: the last bytes and lines.
const TAIL_BYTES: usize = 4 * 1024;
const TAIL_LINES: usize = 20;
/// Bytes that are read at once.
pub(super) const BUFFER: usize = 16 * 1024;

/// What a worker prints: logged, and the end of it kept for the message when it dies. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Output {
    plugin: Arc<PluginId>,
    feeds: Feeds,
    journals: Journals,
    // A std mutex: held for a line and never over an await.
    state: Arc<Mutex<State>>,
}

/// A call is under way, until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    output: Output,
    call: CallId,
}

#[derive(Debug)]
struct State {
    tail: VecDeque<String>,
    tail_bytes: usize,
    rate: Rate,
    calls: Vec<CallId>,
}

impl Output {
    pub(super) fn new(plugin: Arc<PluginId>, settings: &Settings) -> Self {
        let state = State { tail: VecDeque::new(), tail_bytes: 0, rate: Rate::new(Instant::now()), calls: Vec::new() };
        let (feeds, journals) = (settings.feeds.clone(), settings.journals.clone());
        Self { plugin, feeds, journals, state: Arc::new(Mutex::new(state)) }
    }

    /// While a call is the only one under way, those who follow it get what is printed.
    pub(super) fn during(&self, call: CallId) -> UnderWay {
        self.lock().calls.push(call);
        UnderWay { output: self.clone(), call }
    }

    /// Reads until the end, however much comes, and as fast as is good for others.
    pub(super) async fn drain<R: AsyncRead + Unpin>(&self, mut reader: R) {
        let (mut lines, mut pace) = (Lines::default(), Pace::new());
        let mut buffer = vec![0; BUFFER];
        // A broken pipe is an end, too.
        while let Ok(count @ 1..) = reader.read(&mut buffer).await {
            let mut bytes = &buffer[..count];
            while !bytes.is_empty() {
                let before = bytes.len();
                if let Some(line) = lines.take(&mut bytes) {
                    self.line(&line);
                }
                pace.keep(before - bytes.len()).await;
            }
        }
        if let Some(line) = lines.rest() {
            self.line(&line);
        }
    }

    /// Takes one line.
    pub(super) fn line(&self, line: &str) {
        let mut state = self.lock();
        state.keep(line);
        let Passed::After(left_out) = state.rate.pass(Instant::now()) else { return };
        let call = state.only_call();
        drop(state);
        if left_out > 0 {
            self.tell(call, Level::Warn, format!("{left_out} lines were left out: too many in a second"));
        }
        self.tell(call, Level::Info, printable(line));
    }

    /// Tells everybody who looks on.
    fn tell(&self, call: Option<CallId>, level: Level, line: String) {
        self.journals.write(&self.plugin, level, call, &line);
        tracing::info!(target: "plugin", plugin = %self.plugin, "{line}");
        if let Some(call) = call {
            let speaker = Speaker::Plugin(self.plugin.kind, self.plugin.name.clone());
            self.feeds.say(&speaker, call, Event::Output(line));
        }
    }

    /// The last lines, to end an error message with; nothing if nothing was printed.
    pub(super) fn last_words(&self) -> String {
        let state = self.lock();
        let lines = state.tail.iter().map(|line| line.trim_end()).filter(|line| !line.is_empty());
        match lines.map(printable).collect::<Vec<_>>() {
            lines if lines.is_empty() => String::new(),
            lines => format!("{LAST_OUTPUT}{}", lines.join(" | ")),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut state = self.output.lock();
        if let Some(at) = state.calls.iter().position(|call| *call == self.call) {
            state.calls.swap_remove(at);
        }
    }
}

/// What stands in a message before the last lines that a plugin printed: they are for the owner alone.
pub(crate) const LAST_OUTPUT: &str = "; its last output: ";

impl State {
    /// The call that what is printed belongs to, if there is just one.
    fn only_call(&self) -> Option<CallId> {
        match self.calls[..] {
            [call] => Some(call),
            _ => None,
        }
    }

    fn keep(&mut self, line: &str) {
        let line = &line[..line.floor_char_boundary(TAIL_BYTES)];
        self.tail_bytes += line.len();
        self.tail.push_back(line.to_owned());
        while self.tail.len() > TAIL_LINES || self.tail_bytes > TAIL_BYTES {
            let Some(oldest) = self.tail.pop_front() else { break };
            self.tail_bytes -= oldest.len();
        }
    }
}

/// Bytes to lines, none kept longer than [`LINE`].
#[derive(Debug, Default)]
struct Lines {
    line: Vec<u8>,
    cut: usize,
}

impl Lines {
    /// Takes bytes up to the end of a line, and returns the line, or all if it does not end in them.
    fn take(&mut self, bytes: &mut &[u8]) -> Option<String> {
        let end = memchr::memchr(b'\n', bytes);
        let (line, rest) = bytes.split_at(end.unwrap_or(bytes.len()));
        self.append(line);
        *bytes = rest.get(1..).unwrap_or_default();
        end.map(|_| self.end())
    }

    /// What is no whole line, once there is nothing more.
    fn rest(mut self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.end())
    }

    fn append(&mut self, bytes: &[u8]) {
        let room = LINE - self.line.len();
        self.line.extend_from_slice(&bytes[..room.min(bytes.len())]);
        self.cut += bytes.len().saturating_sub(room);
    }

    fn end(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.line);
        let line = match self.cut {
            0 => text.trim_end_matches('\r').to_owned(),
            cut => format!("{text} … ({cut} more bytes)"),
        };
        self.line.clear();
        self.cut = 0;
        line
    }
}

/// Without what could change the look of a log: a plugin's output is anybody's text.
fn printable(line: &str) -> String {
    line.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let (mut lines, mut got) = (Lines::default(), Vec::new());
        for mut piece in pieces.iter().copied() {
            while !piece.is_empty() {
                got.extend(lines.take(&mut piece));
            }
        }
        got.extend(lines.rest());
        got
    }

    #[test]
    fn lines_come_whole_in_whatever_pieces() {
        assert_eq!(lines(&[b"a\nb", b"c\r\n", b"\n", b"d"]), ["a", "bc", "", "d"]);
        assert_eq!(lines(&[b"\xff\n"]), ["\u{fffd}"]);
        let long = vec![b'x'; 3 * LINE];
        let got = lines(&[&long, b"\nnext"]);
        assert!(got[0].ends_with(&format!("x … ({} more bytes)", 2 * LINE)), "{}", &got[0][LINE - 10..]);
        assert_eq!((got[0].len() < LINE + 100, got[1].as_str()), (true, "next"));
    }

    #[tokio::test]
    async fn the_tail_is_the_end_and_small() {
        let id = PluginId { kind: coattail::wire::plugin::Kind::Action, name: "x".into() };
        let settings = Settings::new("/".into(), coattail::id::IssuerHash::of_public_key("key"));
        let output = Output::new(Arc::new(id), &settings);
        assert_eq!(output.last_words(), "");
        let text: String = (0..100_000).map(|n| format!("line {n}\n")).collect();
        output.drain(text.as_bytes()).await;
        let tail = output.last_words();
        assert!(tail.ends_with("line 99998 | line 99999") && tail.matches(" | ").count() == TAIL_LINES - 1, "{tail}");
        output.line(&"é".repeat(LINE));
        assert!(output.last_words().len() <= TAIL_BYTES + 30);
        output.line("\u{1b}[31mred");
        assert!(output.last_words().ends_with("\u{fffd}[31mred"));
    }
}
