use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::id::CallId;
use crate::rpc::Service;
use crate::wire::Done;
use crate::wire::host::{Level, Log, Progress};

/// How many messages of one call may wait to be heard. The daemon sends few hundred lines a second; whoever is that
/// far behind misses some, and is told how many.
const WAITING: usize = 1024;

/// What a call says while it runs.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// A line of its log, or, on the caller's own machine, what its plugin printed.
    Log {
        /// How important.
        level: Level,
        /// What.
        message: String,
    },
    /// How far it has got.
    Progress {
        /// From 0 to 1.
        fraction: Option<f64>,
        /// What is being done.
        message: Option<String>,
    },
}

/// What a caller does with it.
pub(super) type Hear<'a> = Box<dyn FnMut(Said) + Send + 'a>;

/// The calls that are followed over one session, by their id. What comes of others is dropped.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    // A std mutex: it is held for a map operation and never over an await.
    of: Mutex<HashMap<CallId, Follower>>,
}

#[derive(Debug)]
struct Follower {
    said: mpsc::Sender<Said>,
    missed: Arc<AtomicU64>,
}

impl Followers {
    /// The notifications of the daemon.
    pub(crate) fn service(self: &Arc<Self>) -> Service {
        Service::new()
            .on_in_order(self, |followers: &Self, _, Log { call, level, message }: Log| {
                call.inspect(|call| followers.pass_on(*call, Said::Log { level, message }));
                Ok(Done {})
            })
            .on_in_order(self, |followers: &Self, _, Progress { call, fraction, message }: Progress| {
                followers.pass_on(call, Said::Progress { fraction, message });
                Ok(Done {})
            })
    }

    /// Waits for an answer, and hears meanwhile what is said of the call. Frames are read in order, so that whatever
    /// was said before the answer is heard before it is returned.
    pub(super) async fn during<T>(&self, call: CallId, hear: Option<Hear<'_>>, answer: impl Future<Output = T>) -> T {
        let Some(mut hear) = hear else { return answer.await };
        let mut following = self.begin(call);
        tokio::pin!(answer);
        loop {
            tokio::select! {
                biased;
                // `recv` is cancel-safe. The sender is in the map for as long as we follow.
                Some(said) = following.said.recv() => hear(said),
                answer = &mut answer => {
                    while let Ok(said) = following.said.try_recv() {
                        hear(said);
                    }
                    let missed = following.missed.load(Ordering::Relaxed);
                    if missed > 0 {
                        let message = format!("{missed} messages were left out: they came faster than they were heard");
                        hear(Said::Log { level: Level::Warn, message });
                    }
                    return answer;
                }
            }
        }
    }

    fn begin(&self, call: CallId) -> Following<'_> {
        let ((sender, said), missed) = (mpsc::channel(WAITING), Arc::<AtomicU64>::default());
        self.lock().insert(call, Follower { said: sender, missed: missed.clone() });
        Following { said, missed, call, followers: self }
    }

    fn pass_on(&self, call: CallId, what: Said) {
        if let Some(Follower { said, missed }) = self.lock().get(&call)
            && said.try_send(what).is_err()
        {
            missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CallId, Follower>> {
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that is followed. Dropping it ends that.
struct Following<'a> {
    said: mpsc::Receiver<Said>,
    missed: Arc<AtomicU64>,
    call: CallId,
    followers: &'a Followers,
}

impl Drop for Following<'_> {
    fn drop(&mut self) {
        self.followers.lock().remove(&self.call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(n: usize) -> Said {
        Said::Log { level: Level::Info, message: n.to_string() }
    }

    #[tokio::test]
    async fn what_was_said_is_heard_in_order_before_the_answer() {
        let (followers, call) = (Followers::default(), CallId::new());
        let mut heard = Vec::new();
        let answer = async {
            (0..3).for_each(|n| followers.pass_on(call, line(n)));
            followers.pass_on(CallId::new(), line(9));
            7
        };
        let hear: Hear<'_> = Box::new(|said| heard.push(said));
        assert_eq!(followers.during(call, Some(hear), answer).await, 7);
        assert_eq!(heard, [line(0), line(1), line(2)]);
        assert!(followers.lock().is_empty(), "it is followed no longer");
    }

    #[tokio::test]
    async fn who_is_too_slow_is_told_how_much_was_missed() {
        let (followers, call) = (Followers::default(), CallId::new());
        let mut heard = Vec::new();
        let answer = async { (0..WAITING + 5).for_each(|n| followers.pass_on(call, line(n))) };
        followers.during(call, Some(Box::new(|said| heard.push(said))), answer).await;
        assert_eq!(heard.len(), WAITING + 1);
        let Some(Said::Log { level: Level::Warn, message }) = heard.last() else { panic!("{:?}", heard.last()) };
        assert!(message.starts_with("5 messages"), "{message}");
    }
}
