use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use coattail::wire::plugin::Kind;
use coattail::wire::{ErrorCode, Failure, Raw};
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::compiled::{Misfit, Values, at};
use super::{Schema, SchemaError};
use crate::plugins::PluginId;
use crate::plugins::call::Outcome;

/// Values up to so many bytes are checked at once. Larger ones are checked beside: they take milliseconds, and nobody
/// else waits for those.
const AT_ONCE: usize = 64 * 1024;

/// The schemas of one plugin, as its files are now. For each side the sidecar's wins over the plugin's own.
#[derive(Debug, Default)]
pub(in crate::plugins) struct Schemas {
    sidecar: Sides,
    /// What the plugin itself has said when it was last started; nothing if it never was.
    // A std mutex: held for an assignment.
    own: Mutex<Option<Sides>>,
}

#[derive(Debug, Clone, Default)]
struct Sides {
    input: Option<Arc<Schema>>,
    output: Option<Arc<Schema>>,
}

impl Schemas {
    /// Prepares what a sidecar says. On a wrong schema it is said which side it is.
    pub(in crate::plugins) fn of_sidecar(
        input: Option<&Value>,
        output: Option<&Value>,
    ) -> Result<Self, (&'static str, SchemaError)> {
        let side = |name, schema: Option<&Value>| {
            schema.map(|schema| Schema::new(schema.clone()).map(Arc::new).map_err(|error| (name, error))).transpose()
        };
        let sidecar = Sides { input: side("input", input)?, output: side("output", output)? };
        Ok(Self { sidecar, own: Mutex::default() })
    }

    /// Notes what a plugin says of itself. What the sidecar says is not even looked at.
    pub(in crate::plugins) fn learn(&self, kind: Kind, input: Option<Raw>, output: Option<Raw>) -> Result<(), String> {
        let known = self.own().clone().unwrap_or_default();
        let side = |name, said: Option<Raw>, wins: &Option<_>, known: Option<Arc<Schema>>| match said {
            Some(said) if wins.is_none() => prepare(&said, known).map_err(|why| format!("its own `{name}` {why}")),
            _ => Ok(None),
        };
        // A receiver returns nothing.
        let output = output.filter(|_| kind == Kind::Action);
        let sides = Sides {
            input: side("input", input, &self.sidecar.input, known.input)?,
            output: side("output", output, &self.sidecar.output, known.output)?,
        };
        *self.own() = Some(sides);
        Ok(())
    }

    /// Whether nothing more can be learned from the plugin.
    pub(in crate::plugins) fn are_known(&self, kind: Kind) -> bool {
        let has_output = kind == Kind::Receiver || self.sidecar.output.is_some();
        (self.sidecar.input.is_some() && has_output) || self.own().is_some()
    }

    /// The schemas of input and output, as far as they are known.
    pub(in crate::plugins) fn texts(&self) -> (Option<Raw>, Option<Raw>) {
        let text = |schema: Option<Arc<Schema>>| schema.map(|schema| schema.text().clone());
        let own = self.own().clone().unwrap_or_default();
        (text(self.sidecar.input.clone().or(own.input)), text(self.output()))
    }

    /// Checks an input against the sidecar's schema: possible before anything is started.
    pub(in crate::plugins) async fn check_early(&self, id: &PluginId, input: Option<&Raw>) -> Result<(), Failure> {
        check_input(self.sidecar.input.clone(), id, input).await
    }

    /// Checks an input against the schema of the plugin itself: possible once its worker has started.
    pub(in crate::plugins) async fn check_late(&self, id: &PluginId, input: Option<&Raw>) -> Result<(), Failure> {
        let own = self.own().as_ref().and_then(|own| own.input.clone());
        check_input(own, id, input).await
    }

    /// Checks what an action returned. What does not fit is nobody's to see.
    pub(in crate::plugins) async fn check_output(&self, id: &PluginId, output: Option<Raw>) -> Outcome {
        let Some(schema) = self.output() else { return Ok(output) };
        match Box::pin(check(schema, output.as_ref(), Values::Hidden)).await? {
            None => Ok(output),
            Some(misfits) => Err(failure(ErrorCode::Failed, "output", id, misfits)
                .hint("the action is at fault, not its input; its owner can correct it, or its `output` schema")),
        }
    }

    fn output(&self) -> Option<Arc<Schema>> {
        self.sidecar.output.clone().or_else(|| self.own().as_ref().and_then(|own| own.output.clone()))
    }

    fn own(&self) -> MutexGuard<'_, Option<Sides>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Every worker of a plugin says the same: what is prepared is kept.
fn prepare(said: &Raw, known: Option<Arc<Schema>>) -> Result<Option<Arc<Schema>>, String> {
    let schema: Value = serde_json::from_str(said.get()).map_err(|error| format!("cannot be read: {error}"))?;
    if schema.is_null() {
        return Ok(None);
    }
    match known.filter(|known| *known.schema() == schema) {
        Some(known) => Ok(Some(known)),
        None => Schema::new(schema).map(|schema| Some(Arc::new(schema))).map_err(|error| error.to_string()),
    }
}

async fn check_input(schema: Option<Arc<Schema>>, id: &PluginId, input: Option<&Raw>) -> Result<(), Failure> {
    let Some(schema) = schema else { return Ok(()) };
    // Apart, so that what has no schema does not carry the room that it needs.
    let Some(misfits) = Box::pin(check(schema, input, Values::Shown)).await? else { return Ok(()) };
    Err(match id.kind {
        Kind::Action => failure(ErrorCode::InvalidInput, "input", id, misfits)
            .hint("`coattail action list --schemas --json` shows what it takes"),
        // The same publication will never fit.
        Kind::Receiver => failure(ErrorCode::Rejected, "input", id, misfits),
    })
}

/// What is absent is checked as `null`.
async fn check(
    schema: Arc<Schema>,
    raw: Option<&Raw>,
    values: Values,
) -> Result<Option<(Vec<Misfit>, usize)>, Failure> {
    let text = raw.map_or("null", |raw| raw.get());
    let misfits = move |text: &str| {
        let value: Value = serde_json::from_str(text)?;
        Ok(schema.misfits(&value, values))
    };
    let checked: Result<_, serde_json::Error> = if text.len() <= AT_ONCE {
        misfits(text)
    } else {
        let text = text.to_owned();
        let checked = tokio::task::spawn_blocking(move || misfits(&text)).await;
        checked.map_err(|error| Failure::new(ErrorCode::Internal, format!("a value could not be checked: {error}")))?
    };
    checked.map_err(|error| Failure::new(ErrorCode::InvalidInput, format!("the value is no JSON: {error}")))
}

fn failure(code: ErrorCode, side: &str, id: &PluginId, (told, more): (Vec<Misfit>, usize)) -> Failure {
    let first = told.first().map(|first| format!("{}: {}", at(&first.pointer), first.message)).unwrap_or_default();
    let more = match told.len().saturating_sub(1) + more {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    Failure::new(code, format!("{side} of {id} does not fit its schema{first}{more}")).data(to_raw_value(&told).ok())
}
