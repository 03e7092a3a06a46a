//! What programs do wrong, in which language, and how the call ends.

use coattail::wire::ErrorCode::{self, Cancelled, Failed, Lost, PluginBroken, TimedOut};

use self::Asks::{AndCancels, Briefly, Once, Twice, WithMuch};

/// The programs of one language.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) runtime: Runtime,
    pub(super) rows: &'static [Row],
}

/// Who runs the programs, and what stands between them and the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runtime {
    /// `NAME.sh`: a process for each call, with the input on stdin and the output on stdout.
    Script,
    /// `by-hand/NAME.sh`: a worker without an SDK.
    ByHand,
    /// `NAME.js`, with the SDK.
    Node,
    /// `NAME.py`, with the SDK.
    Python,
    /// The fixture plugin under this name, with the SDK.
    Rust,
}

/// What a program does wrong, what is asked of it, and how that ends.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) asks: Asks,
    pub(super) ends: Ends,
}

const fn row(name: &'static str, asks: Asks, ends: Ends) -> Row {
    Row { name, asks, ends }
}

/// How a program is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asks {
    /// With 1, and as much time as it wants.
    Once,
    /// As before, and again: the second time by one that has been through it.
    Twice,
    /// With 1, and half a second.
    Briefly,
    /// With 1, and it is cancelled when it has begun.
    AndCancels,
    /// With more than a pipe takes, and half a second.
    WithMuch,
}

