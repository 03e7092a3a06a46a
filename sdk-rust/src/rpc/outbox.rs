use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore};

/// Frames that wait to be written: all that wait are written at once.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Bytes that may still be added. Fair: whoever waits for room gets it before others.
    room: Semaphore,
    most: usize,
    // A std mutex: held for a copy or a swap, and never over an await.
    waiting: Mutex<Waiting>,
    some: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: Vec<u8>,
    /// What they have taken of the room.
    share: usize,
    closed: bool,
}

/// Nothing is written any more.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Gone;

impl Outbox {
    /// One for so many bytes.
    pub(super) fn new(most: usize) -> Self {
        let most = most.clamp(1, Semaphore::MAX_PERMITS);
        Self { room: Semaphore::new(most), most, waiting: Mutex::default(), some: Notify::new() }
    }

    /// Waits for room, then adds a frame. Cancel-safe: it is added whole or not at all.
    pub(super) async fn send(&self, frame: &str) -> Result<(), Gone> {
        let share = self.share(frame);
        let room = match self.room.try_acquire_many(share) {
            Ok(room) => room,
            Err(_) => self.room.acquire_many(share).await.map_err(|_| Gone)?,
        };
        room.forget();
        self.add(frame, share)
    }

    /// As [`send`](Self::send), unless there is no room.
    pub(super) fn try_send(&self, frame: &str) -> Result<(), Gone> {
        let share = self.share(frame);
        self.room.try_acquire_many(share).map_err(|_| Gone)?.forget();
        self.add(frame, share)
    }

    /// Whatever waits, in the place of what `lines` held, and what is to be [given back](Self::give_back) once it is
    /// written. Cancel-safe.
    pub(super) async fn take(&self, lines: &mut Vec<u8>) -> usize {
        lines.clear();
        loop {
            {
                let mut waiting = self.waiting();
                if !waiting.lines.is_empty() {
                    std::mem::swap(&mut waiting.lines, lines);
                    return std::mem::take(&mut waiting.share);
                }
                // Whoever is idle holds nothing: there may be thousands of sessions.
                (waiting.lines, *lines) = (Vec::new(), Vec::new());
            }
            self.some.notified().await;
        }
    }

    /// What was taken has been written.
    pub(super) fn give_back(&self, share: usize) {
        self.room.add_permits(share);
    }

    /// Whoever waits for room, or comes later, learns that nothing is written any more.
    pub(super) fn close(&self) {
        self.room.close();
        let mut waiting = self.waiting();
        (waiting.closed, waiting.lines) = (true, Vec::new());
    }

    fn add(&self, frame: &str, share: u32) -> Result<(), Gone> {
        {
            let mut waiting = self.waiting();
            if waiting.closed {
                return Err(Gone);
            }
            waiting.lines.extend_from_slice(frame.as_bytes());
            waiting.lines.push(b'\n');
            waiting.share += share as usize;
        }
        self.some.notify_one();
        Ok(())
    }

    /// A frame larger than all of the room takes all of it, and so goes alone.
    fn share(&self, frame: &str) -> u32 {
        u32::try_from(frame.len().clamp(1, self.most)).unwrap_or(u32::MAX)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn what_waits_is_taken_at_once_and_room_comes_back_when_it_is_written() {
        let outbox = Outbox::new(4);
        let (mut lines, mut more) = (Vec::new(), Vec::new());
        outbox.send("ab").await.unwrap();
        outbox.try_send("c").unwrap();
        assert_eq!(outbox.try_send("de"), Err(Gone), "there is room for one more byte");
        let mut large = Box::pin(outbox.send("larger than all"));
        assert!((&mut large).now_or_never().is_none());
        let share = outbox.take(&mut lines).await;
        assert_eq!((lines.as_slice(), share), (&b"ab\nc\n"[..], 3));
        assert!((&mut large).now_or_never().is_none(), "it is not written yet");
        outbox.give_back(share);
        large.await.unwrap();
        assert_eq!(outbox.take(&mut more).await, 4);
        assert!(outbox.take(&mut lines).now_or_never().is_none());
        assert_eq!(lines.capacity(), 0, "whoever is idle holds nothing");
    }

    #[tokio::test]
    async fn whoever_waits_for_room_learns_of_the_end() {
        let outbox = Outbox::new(4);
        outbox.send("abcd").await.unwrap();
        let (sent, ()) = tokio::join!(outbox.send("e"), async { outbox.close() });
        assert_eq!(sent, Err(Gone));
        assert_eq!(outbox.send("").await, Err(Gone));
    }
}
