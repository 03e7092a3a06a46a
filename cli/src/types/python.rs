use std::fmt::Write as _;

use serde_json::Value;

use super::model::{Field, Module, Object, Shape, Type};
use super::text::{comment, is_identifier, quote};

/// Writes the types as a module for Python 3.10 and later. `origin` says of whom they are.
pub(crate) fn python(module: &Module, origin: &str) -> String {
    let mut code =
        docstring("", &format!("The actions of {origin}. Made by `coattail action types`: changes are lost."));
    code.push_str("\nfrom __future__ import annotations\n\nimport typing\n\n");
    for declaration in &module.declarations {
        let (name, doc) = (&declaration.name, declaration.doc.as_deref());
        match &declaration.shape {
            Shape::Object(object) => class(&mut code, module, name, doc, object),
            Shape::Alias(kind @ Type::All(parts)) => match merged(module, parts) {
                Some(object) => class(&mut code, module, name, doc, &object),
                None => alias(&mut code, module, name, doc, kind),
            },
            Shape::Alias(kind) => alias(&mut code, module, name, doc, kind),
        }
    }
    maps(&mut code, module);
    perform(&mut code, module);
    code
}

fn class(code: &mut String, module: &Module, name: &str, doc: Option<&str>, object: &Object) {
    let (required, optional): (Vec<_>, Vec<_>) = object.fields.iter().partition(|field| field.required);
    let doc = doc.map(|doc| docstring("    ", doc)).unwrap_or_default();
    let more = match &object.rest {
        Some(_) => "    # Other fields than these may be there.\n",
        None => "",
    };
    // Before Python 3.11 a class cannot have both, so that one inherits from the other.
    let base = match required.is_empty() || optional.is_empty() {
        true => "typing.TypedDict".to_owned(),
        false => {
            let base = format!("_{name}Required");
            part(code, module, &base, "typing.TypedDict", "", &required, false);
            base
        }
    };
    let (fields, is_partial) = if optional.is_empty() { (required, false) } else { (optional, true) };
    part(code, module, name, &base, &format!("{doc}{more}"), &fields, is_partial);
}

/// A class with fields that are all required, or all optional.
fn part(code: &mut String, module: &Module, name: &str, base: &str, doc: &str, fields: &[&Field], is_partial: bool) {
    let total = if is_partial { ", total=False" } else { "" };
    if fields.iter().all(|field| is_field(&field.name)) {
        let _ = writeln!(code, "class {name}({base}{total}):");
        code.push_str(doc);
        for field in fields {
            remarks(code, "    ", field.doc.as_deref(), &field.kind);
            let _ = writeln!(code, "    {}: {}", field.name, written(module, &field.kind));
        }
        if fields.is_empty() && !doc.contains("\"\"\"") {
            code.push_str("    pass\n");
        }
        code.push_str("\n\n");
        return;
    }
    // What is no name in Python can only be listed.
    let _ = writeln!(code, "_{name}Fields = typing.TypedDict(\n    \"_{name}Fields\",\n    {{");
    for field in fields {
        remarks(code, "        ", field.doc.as_deref(), &field.kind);
        let _ = writeln!(code, "        {}: {},", quote(&field.name), quote(&written(module, &field.kind)));
    }
    let _ = writeln!(code, "    }},{}\n)\n\n", if is_partial { "\n    total=False," } else { "" });
    let bases = if base == "typing.TypedDict" { String::new() } else { format!("{base}, ") };
    let _ = writeln!(code, "class {name}({bases}_{name}Fields{total}):");
    code.push_str(doc);
    code.push_str(if doc.contains("\"\"\"") { "\n\n" } else { "    pass\n\n\n" });
}

fn alias(code: &mut String, module: &Module, name: &str, doc: Option<&str>, kind: &Type) {
    remarks(code, "", doc, kind);
    let _ = writeln!(code, "{name}: typing.TypeAlias = {}\n", quote(&written(module, kind)));
}

/// All parts in one, if all are objects and agree on what they have in common.
fn merged(module: &Module, parts: &[Type]) -> Option<Object> {
    let mut fields: Vec<Field> = Vec::new();
    let mut rest = None;
    for part in parts {
        let Type::Named(index) = part else { return None };
        let Shape::Object(object) = &module.declarations[*index].shape else { return None };
        for field in &object.fields {
            match fields.iter_mut().find(|known| known.name == field.name) {
                None => fields.push(field.clone()),
                Some(known) => {
                    known.required |= field.required;
                    if known.kind != field.kind {
                        known.kind = match (&known.kind, &field.kind) {
                            (Type::Unknown(_), other) | (other, Type::Unknown(_)) => other.clone(),
                            _ => Type::Unknown("several types at once"),
                        };
                    }
                }
            }
        }
        rest = rest.or_else(|| object.rest.clone());
    }
    Some(Object { fields, rest })
}

