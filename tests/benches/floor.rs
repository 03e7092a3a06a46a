//! What the machine itself takes, without Coattail.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::effort::Effort;
use crate::load::{self, Round, blocking_rounds};
use crate::report::Section;

/// About as long as a call is on the wire.
const MESSAGE: &[u8] = &[b'x'; 200];

/// About what the row of a small publication adds to the write-ahead log: a page.
const PAGE: &[u8] = &[b'x'; 4096];

const NODE: &str = "process.stdin.on('data', (data) => process.stdout.write(data));";
const PYTHON: &str = "import sys\nfor line in iter(sys.stdin.buffer.readline, b''):\n    \
    sys.stdout.buffer.write(line)\n    sys.stdout.buffer.flush()";

pub(crate) fn measure(effort: &Effort) -> Section {
    Section {
        note: "What this machine takes without Coattail, in the same run: compare the other tables with these. One \
               after the other, with blocking calls."
            .to_owned(),
        columns: load::COLUMNS,
        rows: vec![
            load::row("append 4 KiB to a file and `fdatasync`", &sync(effort)),
            load::row("round trip of 200 bytes over loopback TCP, between two threads", &tcp(effort)),
            load::row("round trip of a line through the pipes of a bare Node", &pipe(effort, "node", &["-e", NODE])),
            load::row(
                "round trip of a line through the pipes of a bare Python",
                &pipe(effort, "python3", &["-c", PYTHON]),
            ),
        ],
    }
}

fn sync(effort: &Effort) -> Vec<Round> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut file = File::create(folder.path().join("log")).expect("a file can be made");
    blocking_rounds(effort, || file.write_all(PAGE).and_then(|()| file.sync_data()).expect("the disk takes it"))
}

fn tcp(effort: &Effort) -> Vec<Round> {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let echo = std::thread::spawn(move || -> io::Result<()> {
        let (mut stream, _) = listener.accept()?;
        stream.set_nodelay(true)?;
        let mut buffer = [0; MESSAGE.len()];
        loop {
            stream.read_exact(&mut buffer)?;
            stream.write_all(&buffer)?;
        }
    });
    let mut stream = TcpStream::connect(address).expect("somebody listens");
    stream.set_nodelay(true).expect("TCP");
    let mut buffer = [0; MESSAGE.len()];
    let rounds = blocking_rounds(effort, || {
        stream.write_all(MESSAGE).and_then(|()| stream.read_exact(&mut buffer)).expect("it echoes");
    });
    drop(stream);
    let ended = echo.join().expect("it does not panic");
    assert!(ended.is_err_and(|error| error.kind() == io::ErrorKind::UnexpectedEof), "it echoes until the end");
    rounds
}

#[expect(clippy::disallowed_methods, reason = "a process that is no plugin")]
fn pipe(effort: &Effort, program: &str, arguments: &[&str]) -> Vec<Round> {
    let mut command = Command::new(program);
    let spawned = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child: Child = spawned.expect("it is installed");
    let mut stdin = child.stdin.take().expect("piped");
    let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
    let line = [MESSAGE, b"\n"].concat();
    let mut answer = Vec::new();
    let rounds = blocking_rounds(effort, || {
        answer.clear();
        stdin.write_all(&line).expect("it reads");
        stdout.read_until(b'\n', &mut answer).expect("it writes");
    });
    drop(stdin);
    child.wait().expect("it ends with its stdin");
    rounds
}
