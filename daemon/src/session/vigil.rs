use std::time::Duration;

use coattail::rpc::Session;
use coattail::wire::peer::Ping;
use futures::FutureExt as _;
use futures::future::Fuse;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// Whole intervals of silence after which the other side is taken to be gone.
const GONE: u32 = 3;

/// Watches a session until it ends, and ends it when nothing has come from the other side for three intervals.
///
/// The side that dialled asks after the first of them. The other one hears that, and asks only if it is not asked, as by
/// a peer that does so less often: a session that is idle costs one question and one answer, not two.
///
/// Whatever comes is a sign of life, so whoever is busy with what we sent, or answers slowly, does not lose it. Intervals
/// are counted and not clocked: a machine that has slept has seen none of them pass, and asks before it ends anything.
pub(super) async fn keep(session: &Session, has_dialled: bool, every: Duration) {
    let asked_at = if has_dialled { 1 } else { 2 };
    let mut ticks = interval_at(Instant::now() + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut heard, mut silent) = (session.heard(), 0);
    let asking = Fuse::terminated();
    tokio::pin!(asking);
    loop {
        tokio::select! {
            biased;
            () = session.closed() => return,
            // What is answered does not matter, and a refusal is an answer, too.
            _ = &mut asking => {}
            _ = ticks.tick() => {
                let now = session.heard();
                silent = if now == heard { silent + 1 } else { 0 };
                heard = now;
                if silent == GONE {
                    tracing::debug!("the other side no longer answers");
                    session.close();
                } else if silent == asked_at {
                    asking.set(session.call(&Ping {}).fuse());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use coattail::rpc::{Facts, Limits, Service, Stray};
    use coattail::wire::{Done, Failure};
    use tokio::io::AsyncReadExt as _;
    use tokio_util::sync::CancellationToken;
    use tokio_util::task::TaskTracker;

    use super::*;

    const EVERY: Duration = Duration::from_secs(2);

    /// A session whose other end is a stream.
    fn session() -> (Session, tokio::io::DuplexStream) {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        let (reader, writer) = tokio::io::split(ours);
        let (session, run) =
            Session::new(reader, writer, Service::new(), Stray::Close, Limits::default(), CancellationToken::new());
        TaskTracker::new().spawn(run);
        (session, theirs)
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_for_three_intervals_is_gone() {
        for (has_dialled, asked_after) in [(true, 1), (false, 2)] {
            let (session, mut other) = session();
            let start = Instant::now();
            let watch = async {
                keep(&session, has_dialled, EVERY).await;
                start.elapsed()
            };
            let question = async {
                let mut text = [0; 16];
                other.read_exact(&mut text).await.unwrap();
                start.elapsed()
            };
            let (ended, asked) = tokio::join!(watch, question);
            assert_eq!((asked, ended), (EVERY * asked_after, EVERY * GONE), "dialled: {has_dialled}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_answers_in_whatever_way_is_there() {
        // One refuses, since it knows no such method; the other answers.
        let answers = Service::new().on(&Arc::new(()), |_, _: Facts, _: Ping| async { Ok::<_, Failure>(Done {}) });
        for service in [Service::new(), answers] {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            let make = |stream, service| {
                let (reader, writer) = tokio::io::split(stream);
                Session::new(reader, writer, service, Stray::Close, Limits::default(), CancellationToken::new())
            };
            let ((session, run), (_other, run_other)) = (make(ours, Service::new()), make(theirs, service));
            let tasks = TaskTracker::new();
            tasks.spawn(run);
            tasks.spawn(run_other);
            let watched = tokio::time::timeout(EVERY * 100, keep(&session, true, EVERY)).await;
            assert!(watched.is_err() && !session.is_closed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_frame_that_comes_slowly_is_no_silence() {
        use tokio::io::AsyncWriteExt as _;
        let (session, mut other) = session();
        let trickle = async {
            tokio::time::sleep(EVERY / 2).await;
            for _ in 0..20 {
                tokio::time::sleep(EVERY).await;
                other.write_all(b" ").await.unwrap();
            }
            Instant::now()
        };
        let start = Instant::now();
        let (last, ()) = tokio::join!(trickle, keep(&session, true, EVERY));
        assert_eq!((last - start, start.elapsed()), (EVERY * 20 + EVERY / 2, EVERY * 24));
    }
}
