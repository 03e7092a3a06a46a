use coattail::wire::Failure;
use serde::Serialize;

use crate::args::DataCommand;
use crate::context::Context;
use crate::error::ExitStatus;
use crate::local;
use crate::output::{Field, Record};

#[derive(Serialize)]
struct Migrated {
    from: u64,
    to: u64,
}

impl Record for Migrated {
    fn fields(&self) -> Vec<Field> {
        vec![("from version", self.from.to_string()), ("to version", self.to.to_string())]
    }
}

pub(super) fn run(context: &Context, command: DataCommand) -> Result<ExitStatus, Failure> {
    let DataCommand::Migrate(args) = command;
    let migration = args.migration();
    let instance = context.instance()?;
    if migration.destroys() {
        context.confirm(&format!(
            "take the database of `{}` back, and lose what only the newer one can hold",
            instance.display()
        ))?;
    }
    let local::Migrated { from, to } = local::migrate(&instance, migration)?;
    context.printer.record(&Migrated { from, to })?;
    Ok(ExitStatus::Done)
}
