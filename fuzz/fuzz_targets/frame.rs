//! Bytes become lines, and lines become frames. In whatever pieces they come, the lines are the same.
#![no_main]

use bytes::BytesMut;
use coattail::rpc::{Limit, Line, LineCodec, is_frame};
use libfuzzer_sys::fuzz_target;
use tokio_util::codec::Decoder as _;

/// As small as finds its way around the limit often.
const LIMIT: usize = 256;

fuzz_target!(|bytes: &[u8]| {
    let whole = lines(bytes, bytes.len().max(1));
    // A piece can be refused before its line has ended; what came before it is the same.
    for piece in [1, 7] {
        let pieces = lines(bytes, piece);
        assert_eq!(pieces, whole[..pieces.len().min(whole.len())]);
    }
    for line in whole {
        let (Line::Text(text) | Line::Garbled(text)) = line;
        let _ = is_frame(&text);
    }
});

/// The lines up to the first that is refused.
fn lines(bytes: &[u8], piece: usize) -> Vec<Line> {
    let (mut codec, mut buffer, mut lines) = (LineCodec::new(Limit::new(LIMIT)), BytesMut::new(), Vec::new());
    for piece in bytes.chunks(piece) {
        buffer.extend_from_slice(piece);
        loop {
            match codec.decode(&mut buffer) {
                Ok(Some(line)) => lines.push(line),
                Ok(None) => break,
                Err(_) => return lines,
            }
        }
    }
    lines
}
