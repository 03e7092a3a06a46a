use coattail::filter::Filter;
use coattail::id::SubscriptionId;
use coattail::wire::Failure;
use coattail::wire::host::{ListSubscribers, RevokeSubscriber, Subscriber, Unsubscribed};
use coattail::wire::subscriptions::{PauseSubscriber, ResetSubscriber, ResumeSubscriber};

use super::{ids, reset};
use crate::args::{SubscribersCommand, WhichSubscription};
use crate::context::Context;
use crate::error::ExitStatus;
use crate::output::{Field, Record, Row, ago, list_or, yes_no};

impl Row for Subscriber {
    const COLUMNS: &'static [&'static str] = &[
        "id",
        "action",
        "receiver",
        "addresses",
        "token",
        "attached",
        "lag",
        "last error",
        "state",
        "cursor",
        "behind",
        "next attempt",
        "where",
        "issuer",
    ];

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            self.id.to_string(),
            self.action.to_string(),
            self.receiver.to_string(),
            list_or(&self.addresses, "-"),
            self.token.clone(),
            yes_no(self.attached),
            self.lag.to_string(),
            or_dash(self.last_error.clone()),
            self.state.as_str().to_owned(),
            self.cursor.to_string(),
            or_dash(self.lag_seconds.map(|seconds| format!("{seconds} s"))),
            or_dash(self.next_attempt.as_deref().map(ago)),
            or_dash(self.filter.as_ref().map(Filter::to_string)),
            self.issuer.to_string(),
        ]
    }
}

impl Record for Unsubscribed {
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![("id", self.id.to_string()), ("told", yes_no(self.told))];
        fields.extend(self.undelivered.map(|number| ("undelivered", number.to_string())));
        fields
    }
}

pub(super) fn run(context: &Context, command: SubscribersCommand) -> Result<ExitStatus, Failure> {
    match command {
        SubscribersCommand::List => {
            let subscribers = context.talk(async |daemon| daemon.call(&ListSubscribers {}).await)?;
            context.printer.list(&subscribers, "nobody is subscribed")?;
        }
        SubscribersCommand::Pause(which) => {
            let call = PauseSubscriber { subscription: id(&which)? };
            context.printer.record(&context.talk(async |daemon| daemon.call(&call).await)?)?;
        }
        SubscribersCommand::Resume(which) => {
            let call = ResumeSubscriber { subscription: id(&which)? };
            context.printer.record(&context.talk(async |daemon| daemon.call(&call).await)?)?;
        }
        SubscribersCommand::Reset(args) => {
            let (subscription, from) = (id(&args.which)?, args.from);
            let call = |dry_run| ResetSubscriber { subscription, from, dry_run };
            reset::run(context, call, args.dry_run, "the subscriber could not be told; it is told when it comes back")?;
        }
        SubscribersCommand::Revoke(args) => {
            let subscription = id(&args.which)?;
            let dry_run = args.dry_run;
            if !dry_run {
                context.confirm(&format!("end the subscription {subscription}, with what it has not delivered yet"))?;
            }
            let call = RevokeSubscriber { subscription, dry_run };
            let ended = context.talk(async |daemon| daemon.call(&call).await)?;
            context.end(&ended, dry_run)?;
            if !ended.told && !dry_run {
                context.printer.note("the subscriber could not be reached; it is told when it comes back");
            }
        }
    }
    Ok(ExitStatus::Done)
}

fn id(which: &WhichSubscription) -> Result<SubscriptionId, Failure> {
    ids::parse(which.id(), "subscription", "subscribers list")
}
