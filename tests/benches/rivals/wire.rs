//! A connection that carries TLS from its first byte, or from when it is wanted.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio_rustls::client::TlsStream;
use tokio_util::task::TaskTracker;

use crate::peer::anyone;

pub(super) type Reader = ReadHalf<TlsStream<TcpStream>>;

/// What is to be written. Everything that waits goes with one call, so that the client costs little.
#[derive(Debug, Clone)]
pub(super) struct Out {
    shared: Arc<(Mutex<Vec<u8>>, Notify)>,
}

impl Out {
    /// Writes to a stream until it fails.
    pub(super) fn new(mut writer: impl tokio::io::AsyncWrite + Unpin + Send + 'static) -> Self {
        let out = Self { shared: Arc::default() };
        let waiting = out.clone();
        let write = async move {
            loop {
                waiting.shared.1.notified().await;
                let bytes = std::mem::take(&mut *waiting.bytes());
                if writer.write_all(&bytes).await.is_err() || writer.flush().await.is_err() {
                    return;
                }
            }
        };
        TaskTracker::new().spawn(write);
        out
    }

    pub(super) fn push(&self, parts: &[&[u8]]) {
        let mut bytes = self.bytes();
        parts.iter().for_each(|part| bytes.extend_from_slice(part));
        drop(bytes);
        self.shared.1.notify_one();
    }

    fn bytes(&self) -> std::sync::MutexGuard<'_, Vec<u8>> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) async fn tcp(port: u16) -> TcpStream {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("it listens");
    stream.set_nodelay(true).expect("TCP");
    stream
}

/// TLS 1.3 on a stream.
pub(super) async fn tls(stream: TcpStream) -> (Reader, Out) {
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = anyone().connect(name, stream).await.expect("it speaks TLS");
    let (reader, writer): (_, WriteHalf<_>) = tokio::io::split(stream);
    (reader, Out::new(writer))
}

/// What has been read and not been understood yet.
#[derive(Debug, Default)]
pub(super) struct Input {
    bytes: bytes::BytesMut,
}

impl Input {
    /// Waits for more; false at the end.
    pub(super) async fn more(&mut self, reader: &mut (impl AsyncRead + Unpin)) -> bool {
        use tokio::io::AsyncReadExt as _;
        self.bytes.reserve(64 * 1024);
        reader.read_buf(&mut self.bytes).await.is_ok_and(|count| count > 0)
    }

    pub(super) fn get(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn take(&mut self, count: usize) -> bytes::Bytes {
        self.bytes.split_to(count).freeze()
    }

    /// The next line, without its end.
    pub(super) fn line(&mut self) -> Option<bytes::Bytes> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n')?;
        let line = self.take(end + 1);
        Some(line.slice(..end - usize::from(end > 0 && line[end - 1] == b'\r')))
    }
}
