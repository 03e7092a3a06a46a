use coattail::filter::Filter;
use coattail::id::SubscriptionId;
use coattail::wire::Failure;
use coattail::wire::subscriptions::{
    Flow, HeldSubscription, ListSubscriptions, PauseSubscription, Pausing, ResumeSubscription,
};

use super::ids;
use crate::args::{SubscriptionsCommand, WhichHeld};
use crate::context::Context;
use crate::error::ExitStatus;
use crate::output::{Field, Record, Row, ago, yes_no};

pub(super) fn run(context: &Context, command: SubscriptionsCommand) -> Result<ExitStatus, Failure> {
    match command {
        SubscriptionsCommand::List => {
            let held = context.talk(async |daemon| daemon.call(&ListSubscriptions {}).await)?;
            context.printer.list(&held, "this instance is subscribed to nothing")?;
        }
        SubscriptionsCommand::Pause(which) => {
            let call = PauseSubscription { subscription: id(&which)? };
            context.printer.record(&context.talk(async |daemon| daemon.call(&call).await)?)?;
        }
        SubscriptionsCommand::Resume(which) => {
            let call = ResumeSubscription { subscription: id(&which)? };
            context.printer.record(&context.talk(async |daemon| daemon.call(&call).await)?)?;
        }
    }
    Ok(ExitStatus::Done)
}

impl Row for HeldSubscription {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "peer",
        "action",
        "receiver",
        "state",
        "stored",
        "waiting",
        "dead",
        "next attempt",
        "reason",
        "expired",
        "where",
    ];

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            self.id.to_string(),
            or_dash(self.peer.map(|peer| peer.to_string())),
            self.action.to_string(),
            self.receiver.to_string(),
            self.state.as_str().to_owned(),
            or_dash(self.sequence.map(|sequence| sequence.to_string())),
            self.waiting.to_string(),
            self.dead.to_string(),
            or_dash(self.next_attempt.as_deref().map(ago)),
            or_dash(self.reason.clone()),
            self.expired.to_string(),
            or_dash(self.filter.as_ref().map(Filter::to_string)),
        ]
    }

    fn tone(&self) -> Option<&'static str> {
        match self.state {
            Flow::Failing | Flow::Full => Some("31"),
            Flow::Paused | Flow::Ended => Some("33"),
            Flow::Running => None,
        }
    }
}

impl Record for Pausing {
    fn fields(&self) -> Vec<Field> {
        vec![("id", self.id.to_string()), ("paused", yes_no(self.paused))]
    }
}

fn id(which: &WhichHeld) -> Result<SubscriptionId, Failure> {
    ids::parse(&which.id, "subscription", "subscriptions list")
}
