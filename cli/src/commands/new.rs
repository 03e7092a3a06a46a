use std::path::PathBuf;

use coattail::id::IssuerHash;
use coattail::wire::Failure;
use serde::Serialize;

use crate::args::New;
use crate::context::Context;
use crate::error::ExitStatus;
use crate::local::{self, CreateOptions};
use crate::output::{Field, Record};

#[derive(Serialize)]
struct NewInstance {
    instance: String,
    issuer: IssuerHash,
    files: Vec<String>,
}

impl Record for NewInstance {
    fn fields(&self) -> Vec<Field> {
        let files = self.files.iter().map(|file| ("file", file.clone()));
        [("instance", self.instance.clone()), ("issuer", self.issuer.to_string())].into_iter().chain(files).collect()
    }
}

pub(super) fn run(context: &Context, args: New) -> Result<ExitStatus, Failure> {
    let given = args.folder.or(args.dir).or_else(|| context.given_instance().map(PathBuf::from));
    let folder = given.unwrap_or_else(|| ".".into());
    let created = local::create_instance(&folder, &CreateOptions { host: args.host, port: args.port })?;
    context.printer.record(&NewInstance {
        instance: created.instance.display().to_string(),
        issuer: created.issuer,
        files: created.files.iter().map(|file| file.display().to_string()).collect(),
    })?;
    context.printer.note(&format!("next: coattail service start --instance {}", created.instance.display()));
    Ok(ExitStatus::Done)
}
