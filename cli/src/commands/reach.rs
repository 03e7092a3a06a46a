//! Waits until what was published has reached the subscribers.

use std::time::Duration;

use coattail::id::{PeerId, PublicationId};
use coattail::name::ActionName;
use coattail::wire::fate::Reaching;
use coattail::wire::host::Subscriber;
use coattail::wire::publications::{Reached, WatchReach};
use coattail::wire::{ErrorCode, Failure};
use tokio::time::Instant;

use super::job::milliseconds;
use crate::context::{Context, Daemon};
use crate::error::{ExitStatus, report};
use crate::output::{Format, visible};

/// How long one question waits for news; then it is asked again.
const TURN: Duration = Duration::from_secs(30);

/// What an answer may take beyond that.
const GRACE: Duration = Duration::from_secs(30);

/// Where something is published, and how long to wait until it has reached the subscribers.
pub(super) struct Reach<'a> {
    context: &'a Context,
    peer: Option<PeerId>,
    action: ActionName,
    limit: Option<Duration>,
}

/// How the waiting ended.
pub(super) struct Waited {
    last: Option<Reached>,
    end: Result<(), Failure>,
}

impl<'a> Reach<'a> {
    /// Only a service delivers: without one, nothing is published.
    pub(super) fn new(
        context: &'a Context,
        peer: Option<PeerId>,
        action: ActionName,
        limit: Option<Duration>,
    ) -> Result<Self, Failure> {
        context.ask_service(&context.instance()?, async |_| Ok(()))?;
        Ok(Self { context, peer, action, limit })
    }

    /// Waits, and shows how many have it.
    pub(super) fn wait(&self, publication: PublicationId) -> Waited {
        let mut last = None;
        let end = self.context.talk(async |daemon| self.watch(daemon, publication, &mut last).await);
        Waited { last, end }
    }

    async fn watch(
        &self,
        daemon: &Daemon,
        publication: PublicationId,
        last: &mut Option<Reached>,
    ) -> Result<(), Failure> {
        let end = self.limit.map(|limit| Instant::now() + limit);
        let mut shown = None;
        loop {
            let left = end.map_or(TURN, |end| end.saturating_duration_since(Instant::now()).min(TURN));
            let seen = last.as_ref().map(|reached: &Reached| reached.reaching.stored);
            let reaching = self.ask(daemon, publication, seen, left, false).await?.reaching;
            *last = Some(Reached { reaching, missing: Vec::new() });
            if shown.replace(reaching) != Some(reaching) {
                self.show(reaching);
            }
            if reaching.is_at_rest() || left.is_zero() {
                if !reaching.is_complete() {
                    *last = Some(self.ask(daemon, publication, None, Duration::ZERO, true).await?);
                }
                return Ok(());
            }
        }
    }

    async fn ask(
        &self,
        daemon: &Daemon,
        publication: PublicationId,
        seen: Option<u64>,
        wait: Duration,
        who: bool,
    ) -> Result<Reached, Failure> {
        let (peer, action, wait_ms) = (self.peer, self.action.clone(), Some(milliseconds(wait)));
        let ask = WatchReach { peer, action, publication, seen, wait_ms, who };
        daemon.session().call_within(wait + GRACE, &ask).await
    }

    fn show(&self, reaching: Reaching) {
        let Reaching { subscribers, stored, .. } = reaching;
        let text = format!("stored by {stored} of {subscribers} subscribers");
        let printer = &self.context.printer;
        if printer.format() == Format::Table && printer.is_watched() && !reaching.is_at_rest() {
            #[expect(clippy::cast_precision_loss, reason = "it is a bar")]
            printer
                .progress(Some(stored as f64 / subscribers as f64), Some(&format!("{text}; Ctrl-C ends the waiting")));
        } else if subscribers > 0 {
            printer.note(&text);
        } else {
            printer.note("nobody was subscribed");
        }
    }
}

impl Waited {
    /// How far it had got then, as far as is known.
    pub(super) fn reached(&self) -> Option<&Reached> {
        self.last.as_ref()
    }

    /// What the command exits with. Says what is left.
    pub(super) fn conclude(&self, context: &Context) -> ExitStatus {
        if let Err(failure) = &self.end {
            return report(&context.printer, &stays(failure));
        }
        let Some(Reached { reaching, missing }) = &self.last else { return ExitStatus::Done };
        if reaching.is_complete() {
            return ExitStatus::Done;
        }
        let named = missing.len() as u64;
        missing.iter().for_each(|subscriber| context.printer.note(&lacking(subscriber)));
        let unnamed = (reaching.subscribers - reaching.stored).saturating_sub(named);
        if unnamed > 0 {
            let paused =
                if reaching.paused > 0 { format!(", {} of all paused", reaching.paused) } else { String::new() };
            context.printer.note(&format!("not stored by {unnamed} more, who are not named here{paused}"));
        }
        ExitStatus::Unfinished
    }
}

/// One who has not stored it.
fn lacking(subscriber: &Subscriber) -> String {
    let Subscriber { id, issuer, receiver, lag, lag_seconds, state, last_error, .. } = subscriber;
    let since = lag_seconds.map_or_else(String::new, |seconds| format!(", for {seconds} s"));
    let why = last_error.as_ref().map_or_else(String::new, |why| format!(": {}", visible(why)));
    format!("not stored by {receiver} at {issuer}: {}, {lag} behind{since}{why} ({id})", state.as_str())
}

/// The waiting has ended, and nothing else.
fn stays(failure: &Failure) -> Failure {
    let hint = "`coattail subscribers list` shows how far it has got";
    match failure.code {
        ErrorCode::Cancelled => {
            Failure::new(ErrorCode::Cancelled, "the waiting was ended: the publication stays, and is delivered on")
                .hint(hint)
        }
        code => {
            let message = format!("the publication stays, but nobody can say how far it has got\n{}", failure.message);
            Failure { code, message, ..failure.clone() }.hint(failure.hint.as_deref().unwrap_or(hint))
        }
    }
}
