use coattail::wire::Failure;
use coattail::wire::dead_letters::{
    DeadLetter, DeadLetterId, DropDeadLetters, Dropped, ListDeadLetters, ReplayDeadLetters, Replayed, ShowDeadLetter,
};

use super::ids;
use crate::args::{ChosenDeadLetters, DeadLettersCommand, WhichDeadLetters};
use crate::context::Context;
use crate::error::ExitStatus;
use crate::output::{Field, Record, Row, ago, when};

pub(super) fn run(context: &Context, command: DeadLettersCommand) -> Result<ExitStatus, Failure> {
    match command {
        DeadLettersCommand::List(args) => {
            let call = ListDeadLetters { receiver: args.receiver, limit: args.limit };
            let dead = context.talk(async |daemon| daemon.call(&call).await)?;
            context.printer.list(&dead, "there are no dead letters")?;
        }
        DeadLettersCommand::Show(which) => {
            let call = ShowDeadLetter { id: id(&which.id)? };
            context.printer.record(&context.talk(async |daemon| daemon.call(&call).await)?)?;
        }
        DeadLettersCommand::Replay(chosen) => replay(context, chosen)?,
        DeadLettersCommand::Drop(chosen) => drop_them(context, chosen)?,
    }
    Ok(ExitStatus::Done)
}

impl Row for DeadLetter {
    const COLUMNS: &'static [&'static str] =
        &["id", "receiver", "action", "sequence", "attempts", "given up", "reason"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.receiver.to_string(),
            self.action.to_string(),
            self.sequence.to_string(),
            self.attempts.to_string(),
            ago(&self.last_attempt),
            self.reason.clone(),
        ]
    }
}

impl Record for DeadLetter {
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![
            ("id", self.id.to_string()),
            ("receiver", self.receiver.to_string()),
            ("action", self.action.to_string()),
            ("issuer", self.issuer.to_string()),
            ("subscription", self.subscription.to_string()),
            ("sequence", self.sequence.to_string()),
            ("publication", self.publication.to_string()),
            ("published", when(&self.published)),
            ("attempts", self.attempts.to_string()),
            ("first attempt", when(&self.first_attempt)),
            ("last attempt", when(&self.last_attempt)),
            ("reason", self.reason.clone()),
        ];
        fields.extend(self.output.iter().map(|line| ("printed", line.clone())));
        fields.extend(self.payload.as_ref().map(|payload| ("payload", payload.get().to_owned())));
        fields
    }
}

impl Record for Replayed {
    fn fields(&self) -> Vec<Field> {
        vec![("replayed", self.replayed.to_string())]
    }
}

impl Record for Dropped {
    fn fields(&self) -> Vec<Field> {
        vec![("dropped", self.dropped.to_string())]
    }
}

fn replay(context: &Context, chosen: ChosenDeadLetters) -> Result<(), Failure> {
    let ChosenDeadLetters { which: WhichDeadLetters { id, receiver, all }, dry_run } = chosen;
    let id = id.map(|text| self::id(&text)).transpose()?;
    let call = ReplayDeadLetters { id, receiver, all, dry_run };
    let replayed = context.talk(async |daemon| daemon.call(&call).await)?;
    context.printer.record(&replayed)?;
    if dry_run {
        context.printer.note("nothing was done: so many would be replayed");
    }
    Ok(())
}

fn drop_them(context: &Context, chosen: ChosenDeadLetters) -> Result<(), Failure> {
    let ChosenDeadLetters { which: WhichDeadLetters { id, receiver, all }, dry_run } = chosen;
    let id = id.map(|text| self::id(&text)).transpose()?;
    if !dry_run {
        let what = match (id, &receiver) {
            (Some(id), _) => format!("the dead letter {id}"),
            (None, Some(receiver)) => format!("all dead letters of the receiver `{receiver}`"),
            (None, None) => "all dead letters".to_owned(),
        };
        context.confirm(&format!("delete {what} for good"))?;
    }
    let call = DropDeadLetters { id, receiver, all, dry_run };
    let dropped = context.talk(async |daemon| daemon.call(&call).await)?;
    context.printer.record(&dropped)?;
    if dry_run {
        context.printer.note("nothing was done: so many would be deleted");
    }
    Ok(())
}

fn id(text: &str) -> Result<DeadLetterId, Failure> {
    ids::parse(text, "dead letter", "dead-letters list")
}