/// How a call ends.
pub(super) type Ends = Result<u64, (ErrorCode, &'static str)>;

/// It returns 1, as it should.
const RETURNS: Ends = Ok(1);

const LATE: Ends = Err((TimedOut, "was not done within 500ms"));

pub(super) const SCRIPT: Group = Group {
    runtime: Runtime::Script,
    rows: &[
        row("exits-at-start", Once, Err((Failed, "exit 3; its last output: the reason"))),
        row("exits-in-mid-call", Once, Err((Failed, "exit 7; its last output: the reason"))),
        row("segfaults", Once, Err((Failed, "killed by SIGSEGV"))),
        row("ignores-term", Briefly, LATE),
        row("leaves-a-grandchild", Twice, RETURNS),
        row("daemonizes", Twice, RETURNS),
        row("closes-stdout", Briefly, LATE),
        row("half-a-line", Briefly, LATE),
        row("prints-100-mib", Once, Err((Failed, "wrote more than 8388608 bytes to stdout"))),
        row("floods-stderr", Twice, RETURNS),
        row("binary-garbage", Once, Err((Failed, "is no JSON"))),
        row("answers-twice", Once, Err((Failed, "is no JSON"))),
        row("answers-too-deep", Once, Err((Failed, "nested deeper than 120 levels"))),
        row("never-reads", WithMuch, RETURNS),
        row("spins", Briefly, LATE),
        row("sleeps", AndCancels, Err((Cancelled, "was cancelled"))),
        row("throws-nothing", Once, Err((Failed, "failed: exit 1"))),
    ],
};

pub(super) const BY_HAND: Group = Group {
    runtime: Runtime::ByHand,
    rows: &[
        row("exits-at-start", Once, Err((PluginBroken, "exit 3; its last output: the reason"))),
        row("exits-in-mid-call", Once, Err((Lost, "exit 7; its last output: the reason"))),
        row("exits-after-answering", Once, RETURNS),
        row("leaves-a-grandchild", Once, RETURNS),
        row("closes-stdout", Once, Err((Lost, "it closed its stdout"))),
        row("half-a-line", Briefly, LATE),
        row("a-line-of-100-mib", Once, Err((Lost, "a frame is longer than 8388608 bytes"))),
        row("floods-stderr", Twice, RETURNS),
        row("binary-garbage", Twice, RETURNS),
        row("answers-others", Twice, RETURNS),
        row("answers-only-others", Briefly, LATE),
        row("answers-twice", Twice, RETURNS),
        row("answers-after-cancel", AndCancels, Err((Cancelled, "was cancelled"))),
        row("answers-nonsense", Once, Err((Failed, "makes no sense"))),
        row("answers-too-deep", Once, Err((Failed, "nested deeper than 120 levels"))),
        row("calls-nonsense", Twice, RETURNS),
        row("never-reads", WithMuch, LATE),
    ],
};

pub(super) const NODE: Group = Group {
    runtime: Runtime::Node,
    rows: &[
        row("exits-at-start", Once, Err((PluginBroken, "exit 0; its last output: the reason"))),
        row("exits-in-mid-call", Once, Err((Lost, "exit 0; its last output: the reason"))),
        row("exits-after-answering", Once, RETURNS),
        row("segfaults", Once, Err((Lost, "killed by SIGSEGV"))),
        row("ignores-term", Briefly, LATE),
        row("leaves-a-grandchild", Twice, RETURNS),
        row("daemonizes", Twice, RETURNS),
        row("closes-stdout", Once, RETURNS),
        row("half-a-line", Briefly, LATE),
        row("prints-100-mib", Twice, RETURNS),
        row("answers-100-mib", Once, Err((Failed, "too large"))),
        row("floods-stderr", Twice, RETURNS),
        row("binary-garbage", Twice, RETURNS),
        row("forges-answers", Twice, RETURNS),
        row("answers-after-cancel", AndCancels, Err((Cancelled, "was cancelled"))),
        row("opens-10000-files", Twice, RETURNS),
        row("spins", AndCancels, Err((Cancelled, "was cancelled"))),
        row("sleeps", Briefly, LATE),
        row("throws-nothing", Once, Err((Failed, "undefined"))),
        row("rejects-beside", Twice, RETURNS),
    ],
};

pub(super) const PYTHON: Group = Group {
    runtime: Runtime::Python,
    rows: &[
        row("exits-at-start", Once, Err((PluginBroken, "the reason"))),
        row("exits-in-mid-call", Once, Err((Lost, "exit 7; its last output: the reason"))),
        row("exits-after-answering", Once, RETURNS),
        row("segfaults", Once, Err((Lost, "killed by SIGSEGV"))),
        row("ignores-term", Briefly, LATE),
        row("leaves-a-grandchild", Twice, RETURNS),
        row("daemonizes", Twice, RETURNS),
        row("closes-stdout", Once, RETURNS),
        row("half-a-line", Briefly, LATE),
        row("prints-100-mib", Twice, RETURNS),
        row("answers-100-mib", Once, Err((Failed, "too large"))),
        row("floods-stderr", Twice, RETURNS),
        row("binary-garbage", Twice, RETURNS),
        row("forges-answers", Twice, RETURNS),
        row("answers-after-cancel", AndCancels, Err((Cancelled, "was cancelled"))),
        row("opens-10000-files", Twice, RETURNS),
        row("spins", Briefly, LATE),
        row("sleeps", AndCancels, Err((Cancelled, "was cancelled"))),
        row("throws-nothing", Once, Err((Failed, "RuntimeError"))),
        row("rejects-beside", Twice, RETURNS),
    ],
};

pub(super) const RUST: Group = Group {
    runtime: Runtime::Rust,
    rows: &[
        row("exits-at-start", Once, Err((PluginBroken, "exit 3; its last output: the reason"))),
        row("exits-in-mid-call", Once, Err((Lost, "exit 7; its last output: the reason"))),
        row("exits-after-answering", Once, RETURNS),
        row("segfaults", Once, Err((Lost, "killed by SIGSEGV"))),
        row("ignores-term", Briefly, LATE),
        row("leaves-a-grandchild", Twice, RETURNS),
        row("daemonizes", Twice, RETURNS),
        row("closes-stdout", Once, RETURNS),
        row("half-a-line", Briefly, LATE),
        row("prints-100-mib", Twice, RETURNS),
        row("answers-100-mib", Once, Err((Failed, "too big"))),
        row("floods-stderr", Twice, RETURNS),
        row("binary-garbage", Twice, RETURNS),
        row("forges-answers", Twice, RETURNS),
        row("answers-after-cancel", AndCancels, Err((Cancelled, "was cancelled"))),
        row("opens-10000-files", Twice, RETURNS),
        row("spins", Briefly, LATE),
        row("sleeps", AndCancels, Err((Cancelled, "was cancelled"))),
        row("throws-nothing", Once, Err((Failed, "did not say why"))),
        row("panics", Once, Err((Failed, "the reason"))),
        row("rejects-beside", Twice, RETURNS),
    ],
};
