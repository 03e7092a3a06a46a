use std::borrow::Cow;

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;

use crate::wire::Raw;

/// A type of which callers are told nothing, because it has no JSON Schema: it is checked when it is read, and not
/// before.
///
/// ```no_run
/// # #[derive(serde::Deserialize)] struct Measurement;
/// use coattail::plugin::{NoSchema, action};
///
/// # fn main() -> coattail::Result<()> {
/// action(|NoSchema(measurement): NoSchema<Measurement>, _| async move { Ok(()) }).serve()
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct NoSchema<T>(pub T);

impl<T> JsonSchema for NoSchema<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Any".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        true.into()
    }
}

pub(super) fn schema_of_input<T: JsonSchema>() -> Option<Raw> {
    schema_of::<T>(SchemaSettings::default().for_deserialize())
}

pub(super) fn schema_of_output<T: JsonSchema>() -> Option<Raw> {
    schema_of::<T>(SchemaSettings::default().for_serialize())
}

/// `None` if everything fits it: then there is nothing to tell.
fn schema_of<T: JsonSchema>(mut settings: SchemaSettings) -> Option<Raw> {
    settings.meta_schema = None;
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let says_nothing = schema.as_object().is_none_or(|keywords| keywords.keys().all(|keyword| keyword == "title"));
    (!says_nothing).then(|| to_raw_value(&schema).expect("a schema is JSON"))
}
