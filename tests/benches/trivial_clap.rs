//! What every command line costs: `clap`, and on demand one round trip over a Unix socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use clap::Parser;

#[derive(Parser)]
struct Arguments {
    /// Where somebody answers a byte with a byte.
    #[arg(long)]
    socket: Option<PathBuf>,
}

#[expect(clippy::print_stdout, reason = "a command answers")]
fn main() {
    if let Some(socket) = Arguments::parse().socket {
        let mut stream = UnixStream::connect(socket).expect("somebody listens");
        stream.write_all(b"?").expect("it reads");
        stream.read_exact(&mut [0]).expect("it answers");
    }
    println!("done");
}
