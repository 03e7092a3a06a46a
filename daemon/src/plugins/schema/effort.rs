use std::collections::{HashMap, HashSet};

use serde_json::Value;

/// How many errors a full explanation may come to at most: some 20 MB, and a few milliseconds.
const AFFORDABLE: u64 = 50_000;

/// Levels of an input that are followed. Schemas that refer to themselves grow with each.
const DEEPEST: usize = 24;

/// How far it can be explained why a value does not fit a schema.
///
/// Whether it fits is known at little cost. Why not, the validator tells by collecting the errors of every
/// alternative, and of the alternatives within: in a schema that refers to itself, a deep value would cost centuries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// Every error.
    All,
    /// The first error.
    First,
    /// Only that it does not fit.
    None,
}

impl Effort {
    /// What is affordable for this value.
    pub(super) fn of(schema: &Value, value: &Value) -> Self {
        let Size { nodes, depth } = Size::of(value);
        if depth <= DEEPEST {
            let mut weigher = Weigher { root: schema, known: HashMap::new(), open: HashSet::new() };
            if weigher.weigh(schema, depth).saturating_mul(nodes) <= AFFORDABLE {
                return Self::All;
            }
        }
        // Without alternatives, the first error is found on a straight way.
        if has_alternatives(schema) { Self::None } else { Self::First }
    }
}

struct Size {
    nodes: u64,
    depth: usize,
}

impl Size {
    // Recursive: what is read as JSON is never deeper than 128.
    fn of(value: &Value) -> Self {
        let mut size = Self { nodes: 1, depth: 0 };
        let mut add = |child: &Value| {
            let child = Self::of(child);
            size.nodes += child.nodes;
            size.depth = size.depth.max(child.depth + 1);
        };
        match value {
            Value::Array(items) => items.iter().for_each(&mut add),
            Value::Object(fields) => fields.values().for_each(&mut add),
            _ => {}
        }
        size
    }
}

/// Counts the schemas that one node of a value can meet, at most. What cannot be followed is beyond every bound.
struct Weigher<'a> {
    root: &'a Value,
    known: HashMap<(*const Value, usize), u64>,
    open: HashSet<(*const Value, usize)>,
}

const BOUNDLESS: u64 = u64::MAX;

impl<'a> Weigher<'a> {
    fn weigh(&mut self, schema: &'a Value, levels: usize) -> u64 {
        let Value::Object(keywords) = schema else { return 1 };
        let key = (std::ptr::from_ref(schema), levels);
        if let Some(weight) = self.known.get(&key) {
            return *weight;
        }
        if self.open.len() > DEEPEST * DEEPEST || !self.open.insert(key) {
            return BOUNDLESS;
        }
        let mut weight = 1_u64;
        for (keyword, value) in keywords {
            weight = weight.saturating_add(match place(keyword) {
                Place::Here => self.weigh_each(schemas(keyword, value), levels),
                // A value without children meets none of these.
                Place::Children if levels == 0 => 0,
                Place::Children => self.weigh_each(schemas(keyword, value), levels - 1),
                Place::Elsewhere => match value.as_str().and_then(|target| follow(self.root, target)) {
                    Some(target) => self.weigh(target, levels),
                    None => BOUNDLESS,
                },
                Place::Nowhere => 0,
            });
        }
        self.open.remove(&key);
        self.known.insert(key, weight);
        weight
    }

    fn weigh_each(&mut self, schemas: Vec<&'a Value>, levels: usize) -> u64 {
        schemas.into_iter().fold(0, |sum, schema| sum.saturating_add(self.weigh(schema, levels)))
    }
}

/// The schemas of a keyword: one, a list, or a map.
fn schemas<'a>(keyword: &str, value: &'a Value) -> Vec<&'a Value> {
    match value {
        Value::Array(schemas) => schemas.iter().collect(),
        Value::Object(schemas) if MAPS.contains(&keyword) => schemas.values().collect(),
        schema => vec![schema],
    }
}

const MAPS: [&str; 4] = ["properties", "patternProperties", "dependentSchemas", "dependencies"];

/// To what the schemas of a keyword are applied.
enum Place {
    Here,
    Children,
    Elsewhere,
    Nowhere,
}

fn place(keyword: &str) -> Place {
    match keyword {
        "allOf" | "anyOf" | "oneOf" | "not" | "if" | "then" | "else" | "dependentSchemas" | "dependencies" => {
            Place::Here
        }
        "items"
        | "prefixItems"
        | "additionalItems"
        | "unevaluatedItems"
        | "contains"
        | "properties"
        | "patternProperties"
        | "additionalProperties"
        | "unevaluatedProperties"
        | "propertyNames" => Place::Children,
        "$ref" | "$dynamicRef" | "$recursiveRef" => Place::Elsewhere,
        _ => Place::Nowhere,
    }
}

fn follow<'a>(root: &'a Value, target: &str) -> Option<&'a Value> {
    root.pointer(target.strip_prefix('#')?)
}

fn has_alternatives(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => fields.iter().any(|(key, value)| {
            matches!(key.as_str(), "anyOf" | "oneOf" | "not" | "contains" | "propertyNames" | "if")
                || has_alternatives(value)
        }),
        Value::Array(items) => items.iter().any(has_alternatives),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(depth: usize) -> Value {
        (0..depth).fold(json!(1), |inner, _| json!({ "left": inner }))
    }

    #[test]
    fn what_is_affordable_is_explained() {
        let plain = json!({"properties": {"a": {"type": "string"}}});
        let list = json!({"items": {"type": "string"}});
        let either = json!({"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}});
        let tree = json!({"properties": {"left": {"$ref": "#"}}});
        let forks =
            json!({"anyOf": [{"properties": {"left": {"$ref": "#"}}}, {"properties": {"left": {"$ref": "#"}}}]});
        let long = Value::Array(vec![json!(1); 30_000]);
        for (schema, value, effort) in [
            (&plain, json!({"a": 1}), Effort::All),
            (&list, long.clone(), Effort::First),
            (&either, json!([1, 2]), Effort::All),
            (&either, long, Effort::None),
            (&tree, nested(20), Effort::All),
            (&tree, nested(100), Effort::First),
            (&forks, nested(4), Effort::All),
            (&forks, nested(20), Effort::None),
            (&forks, nested(100), Effort::None),
            (&json!({"$ref": "#"}), json!(1), Effort::First),
            (&json!({"$ref": "#anchor", "not": {}}), json!(1), Effort::None),
        ] {
            assert_eq!(Effort::of(schema, &value), effort, "{schema}");
        }
    }
}
