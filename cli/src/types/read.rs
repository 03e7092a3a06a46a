use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::{Map, Value};

use super::model::{Action, Declaration, Field, Module, Object, Shape, Type};
use super::names::{Names, pascal};

/// The largest schema that is read, in bytes: what a service takes from its plugins.
const LARGEST: usize = 64 * 1024;

/// An action, and what is known of it.
#[derive(Debug)]
pub(crate) struct Described<'a> {
    pub(crate) name: &'a str,
    pub(crate) description: Option<&'a str>,
    pub(crate) input: Option<&'a str>,
    pub(crate) output: Option<&'a str>,
}

/// The types of these actions.
pub(crate) fn read<'a>(actions: impl IntoIterator<Item = Described<'a>>) -> Module {
    let (mut module, mut names) = (Module::default(), Names::new());
    for Described { name, description, input, output } in actions {
        let prefix = pascal(name);
        let mut side = |what: &str, text: Option<&str>| {
            let title = format!("{}of the action `{name}`.", what_it_is(what));
            let doc = match description {
                Some(description) => format!("{title}\n\n{description}"),
                None => title,
            };
            document(&mut module, &mut names, &prefix, &format!("{prefix}{what}"), text, &doc)
        };
        let (input, output) = (side("Input", input), side("Output", output));
        module.actions.push(Action { name: name.to_owned(), input, output });
    }
    break_circles(&mut module);
    module
}

fn what_it_is(side: &str) -> &'static str {
    if side == "Input" { "The input " } else { "The output " }
}

/// Declares what a schema says, and what it refers to.
fn document(module: &mut Module, names: &mut Names, prefix: &str, name: &str, text: Option<&str>, doc: &str) -> usize {
    let root = match text {
        None => Ok(Value::Bool(true)),
        Some(text) if text.len() > LARGEST => Err("its schema is too large"),
        Some(text) => serde_json::from_str(text).map_err(|_| "its schema cannot be read"),
    };
    let root_index = declare(module, names, name, Some(doc.to_owned()));
    let root = match root {
        Ok(root) => root,
        Err(why) => {
            module.declarations[root_index].shape = Shape::Alias(Type::Unknown(why));
            return root_index;
        }
    };
    let mut reader = Reader { module, names, root: &root, prefix, targets: HashMap::new(), waiting: VecDeque::new() };
    reader.targets.insert(String::new(), root_index);
    reader.waiting.push_back((root_index, &root));
    while let Some((index, schema)) = reader.waiting.pop_front() {
        let name = reader.module.declarations[index].name.clone();
        let shape = reader.shape(schema, &name);
        let declaration = &mut reader.module.declarations[index];
        declaration.shape = shape;
        declaration.doc = match (declaration.doc.take(), doc_of(schema)) {
            (Some(ours), Some(theirs)) => Some(format!("{ours}\n\n{theirs}")),
            (ours, theirs) => ours.or(theirs),
        };
    }
    root_index
}

fn declare(module: &mut Module, names: &mut Names, name: &str, doc: Option<String>) -> usize {
    let shape = Shape::Alias(Type::ANY);
    module.declarations.push(Declaration { name: names.claim(name), doc, shape });
    module.declarations.len() - 1
}

struct Reader<'a> {
    module: &'a mut Module,
    names: &'a mut Names,
    root: &'a Value,
    prefix: &'a str,
    /// What was referred to, by its JSON pointer, and where it is declared.
    targets: HashMap<String, usize>,
    /// Declared, and not read yet: one after the other, so that no chain of references is too long.
    waiting: VecDeque<(usize, &'a Value)>,
}

impl<'a> Reader<'a> {
    /// A type that can stand within another: an object gets a name.
    fn read(&mut self, schema: &'a Value, name: &str) -> Type {
        match self.shape(schema, name) {
            Shape::Alias(kind) => kind,
            Shape::Object(object) => self.name(object, name, doc_of(schema)),
        }
    }

    fn name(&mut self, object: Object, name: &str, doc: Option<String>) -> Type {
        let index = declare(self.module, self.names, name, doc);
        self.module.declarations[index].shape = Shape::Object(object);
        Type::Named(index)
    }

