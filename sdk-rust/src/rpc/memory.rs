use tokio_util::sync::CancellationToken;

use super::{Ended, Limits, Service, Session, Stray};

/// Bytes that one end may write before the other has read them.
const BUFFER: usize = 64 * 1024;

/// Two joined sessions without a socket between them, for tests and for calling a table in process.
///
/// Both futures must be polled for either to make progress.
pub fn pair(
    left: Service,
    right: Service,
    limits: &Limits,
    cancel: &CancellationToken,
) -> ((Session, impl Future<Output = Ended> + use<>), (Session, impl Future<Output = Ended> + use<>)) {
    let (a, b) = tokio::io::duplex(BUFFER);
    let (read, write) = tokio::io::split(a);
    let left = Session::new(read, write, left, Stray::Close, limits.clone(), cancel.child_token());
    let (read, write) = tokio::io::split(b);
    let right = Session::new(read, write, right, Stray::Close, limits.clone(), cancel.child_token());
    (left, right)
}
