//! What the daemon hands over to a guard: what to start, and the pipes to start it with.
//!
//! The descriptors come with the length of the message, so that they are there before the rest of it is read. Nothing
//! of it stands in the command line of the guard, where everybody could read it, or in its environment.

use std::ffi::OsString;
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::os::fd::{AsFd, AsRawFd as _, FromRawFd as _, OwnedFd};

use nix::cmsg_space;
use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};
use serde::{Deserialize, Serialize};

/// What to start, with everything it may know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Launch {
    /// The program and its arguments.
    pub(super) argv: Vec<OsString>,
    /// The whole environment: nothing of the daemon's own is added.
    pub(super) env: Vec<(OsString, OsString)>,
    /// The working directory. No `PathBuf`, since its JSON has no room for names that are no UTF-8.
    pub(super) folder: OsString,
}

impl Launch {
    /// The message that tells a guard.
    pub(super) fn message(&self) -> io::Result<Vec<u8>> {
        let message = serde_json::to_vec(self)?;
        if message.len() > LONGEST {
            return Err(io::ErrorKind::ArgumentListTooLong.into());
        }
        Ok(message)
    }
}

/// Sends the length of a message, and with it stdin, stdout and stderr of what is to be started. The message follows.
/// There is room: a guard that waits has read whatever it was sent before.
pub(super) fn announce(control: &impl AsFd, message: &[u8], stdio: &[OwnedFd; 3]) -> io::Result<()> {
    let length = u32::try_from(message.len()).expect("no message is longer than may be").to_be_bytes();
    let numbers = stdio.each_ref().map(|fd| fd.as_raw_fd());
    let rights = [ControlMessage::ScmRights(&numbers)];
    let control = control.as_fd().as_raw_fd();
    let sent = sendmsg::<()>(control, &[IoSlice::new(&length)], &rights, MsgFlags::MSG_NOSIGNAL, None)?;
    if sent == length.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
}

/// Waits for what to start. Nothing if there will be nothing: the daemon has closed its end, or has died.
pub(super) fn receive(control: &mut (impl AsFd + Read)) -> io::Result<Option<(Launch, [OwnedFd; 3])>> {
    let Some((length, stdio)) = receive_announcement(control)? else {
        return Ok(None);
    };
    if length > LONGEST {
        return Err(io::ErrorKind::ArgumentListTooLong.into());
    }
    let mut message = vec![0; length];
    match control.read_exact(&mut message) {
        Ok(()) => Ok(Some((serde_json::from_slice(&message)?, stdio))),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn receive_announcement(control: &impl AsFd) -> io::Result<Option<(usize, [OwnedFd; 3])>> {
    let mut length = [0; 4];
    let mut iov = [IoSliceMut::new(&mut length)];
    let mut space = cmsg_space!([i32; 3]);
    // The plugin does not get them but as its stdin, stdout and stderr.
    let received = recvmsg::<()>(control.as_fd().as_raw_fd(), &mut iov, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut stdio = Vec::new();
    for message in received.cmsgs()? {
        if let ControlMessageOwned::ScmRights(numbers) = message {
            // SAFETY: the kernel has just made these descriptors, and nothing else here knows of them.
            #[expect(unsafe_code, reason = "a received descriptor is known by its number only")]
            stdio.extend(numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }));
        }
    }
    match (received.bytes, stdio.try_into()) {
        (0, _) => Ok(None),
        (4, Ok(stdio)) => Ok(Some((u32::from_be_bytes(length) as usize, stdio))),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Bytes of the longest message: four times, as JSON writes bytes, the 2 MiB that Linux takes as arguments and
/// environment of a program.
const LONGEST: usize = 8 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;
    use std::os::unix::ffi::OsStringExt as _;

    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};

    use super::*;

    #[test]
    fn what_is_handed_over_arrives() {
        let odd = OsString::from_vec(vec![b'/', 0xff, b'\n', b'"']);
        let env = vec![("A".into(), odd.clone()), ("A".into(), "".into())];
        let launch = Launch { argv: vec!["/bin/sh".into(), odd.clone()], env, folder: odd };
        let (ours, mut theirs) = pair();
        let message = launch.message().unwrap();
        announce(&ours, &message, &stdio()).unwrap();
        (&ours).write_all(&message).unwrap();
        // An order.
        (&ours).write_all(b"T").unwrap();
        assert_eq!(receive(&mut theirs).unwrap().unwrap().0, launch);
        let mut rest = [0; 2];
        assert_eq!((theirs.read(&mut rest).unwrap(), rest[0]), (1, b'T'));
    }

    #[test]
    fn a_daemon_that_dies_hands_over_nothing() {
        let (ours, mut theirs) = pair();
        announce(&ours, b"more than was sent", &stdio()).unwrap();
        (&ours).write_all(b"more").unwrap();
        drop(ours);
        assert_eq!(receive(&mut theirs).unwrap().map(|(launch, _)| launch), None);
        assert_eq!(receive(&mut theirs).unwrap().map(|(launch, _)| launch), None);
    }

    #[test]
    fn what_is_no_launch_is_refused() {
        let (ours, mut theirs) = pair();
        (&ours).write_all(b"K").unwrap();
        assert_eq!(receive(&mut theirs).unwrap_err().kind(), io::ErrorKind::InvalidData);
        (&ours).write_all(&[0, 0, 0, 2]).unwrap();
        assert_eq!(receive(&mut theirs).unwrap_err().kind(), io::ErrorKind::InvalidData);
        announce(&ours, &vec![0; LONGEST + 1], &stdio()).unwrap();
        assert_eq!(receive(&mut theirs).unwrap_err().kind(), io::ErrorKind::ArgumentListTooLong);
        let long = Launch { argv: vec!["x".repeat(LONGEST).into()], env: Vec::new(), folder: "/".into() };
        assert_eq!(long.message().unwrap_err().kind(), io::ErrorKind::ArgumentListTooLong);
    }

    fn pair() -> (File, File) {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::SOCK_CLOEXEC).unwrap();
        (ours.into(), theirs.into())
    }

    fn stdio() -> [OwnedFd; 3] {
        [(); 3].map(|()| File::open("/dev/null").unwrap().into())
    }
}
