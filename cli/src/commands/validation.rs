use coattail::id::ValidationId;
use coattail::wire::Failure;
use coattail::wire::control::{self, ListValidations, ShowValidation, Validation, ValidationRemoved};
use serde::Serialize;

use super::{ids, input};
use crate::args::{AddValidation, Ended, IssueValidation, Shown, ValidationCommand, Which};
use crate::context::{Context, Copy};
use crate::error::ExitStatus;
use crate::output::{Field, Format, Record, Row, ago, list_or, when, yes_no};

impl Row for Validation {
    const COLUMNS: &'static [&'static str] = &["id", "issuer", "signed", "expires", "learned from"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.map_or_else(|| "-".to_owned(), |id| id.to_string()),
            self.issuer.to_string(),
            yes_no(self.signed),
            self.expires.as_deref().map_or_else(|| "never".to_owned(), ago),
            self.peer.map_or_else(|| "-".to_owned(), |peer| peer.to_string()),
        ]
    }
}

impl Record for Validation {
    fn fields(&self) -> Vec<Field> {
        let mut fields = Vec::new();
        if let Some(id) = self.id {
            fields.push(("id", id.to_string()));
            fields.push(("bearer", format!("vt://{id}")));
        }
        fields.extend([
            ("issuer", self.issuer.to_string()),
            ("signed", yes_no(self.signed)),
            ("issued", when(&self.issued)),
            ("effective", when(&self.effective)),
            ("expires", self.expires.as_deref().map_or_else(|| "never".to_owned(), when)),
        ]);
        if let Some(peer) = self.peer {
            fields.push(("learned from", peer.to_string()));
        }
        fields
    }
}

impl Record for ValidationRemoved {
    fn fields(&self) -> Vec<Field> {
        vec![
            ("id", self.id.to_string()),
            ("tokens revoked", list_or(&self.tokens, "none")),
            ("sessions ended", self.sessions.to_string()),
            ("subscriptions here ended", self.subscriptions.to_string()),
            ("subscriptions held ended", self.held.to_string()),
        ]
    }
}

pub(super) fn run(context: &Context, command: ValidationCommand) -> Result<ExitStatus, Failure> {
    match command {
        ValidationCommand::Issue(args) => issue(context, &args)?,
        ValidationCommand::Add(args) => add(context, &args)?,
        ValidationCommand::List => {
            let stored = context.talk(async |daemon| daemon.call(&ListValidations {}).await)?;
            context.printer.list(&stored, "no keys are stored here; `coattail validation add` stores one")?;
        }
        ValidationCommand::Show(args) => show(context, &args)?,
        ValidationCommand::Remove(args) => remove(context, &args)?,
    }
    Ok(ExitStatus::Done)
}

fn issue(context: &Context, args: &IssueValidation) -> Result<(), Failure> {
    let issued = context.talk(async |daemon| daemon.call(&args.to_call()).await)?;
    let printer = &context.printer;
    match (args.quiet, args.print_raw_token) {
        (true, true) => printer.value(&issued.raw, &Raw { raw: &issued.raw })?,
        (true, false) => printer.value(&issued.issuer.to_string(), &issued)?,
        // Programs have it in the one object; people get it on a line of its own.
        (false, true) if printer.format() == Format::Table => {
            printer.record(&issued)?;
            printer.answer(&format!("\n{}\n", issued.raw))?;
        }
        (false, _) => printer.record(&issued)?,
    }
    let copy = Copy::choose(args.copy, args.print_raw_token);
    context.offer(&issued.raw, copy, args.quiet, "coattail validation issue --quiet --print-raw-token");
    Ok(())
}

#[derive(Serialize)]
struct Raw<'a> {
    raw: &'a str,
}

fn add(context: &Context, args: &AddValidation) -> Result<(), Failure> {
    let token = match (&args.token_file, args.positional.as_deref().or(args.named.as_deref())) {
        (Some(file), _) => input::read_file(file)?,
        (None, Some(given)) if given != "-" => given.to_owned(),
        _ => input::read_stdin()?,
    };
    let added = context.talk(async |daemon| daemon.call(&control::AddValidation { token }).await)?;
    context.printer.record(&added)?;
    if !added.signed {
        context.printer.warn("this key comes from the original program and is not signed: be sure whose it is");
    }
    Ok(())
}

fn show(context: &Context, args: &Shown) -> Result<(), Failure> {
    let validation = id(&args.which)?;
    let shown = context.talk(async |daemon| daemon.call(&ShowValidation { validation }).await)?;
    if args.print_raw_token {
        return context.printer.value(&shown.raw, &Raw { raw: &shown.raw });
    }
    context.printer.record(&shown)
}

fn remove(context: &Context, args: &Ended) -> Result<(), Failure> {
    let call = control::RemoveValidation { validation: id(&args.which)?, dry_run: args.dry_run };
    if !args.dry_run {
        context
            .confirm(&format!("forget the key {}, and revoke the tokens that only it could use", call.validation))?;
    }
    let removed = context.talk(async |daemon| daemon.call(&call).await)?;
    context.end(&removed, args.dry_run)
}

fn id(which: &Which) -> Result<ValidationId, Failure> {
    ids::parse(which.id(), "validation token", "validation list")
}