fn maps(code: &mut String, module: &Module) {
    if module.actions.is_empty() {
        return;
    }
    let names: Vec<String> = module.actions.iter().map(|action| quote(&action.name)).collect();
    let _ = writeln!(code, "ActionName: typing.TypeAlias = typing.Literal[\n    {},\n]\n", names.join(",\n    "));
    for (title, is_input) in [("ActionInputs", true), ("ActionOutputs", false)] {
        let _ = writeln!(code, "{title} = typing.TypedDict(\n    \"{title}\",\n    {{");
        for action in &module.actions {
            let index = if is_input { action.input } else { action.output };
            let _ = writeln!(code, "        {}: \"{}\",", quote(&action.name), module.declarations[index].name);
        }
        code.push_str("    },\n)\n\n");
    }
}

fn perform(code: &mut String, module: &Module) {
    code.push_str("\nclass PerformAction(typing.Protocol):\n    \"\"\"Performs any of them.\"\"\"\n");
    let one = |action: &super::model::Action| {
        let (input, output) = (&module.declarations[action.input].name, &module.declarations[action.output].name);
        format!(
            "    def __call__(\n        self, name: typing.Literal[{}], input: {input}\n    ) -> {output}: ...\n",
            quote(&action.name)
        )
    };
    // One alone is no overload.
    let overload = if module.actions.len() > 1 { "    @typing.overload\n" } else { "" };
    for action in &module.actions {
        let _ = write!(code, "\n{overload}{}", one(action));
    }
}

fn docstring(indent: &str, text: &str) -> String {
    let lines: Vec<String> = comment(text).iter().map(|line| line.replace('\\', "\\\\").replace('"', "\\\"")).collect();
    match lines.as_slice() {
        [] => String::new(),
        [line] => format!("{indent}\"\"\"{line}\"\"\"\n"),
        [first, others @ ..] => {
            let mut text = format!("{indent}\"\"\"{first}\n");
            for line in others {
                let _ = writeln!(text, "{}", format!("{indent}{line}").trim_end());
            }
            let _ = writeln!(text, "{indent}\"\"\"");
            text
        }
    }
}

/// What is said of a type, and what its type cannot say.
fn remarks(code: &mut String, indent: &str, doc: Option<&str>, kind: &Type) {
    let mut lines = doc.map(comment).unwrap_or_default();
    reasons(kind, &mut lines);
    for line in lines {
        let _ = writeln!(code, "{}", format!("{indent}# {line}").trim_end());
    }
}

fn reasons(kind: &Type, lines: &mut Vec<String>) {
    let mut say = |why: &str| lines.push(format!("Not every rule can be written here: {why}."));
    match kind {
        Type::Unknown("") => {}
        Type::Unknown(why) => say(why),
        Type::All(_) => say("several schemas at once"),
        Type::Tuple { .. } => say("each place of the list has its own type"),
        Type::List(inner) | Type::Map(inner) => reasons(inner, lines),
        Type::Union(kinds) => kinds.iter().for_each(|kind| reasons(kind, lines)),
        _ => {}
    }
}

fn written(module: &Module, kind: &Type) -> String {
    match kind {
        Type::Unknown(_) | Type::All(_) => "typing.Any".to_owned(),
        Type::Never => "typing.NoReturn".to_owned(),
        Type::Null => "None".to_owned(),
        Type::Boolean => "bool".to_owned(),
        Type::Integer => "int".to_owned(),
        Type::Number => "float".to_owned(),
        Type::Text => "str".to_owned(),
        Type::Literal(values) => literals(values),
        Type::List(item) => format!("typing.List[{}]", written(module, item)),
        Type::Tuple { items, rest, .. } => {
            let kinds = items.iter().chain(rest.as_deref()).cloned().collect();
            format!("typing.List[{}]", written(module, &Type::union(kinds)))
        }
        Type::Map(value) => format!("typing.Dict[str, {}]", written(module, value)),
        Type::Union(kinds) => {
            let kinds: Vec<String> = kinds.iter().map(|kind| written(module, kind)).collect();
            format!("typing.Union[{}]", kinds.join(", "))
        }
        Type::Named(index) => module.declarations[*index].name.clone(),
    }
}

fn literals(values: &[Value]) -> String {
    let mut kinds: Vec<String> = Vec::new();
    let mut exact: Vec<String> = Vec::new();
    for value in values {
        match value {
            Value::String(text) => exact.push(quote(text)),
            Value::Bool(true) => exact.push("True".to_owned()),
            Value::Bool(false) => exact.push("False".to_owned()),
            Value::Number(number) if !number.is_f64() => exact.push(number.to_string()),
            // Python has no literal types of these.
            Value::Number(_) => kinds.push("float".to_owned()),
            _ => kinds.push("None".to_owned()),
        }
    }
    if !exact.is_empty() {
        kinds.insert(0, format!("typing.Literal[{}]", exact.join(", ")));
    }
    kinds.dedup();
    if kinds.len() == 1 { kinds.remove(0) } else { format!("typing.Union[{}]", kinds.join(", ")) }
}

/// Whether a field can be named in a class. Two underscores would change the name.
fn is_field(name: &str) -> bool {
    is_identifier(name) && !name.starts_with("__") && !KEYWORDS.contains(&name)
}

const KEYWORDS: [&str; 35] = [
    "False", "None", "True", "and", "as", "assert", "async", "await", "break", "class", "continue", "def", "del",
    "elif", "else", "except", "finally", "for", "from", "global", "if", "import", "in", "is", "lambda", "nonlocal",
    "not", "or", "pass", "raise", "return", "try", "while", "with", "yield",
];
