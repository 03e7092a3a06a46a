use std::io;

use coattail::wire::{ErrorCode, Failure};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// The wish to end, from the keyboard or from whoever started us.
#[derive(Debug)]
pub(crate) struct Interrupt {
    keyboard: Signal,
    terminate: Signal,
}

impl Interrupt {
    /// From now on, signals wait until they are asked for.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self { keyboard: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// Works until it is done, or interrupted.
    pub(crate) async fn or<T>(&mut self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        tokio::select! {
            biased;
            // `recv` is cancel-safe; dropping the work is what ends it.
            _ = self.keyboard.recv() => {}
            _ = self.terminate.recv() => {}
            done = work => return done,
        }
        Err(Failure::new(ErrorCode::Cancelled, "interrupted before it was done"))
    }
}
