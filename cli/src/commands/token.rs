use coattail::id::{IssuerHash, TokenId};
use coattail::secret::Secret;
use coattail::wire::Failure;
use coattail::wire::control::{Issuer, ListTokens, RevokeToken, Revoked, ShowToken, Token};
use serde::Serialize;

use super::ids;
use crate::args::{Ended, IssueToken, Shown, TokenCommand, Which};
use crate::context::{Context, Copy};
use crate::error::ExitStatus;
use crate::output::{Field, Format, Record, Row, ago, list_or, when};

/// The bearer that is everyone, as the original wrote it.
const EVERYONE: [&str; 2] = ["ipv4://0.0.0.0/0", "ipv6://::/0"];

impl Row for Token {
    const COLUMNS: &'static [&'static str] = &["id", "use", "bearers", "expires"];

    fn cells(&self) -> Vec<String> {
        vec![
            self.id.to_string(),
            self.usage.clone(),
            bearers(self),
            self.expires.as_deref().map_or_else(|| "never".to_owned(), ago),
        ]
    }
}

impl Record for Token {
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![
            ("id", self.id.to_string()),
            ("use", self.usage.clone()),
            ("issuer", self.issuer.to_string()),
            ("issued", when(&self.issued)),
            ("effective", when(&self.effective)),
            ("expires", self.expires.as_deref().map_or_else(|| "never".to_owned(), when)),
            ("addresses", list_or(&self.addresses, "none")),
            ("bearers", bearers(self)),
            ("performable", list_or(&self.performable, "none")),
            ("publishable", list_or(&self.publishable, "none")),
            ("subscribable", list_or(&self.subscribable, "none")),
        ];
        if !self.subscribed_to.is_empty() {
            fields.push(("subscribed to", list_or(&self.subscribed_to, "none")));
        }
        if let Some(receiver) = &self.receiver {
            fields.push(("receiver", receiver.clone()));
        }
        if let (Some(sessions), Some(subscriptions)) = (self.sessions, self.subscriptions) {
            fields.push(("ends with it", lives_on_it(sessions, subscriptions)));
        }
        if let Some(raw) = &self.raw {
            fields.push(("raw", raw.reveal().to_owned()));
        }
        fields
    }
}

fn bearers(token: &Token) -> String {
    if token.bearers.iter().all(|bearer| EVERYONE.contains(&bearer.as_str())) {
        "anyone".to_owned()
    } else {
        list_or(&token.bearers, "none")
    }
}

/// What a revocation takes along.
fn lives_on_it(sessions: u64, subscriptions: u64) -> String {
    let count = |number: u64, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    match (sessions, subscriptions) {
        (0, 0) => "nothing".to_owned(),
        _ => format!("{}, {}", count(sessions, "session"), count(subscriptions, "subscription")),
    }
}

impl Record for Revoked {
    fn fields(&self) -> Vec<Field> {
        vec![
            ("id", self.id.to_string()),
            ("sessions ended", self.sessions.to_string()),
            ("subscriptions ended", self.subscriptions.to_string()),
        ]
    }
}

pub(super) fn run(context: &Context, command: TokenCommand) -> Result<ExitStatus, Failure> {
    match command {
        TokenCommand::Issue(args) => issue(context, args)?,
        TokenCommand::Issuer => issuer(context)?,
        TokenCommand::List => {
            let tokens = context.talk(async |daemon| daemon.call(&ListTokens {}).await)?;
            context.printer.list(&tokens, "this instance has issued no tokens")?;
        }
        TokenCommand::Show(args) => show(context, &args)?,
        TokenCommand::Revoke(args) => revoke(context, &args)?,
    }
    Ok(ExitStatus::Done)
}

fn issue(context: &Context, args: IssueToken) -> Result<(), Failure> {
    let (quiet, print_raw) = (args.quiet, args.print_raw_token);
    let copy = Copy::choose(args.copy, print_raw);
    let call = args.into_call();
    let mut token = context.talk(async |daemon| {
        let token = daemon.call(&call).await?;
        if token.raw.is_none() { daemon.call(&ShowToken { token: token.id, raw: true }).await } else { Ok(token) }
    })?;
    let raw = token.raw.take().unwrap_or_default();
    let printer = &context.printer;
    match (quiet, print_raw) {
        (true, true) => printer.value(raw.reveal(), &Raw { id: token.id, raw: &raw })?,
        // Programs get one object; people get the fields, and then the token on a line of its own.
        (false, true) if printer.format() == Format::Table => {
            printer.record(&token)?;
            printer.answer(&format!("\n{}\n", raw.reveal()))?;
        }
        (false, true) => printer.record(&Token { raw: Some(raw.clone()), ..token.clone() })?,
        (true, false) => printer.value(&token.id.to_string(), &Id { id: token.id })?,
        (false, false) => printer.record(&token)?,
    }
    context.offer(raw.reveal(), copy, quiet, &format!("coattail token show --print-raw-token {}", token.id));
    Ok(())
}

#[derive(Serialize)]
struct Id {
    id: TokenId,
}

#[derive(Serialize)]
struct Raw<'a> {
    id: TokenId,
    raw: &'a Secret,
}

fn issuer(context: &Context) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Answer {
        issuer: IssuerHash,
    }
    let issuer = context.talk(async |daemon| daemon.call(&Issuer {}).await)?;
    context.printer.value(&issuer.to_string(), &Answer { issuer })
}

fn show(context: &Context, args: &Shown) -> Result<(), Failure> {
    let token = id(&args.which)?;
    let token = context.talk(async |daemon| daemon.call(&ShowToken { token, raw: args.print_raw_token }).await)?;
    match &token.raw {
        Some(raw) if args.print_raw_token => context.printer.value(raw.reveal(), &Raw { id: token.id, raw }),
        _ => context.printer.record(&token),
    }
}

fn revoke(context: &Context, args: &Ended) -> Result<(), Failure> {
    let call = RevokeToken { token: id(&args.which)?, dry_run: args.dry_run };
    if !args.dry_run {
        context.confirm(&format!(
            "revoke the token {}, with the sessions and subscriptions that live on it",
            call.token
        ))?;
    }
    let revoked = context.talk(async |daemon| daemon.call(&call).await)?;
    context.end(&revoked, args.dry_run)
}

fn id(which: &Which) -> Result<TokenId, Failure> {
    ids::parse(which.id(), "token", "token list")
}
