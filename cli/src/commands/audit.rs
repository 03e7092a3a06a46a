use coattail::wire::Failure;
use coattail::wire::control::{AuditEntry, ListAudit, Outcome};
use jiff::Timestamp;

use crate::args::Audit;
use crate::context::Context;
use crate::error::ExitStatus;
use crate::output::Row;

impl Row for AuditEntry {
    const COLUMNS: &'static [&'static str] =
        &["time", "count", "outcome", "what", "subject", "token", "peer", "address", "reason"];

    fn cells(&self) -> Vec<String> {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        vec![
            self.time.clone(),
            self.count.to_string(),
            match self.outcome {
                Outcome::Allowed => "allowed",
                Outcome::Refused => "refused",
            }
            .to_owned(),
            self.what.clone(),
            or_dash(self.subject.clone()),
            or_dash(self.token.map(|token| token.to_string())),
            or_dash(self.peer.map(|peer| peer.to_string())),
            or_dash(self.address.clone()),
            or_dash(self.reason.clone()),
        ]
    }
}

pub(super) fn run(context: &Context, args: &Audit) -> Result<ExitStatus, Failure> {
    let since_ms = args.since.map(|since| {
        let since = i64::try_from(since.as_millis()).unwrap_or(i64::MAX);
        Timestamp::now().as_millisecond().saturating_sub(since)
    });
    let request = ListAudit { since_ms, limit: Some(args.limit) };
    let entries = context.talk(async |daemon| daemon.call(&request).await)?;
    context.printer.list(&entries, "nobody was let in or refused in this time")?;
    if entries.len() == args.limit as usize {
        context.printer.note(&format!("there may be more than these {}; `--limit` shows more", args.limit));
    }
    Ok(ExitStatus::Done)
}
