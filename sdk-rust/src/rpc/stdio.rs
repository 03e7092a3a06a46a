use std::fs::File;
use std::io;
use std::os::fd::AsFd as _;

use nix::unistd::{dup2_stdin, dup2_stdout};
use tokio::net::unix::pipe;

/// The protocol's own ends of what were stdin and stdout.
#[derive(Debug)]
pub struct Stdio {
    /// Was stdin.
    pub reader: pipe::Receiver,
    /// Was stdout.
    pub writer: pipe::Sender,
}

/// Claims stdin and stdout for the protocol: from here on, whatever the program or its children print goes to
/// stderr, and whatever they read ends at once.
///
/// # Errors
/// If stdin or stdout is no pipe, which means that no daemon has started this program.
pub fn claim_stdio() -> io::Result<Stdio> {
    let reader = io::stdin().as_fd().try_clone_to_owned()?;
    let writer = io::stdout().as_fd().try_clone_to_owned()?;
    let claimed =
        Stdio { reader: pipe::Receiver::from_owned_fd(reader)?, writer: pipe::Sender::from_owned_fd(writer)? };
    dup2_stdin(File::open("/dev/null")?)?;
    dup2_stdout(io::stderr())?;
    Ok(claimed)
}
