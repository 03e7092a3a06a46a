use std::path::PathBuf;

use coattail::id::IssuerHash;
use coattail::wire::Failure;
use serde::Serialize;

use crate::args::{Backup, Restore};
use crate::context::Context;
use crate::error::ExitStatus;
use crate::local;
use crate::output::{Field, Record};

#[derive(Serialize)]
struct BackedUp {
    file: String,
    issuer: IssuerHash,
    bytes: u64,
}

impl Record for BackedUp {
    fn fields(&self) -> Vec<Field> {
        vec![("file", self.file.clone()), ("issuer", self.issuer.to_string()), ("bytes", self.bytes.to_string())]
    }
}

#[derive(Serialize)]
struct Restored {
    instance: String,
    issuer: IssuerHash,
    created: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
}

impl Record for Restored {
    fn fields(&self) -> Vec<Field> {
        let mut fields = vec![
            ("instance", self.instance.clone()),
            ("issuer", self.issuer.to_string()),
            ("created", self.created.clone()),
        ];
        fields.extend(self.before.clone().map(|before| ("before", before)));
        fields
    }
}

pub(super) fn back_up(context: &Context, args: &Backup) -> Result<ExitStatus, Failure> {
    let local::BackedUp { file, issuer, bytes } =
        local::back_up(&context.instance()?, &args.file, args.all, context.is_forced())?;
    context.printer.record(&BackedUp { file: file.display().to_string(), issuer, bytes })?;
    context.printer.note("it holds the private keys: whoever can read it can be this instance");
    Ok(ExitStatus::Done)
}

pub(super) fn restore(context: &Context, args: Restore) -> Result<ExitStatus, Failure> {
    let given = args.folder.or_else(|| context.given_instance().map(PathBuf::from));
    let folder = given.unwrap_or_else(|| ".".into());
    if local::is_instance(&folder) {
        context.confirm(&format!(
            "put the database, settings and keys of `{}` back to those in `{}`",
            folder.display(),
            args.file.display()
        ))?;
    }
    let local::Restored { folder, issuer, created, before } = local::restore(&args.file, &folder)?;
    let is_kept = before.is_some();
    context.printer.record(&Restored {
        instance: folder.display().to_string(),
        issuer,
        created,
        before: before.map(|before| before.display().to_string()),
    })?;
    if is_kept {
        context.printer.note("what was there is kept in `before`: remove that folder when all is well");
    }
    context
        .printer
        .note("what was revoked or removed since the backup counts again: look at `token list` and `peer list`");
    Ok(ExitStatus::Done)
}
