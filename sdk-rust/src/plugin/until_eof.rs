use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::sync::CancellationToken;

/// Tells of the end of a stream beside it, so that a session can finish its work instead of ending at once.
#[derive(Debug)]
pub(super) struct UntilEof<R> {
    inner: R,
    eof: CancellationToken,
}

impl<R> UntilEof<R> {
    pub(super) fn new(inner: R) -> (Self, CancellationToken) {
        let eof = CancellationToken::new();
        (Self { inner, eof: eof.clone() }, eof)
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for UntilEof<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        if self.eof.is_cancelled() {
            return Poll::Pending;
        }
        match Pin::new(&mut self.inner).poll_read(cx, buffer) {
            // Never woken again: the session is ended by its owner.
            Poll::Ready(Ok(())) if buffer.filled().len() == before => {
                self.eof.cancel();
                Poll::Pending
            }
            other => other,
        }
    }
}
