use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::BytesMut;
use futures::{FutureExt as _, StreamExt as _};
use tokio::io::AsyncRead;
use tokio_util::codec::{Decoder, FramedRead};

/// A limit that can be raised when the other side has authenticated. Its clones are one limit.
#[derive(Debug, Clone)]
pub struct Limit(Arc<AtomicUsize>);

impl Limit {
    /// A limit of so many.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(AtomicUsize::new(most)))
    }

    /// Changes it for what is still to come.
    pub fn set(&self, most: usize) {
        self.0.store(most, Ordering::Relaxed);
    }

    /// The limit now.
    pub fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// Why bytes are no frame. Each is a different fault of the other side.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The line is longer than the limit.
    #[error("a frame is longer than {limit} bytes")]
    TooLong {
        /// The limit.
        limit: usize,
    },
    /// The stream ended inside a line.
    #[error("the connection ended inside a frame, after {got} bytes")]
    Torn {
        /// How much of the line had come.
        got: usize,
    },
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// A text.
    Text(String),
    /// No UTF-8, with what is none replaced: no frame, but perhaps what a program printed.
    Garbled(String),
}

/// Splits a stream into lines. An empty line and a `\r` before the line end are passed over.
#[derive(Debug)]
pub struct LineCodec {
    limit: Limit,
    /// Bytes of the buffer that are known to hold no line end, so that a long line is scanned once.
    scanned: usize,
}

impl LineCodec {
    /// A codec that refuses lines of more than `limit` bytes, the line end not counted.
    pub fn new(limit: Limit) -> Self {
        Self { limit, scanned: 0 }
    }
}

impl Decoder for LineCodec {
    type Item = Line;
    type Error = LineError;

    fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Line>, LineError> {
        loop {
            let limit = self.limit.get();
            let Some(end) = memchr::memchr(b'\n', &buffer[self.scanned..]).map(|at| self.scanned + at) else {
                self.scanned = buffer.len();
                if buffer.len() > limit {
                    return Err(LineError::TooLong { limit });
                }
                make_room(buffer, limit + 1);
                return Ok(None);
            };
            self.scanned = 0;
            let line = buffer.split_to(end + 1);
            let line = line[..end].strip_suffix(b"\r").unwrap_or(&line[..end]);
            if line.len() > limit {
                return Err(LineError::TooLong { limit });
            }
            if !line.is_empty() {
                return Ok(Some(match str::from_utf8(line) {
                    Ok(text) => Line::Text(text.to_owned()),
                    Err(_) => Line::Garbled(String::from_utf8_lossy(line).into_owned()),
                }));
            }
        }
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> Result<Option<Line>, LineError> {
        match self.decode(buffer)? {
            Some(line) => Ok(Some(line)),
            None if buffer.is_empty() => Ok(None),
            None => Err(LineError::Torn { got: buffer.len() }),
        }
    }
}

/// The next line. Whoever waits for one holds little room for it: there may be thousands. Cancel-safe: what was read stays
/// in the buffer.
pub(super) async fn next_line<R>(lines: &mut FramedRead<R, LineCodec>) -> Option<Result<Line, LineError>>
where
    R: AsyncRead + Unpin,
{
    if let Some(line) = lines.next().now_or_never() {
        return line;
    }
    if lines.read_buffer().is_empty() {
        *lines.read_buffer_mut() = BytesMut::with_capacity(IDLE_ROOM);
    }
    lines.next().await
}

/// The room of whoever waits, in bytes: as much as a small frame.
const IDLE_ROOM: usize = 512;

/// The least room that is made, in bytes: most frames are smaller.
const FIRST_ROOM: usize = 8 * 1024;

/// Makes room for the rest of a line in a buffer that is full, and never for more than `most`: left alone it would grow
/// to twice its size, and then be filled with twice what a line may have. The last step is a doubling at least: what is
/// copied and its copy together are no more than `most`, either.
fn make_room(buffer: &mut BytesMut, most: usize) {
    if buffer.len() == buffer.capacity() {
        let double = (2 * buffer.len()).max(FIRST_ROOM);
        let mut roomier = BytesMut::with_capacity(if double > most / 2 { most } else { double });
        roomier.extend_from_slice(buffer);
        *buffer = roomier;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_all(input: &[u8], piece: usize, limit: usize) -> Result<Vec<Line>, LineError> {
        let mut codec = LineCodec::new(Limit::new(limit));
        let mut buffer = BytesMut::new();
        let mut lines = Vec::new();
        for piece in input.chunks(piece) {
            buffer.extend_from_slice(piece);
            while let Some(line) = codec.decode(&mut buffer)? {
                lines.push(line);
            }
        }
        while let Some(line) = codec.decode_eof(&mut buffer)? {
            lines.push(line);
        }
        Ok(lines)
    }

    #[test]
    fn lines_come_whole_in_whatever_pieces() {
        for piece in 1..12 {
            let lines = decode_all(b"{\"a\":1}\r\n\n{\"b\":2}\n", piece, 100).expect("two frames");
            let expected = ["{\"a\":1}", "{\"b\":2}"].map(|text| Line::Text(text.to_owned()));
            assert_eq!(lines, expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn clean_end_torn_and_oversized_differ() {
        assert!(decode_all(b"", 1, 10).expect("a clean end").is_empty());
        assert!(matches!(decode_all(b"abc", 1, 10), Err(LineError::Torn { got: 3 })));
        assert!(matches!(decode_all(b"12345678901\n", 20, 10), Err(LineError::TooLong { limit: 10 })));
        assert_eq!(decode_all(b"\xff\n", 1, 10).expect("a line"), [Line::Garbled("\u{fffd}".to_owned())]);
    }

    #[test]
    fn s8_a_line_without_end_is_refused_at_the_limit() {
        let mut codec = LineCodec::new(Limit::new(64));
        let mut buffer = BytesMut::from(&[b'x'; 65][..]);
        assert!(matches!(codec.decode(&mut buffer), Err(LineError::TooLong { limit: 64 })));
        // Exactly the limit is taken.
        assert_eq!(decode_all(&[[b'x'; 64].as_slice(), b"\n"].concat(), 7, 64).expect("one frame").len(), 1);
    }

    #[tokio::test]
    async fn whoever_waits_for_a_line_holds_little_room() {
        let (mut writer, reader) = tokio::io::duplex(64 * 1024);
        let mut lines = FramedRead::new(reader, LineCodec::new(Limit::new(64 * 1024)));
        for length in [10, 20_000, 10] {
            let line = "x".repeat(length);
            tokio::io::AsyncWriteExt::write_all(&mut writer, format!("{line}\n").as_bytes()).await.expect("room");
            assert_eq!(next_line(&mut lines).await.expect("a line").expect("text"), Line::Text(line));
            assert!(next_line(&mut lines).now_or_never().is_none(), "there is no other");
            assert!(lines.read_buffer().capacity() <= IDLE_ROOM, "{} held", lines.read_buffer().capacity());
        }
    }

    #[tokio::test]
    async fn s8_of_a_line_without_end_no_more_is_read_and_held_than_the_limit() {
        const LIMIT: usize = 64 * 1024;
        // The line may begin in a buffer that has held others.
        for before in [0, 1, 5_000, 40_000, LIMIT] {
            let first = [vec![b'y'; before], b"\n".to_vec()].concat();
            let endless = std::io::Cursor::new([first, vec![b'x'; 4 * LIMIT]].concat());
            let mut lines = FramedRead::new(endless, LineCodec::new(Limit::new(LIMIT)));
            let refused = loop {
                match lines.next().await.expect("it does not end well") {
                    Ok(_) => {}
                    Err(error) => break error,
                }
            };
            assert!(matches!(refused, LineError::TooLong { limit: LIMIT }), "{refused}");
            assert!(lines.read_buffer().capacity() <= LIMIT + 1, "{} held", lines.read_buffer().capacity());
            let read = usize::try_from(lines.get_ref().position()).expect("small");
            assert!(read <= before + 1 + LIMIT + 1, "{read} read after {before}");
        }
    }
}