    fn shape(&mut self, schema: &'a Value, name: &str) -> Shape {
        let keywords = match schema {
            Value::Object(keywords) => keywords,
            Value::Bool(false) => return Shape::Alias(Type::Never),
            _ => return Shape::Alias(Type::ANY),
        };
        let mut parts = Vec::new();
        let mut object = None;
        if let Some(target) = keywords.get("$ref") {
            parts.push(self.refer(target));
        }
        if keywords.contains_key("$dynamicRef") || keywords.contains_key("$recursiveRef") {
            parts.push(Type::Unknown("a dynamic reference"));
        }
        match (keywords.get("const"), keywords.get("enum").and_then(Value::as_array)) {
            (Some(value), _) => parts.push(literal(std::slice::from_ref(value))),
            (None, Some(values)) => parts.push(literal(values)),
            (None, None) => {
                let types = types(keywords);
                if types == ["object"] && has_fields(keywords) {
                    object = Some(self.object(keywords, name));
                } else if !types.is_empty() {
                    let types = types.iter().map(|kind| self.typed(kind, keywords, name)).collect();
                    parts.push(Type::union(types));
                }
            }
        }
        for part in keywords.get("allOf").and_then(Value::as_array).into_iter().flatten() {
            parts.push(self.read(part, name));
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(either) = keywords.get(keyword).and_then(Value::as_array) {
                let either = either.iter().map(|schema| self.read(schema, name)).collect();
                parts.push(Type::union(either));
            }
        }
        match object {
            Some(object) if parts.is_empty() => Shape::Object(object),
            Some(object) => {
                let named = self.name(object, name, None);
                parts.insert(0, named);
                Shape::Alias(Type::all(parts))
            }
            None => Shape::Alias(Type::all(parts)),
        }
    }

    fn typed(&mut self, kind: &str, keywords: &'a Map<String, Value>, name: &str) -> Type {
        match kind {
            "null" => Type::Null,
            "boolean" => Type::Boolean,
            "integer" => Type::Integer,
            "number" => Type::Number,
            "string" => Type::Text,
            "array" => self.array(keywords, name),
            "object" if has_fields(keywords) => {
                let object = self.object(keywords, name);
                self.name(object, name, None)
            }
            "object" => match keywords.get("additionalProperties") {
                _ if keywords.contains_key("patternProperties") => {
                    Type::Map(Box::new(Type::Unknown("fields that are named by a pattern")))
                }
                Some(rest) => Type::Map(Box::new(self.read(rest, &format!("{name}Value")))),
                None => Type::Map(Box::new(Type::ANY)),
            },
            _ => Type::Unknown("a type that JSON Schema does not know"),
        }
    }

    fn array(&mut self, keywords: &'a Map<String, Value>, name: &str) -> Type {
        let item = format!("{name}Item");
        // Before 2020, `items` was also a list, and `additionalItems` what follows it.
        let old = keywords.get("items").filter(|items| items.is_array());
        let Some(first) = old.or(keywords.get("prefixItems")).and_then(Value::as_array) else {
            let items = keywords.get("items").map_or(Type::ANY, |items| self.read(items, &item));
            return Type::List(Box::new(items));
        };
        let items = first.iter().map(|schema| self.read(schema, &item)).collect();
        let rest = keywords.get(if old.is_some() { "additionalItems" } else { "items" });
        let rest = match rest.map_or(Type::ANY, |rest| self.read(rest, &item)) {
            Type::Never => None,
            rest => Some(Box::new(rest)),
        };
        let least = keywords.get("minItems").and_then(Value::as_u64).unwrap_or(0);
        Type::Tuple { items, least: usize::try_from(least).unwrap_or(usize::MAX), rest }
    }

