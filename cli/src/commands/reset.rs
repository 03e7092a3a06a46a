//! Subscriptions that go on from elsewhere, on both sides.

use coattail::wire::subscriptions::Resetting;
use coattail::wire::{Failure, Method};

use super::action::gone;
use crate::context::Context;
use crate::output::{Field, Record, yes_no};

impl Record for Resetting {
    fn fields(&self) -> Vec<Field> {
        vec![
            ("id", self.id.to_string()),
            ("after", self.after.to_string()),
            ("again", self.again.to_string()),
            ("skipped", self.skipped.to_string()),
            ("told", yes_no(self.told)),
        ]
    }
}

/// Tells what would come of it, and does it once that is confirmed. `call` makes the request, dry or not; `untold` is
/// said if the other side could not be told.
pub(super) fn run<C>(context: &Context, call: impl Fn(bool) -> C, dry_run: bool, untold: &str) -> Result<(), Failure>
where
    C: Method<Reply = Resetting> + Sync,
{
    let ask = |dry_run| {
        let call = call(dry_run);
        context.talk(async |daemon| daemon.call(&call).await)
    };
    if dry_run || !context.is_confirmed() {
        let weighed = ask(true)?;
        if dry_run {
            context.printer.record(&weighed)?;
            gone(&context.printer, weighed.oldest.as_ref());
            context.printer.note("nothing was done: this is what would come of it");
            return Ok(());
        }
        let Resetting { id, after, again, skipped, .. } = &weighed;
        context.confirm(&format!(
            "have the subscription {id} go on after number {after}; {again} come again, {skipped} are skipped"
        ))?;
    }
    let reset = ask(false)?;
    context.printer.record(&reset)?;
    gone(&context.printer, reset.oldest.as_ref());
    if !reset.told {
        context.printer.note(untold);
    }
    Ok(())
}
