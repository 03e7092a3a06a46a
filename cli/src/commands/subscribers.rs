use coattail::id::SubscriptionId;
use coattail::wire::Failure;
use coattail::wire::host::{ListSubscribers, RevokeSubscriber, Subscriber, Unsubscribed};

use super::ids;
use crate::args::SubscribersCommand;
use crate::context::Context;
use crate::error::ExitStatus;
use crate::output::{Field, Record, Row, list_or, yes_no};

impl Row for Subscriber {
    const COLUMNS: &'static [&'static str] =
        &["id", "action", "receiver", "addresses", "token", "attached", "lag", "last error"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.action.to_string(),
            self.receiver.to_string(),
            list_or(&self.addresses, "-"),
            self.token.clone(),
            yes_no(self.attached),
            self.lag.to_string(),
            self.last_error.clone().unwrap_or_else(|| match self.ahead {
                0 => "-".to_owned(),
                ahead => format!("has {ahead} from before this instance was restored"),
            }),
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
        SubscribersCommand::Revoke(args) => {
            let subscription: SubscriptionId = ids::parse(args.which.id(), "subscription", "subscribers list")?;
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