    fn object(&mut self, keywords: &'a Map<String, Value>, name: &str) -> Object {
        let listed = keywords.get("required").and_then(Value::as_array).into_iter().flatten();
        let required: Vec<&str> = listed.filter_map(Value::as_str).collect();
        let mut fields = Vec::new();
        for (field, schema) in keywords.get("properties").and_then(Value::as_object).into_iter().flatten() {
            let kind = self.read(schema, &format!("{name}{}", pascal(field)));
            // What has a name of its own is described there.
            let doc = doc_of(schema).filter(|_| !matches!(kind, Type::Named(_)) || schema.get("$ref").is_some());
            fields.push(Field { name: field.clone(), doc, kind, required: required.contains(&field.as_str()) });
        }
        for field in required {
            if !fields.iter().any(|known| known.name == field) {
                fields.push(Field { name: field.to_owned(), doc: None, kind: Type::ANY, required: true });
            }
        }
        let rest = if keywords.contains_key("patternProperties") {
            Some(Type::Unknown("fields that are named by a pattern"))
        } else {
            keywords.get("additionalProperties").map(|rest| self.read(rest, &format!("{name}Value")))
        };
        Object { fields, rest: rest.filter(|rest| *rest != Type::Never) }
    }

    /// What a reference leads to, declared once.
    fn refer(&mut self, target: &Value) -> Type {
        let Some(pointer) = target.as_str().and_then(|target| target.strip_prefix('#')) else {
            return Type::Unknown("a reference to another document");
        };
        if let Some(index) = self.targets.get(pointer) {
            return Type::Named(*index);
        }
        let Some(schema) = self.root.pointer(pointer) else {
            return Type::Unknown("a reference that leads nowhere");
        };
        let last = pointer.rsplit('/').next().unwrap_or_default();
        let index = declare(self.module, self.names, &format!("{}{}", self.prefix, pascal(last)), None);
        self.targets.insert(pointer.to_owned(), index);
        self.waiting.push_back((index, schema));
        Type::Named(index)
    }
}

fn types(keywords: &Map<String, Value>) -> Vec<&str> {
    match keywords.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        // Strictly, anything else would fit, too; nobody means that.
        _ if has_fields(keywords) || keywords.contains_key("additionalProperties") => vec!["object"],
        _ if keywords.contains_key("items") || keywords.contains_key("prefixItems") => vec!["array"],
        _ => Vec::new(),
    }
}

fn has_fields(keywords: &Map<String, Value>) -> bool {
    let is_filled = |value: Option<&Value>| match value {
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Array(names)) => !names.is_empty(),
        _ => false,
    };
    is_filled(keywords.get("properties")) || is_filled(keywords.get("required"))
}

fn literal(values: &[Value]) -> Type {
    match values {
        [] => Type::Never,
        values if values.iter().any(|value| value.is_object() || value.is_array()) => {
            Type::Unknown("certain objects or lists")
        }
        values => Type::Literal(values.to_vec()),
    }
}

fn doc_of(schema: &Value) -> Option<String> {
    let text = |key| schema.get(key).and_then(Value::as_str).filter(|text| !text.trim().is_empty());
    match (text("title"), text("description")) {
        (Some(title), Some(description)) => Some(format!("{title}\n\n{description}")),
        (one, other) => one.or(other).map(str::to_owned),
    }
}

/// A name that stands for itself, without anything around it, means nothing in any language.
fn break_circles(module: &mut Module) {
    for index in 0..module.declarations.len() {
        if stands_for(module, index) {
            module.declarations[index].shape = Shape::Alias(Type::Unknown("it refers to itself"));
        }
    }
}

fn stands_for(module: &Module, index: usize) -> bool {
    let mut seen = HashSet::new();
    let mut open = vec![index];
    while let Some(next) = open.pop() {
        let Shape::Alias(kind) = &module.declarations[next].shape else { continue };
        for named in named_at_once(kind) {
            if named == index {
                return true;
            }
            if seen.insert(named) {
                open.push(named);
            }
        }
    }
    false
}

fn named_at_once(kind: &Type) -> Vec<usize> {
    match kind {
        Type::Named(index) => vec![*index],
        Type::Union(parts) | Type::All(parts) => parts.iter().flat_map(named_at_once).collect(),
        _ => Vec::new(),
    }
}
