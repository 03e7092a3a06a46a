use std::fmt::Write as _;

use serde_json::Value;

use super::model::{Module, Object, Shape, Type};
use super::text::{comment, is_identifier, quote};

/// Writes the types as a TypeScript module. `origin` says of whom they are.
pub(crate) fn typescript(module: &Module, origin: &str) -> String {
    let mut code = String::new();
    doc(&mut code, "", &format!("The actions of {origin}. Made by `coattail action types`: changes are lost."));
    code.push('\n');
    for declaration in &module.declarations {
        if let Some(text) = &declaration.doc {
            doc(&mut code, "", text);
        }
        let name = &declaration.name;
        match &declaration.shape {
            Shape::Object(object) => {
                let _ = writeln!(code, "export interface {name} {}\n", fields(module, object));
            }
            Shape::Alias(kind) => {
                let _ = writeln!(code, "export type {name} = {};\n", written(module, kind));
            }
        }
    }
    doc(&mut code, "", "What each action takes and returns.");
    code.push_str("export interface Actions {\n");
    for action in &module.actions {
        let (input, output) = (&module.declarations[action.input].name, &module.declarations[action.output].name);
        let _ = writeln!(code, "  {}: {{ input: {input}; output: {output} }};", quote(&action.name));
    }
    code.push_str("}\n\nexport type ActionName = keyof Actions;\n\n");
    doc(&mut code, "", "Performs any of them.");
    code.push_str(
        "export type PerformAction = <Name extends ActionName>(\n  name: Name,\n  input: Actions[Name][\"input\"],\n\
         ) => Promise<Actions[Name][\"output\"]>;\n",
    );
    code
}

fn doc(code: &mut String, indent: &str, text: &str) {
    let lines = comment(text);
    match lines.as_slice() {
        [] => {}
        [line] => {
            let _ = writeln!(code, "{indent}/** {line} */");
        }
        lines => {
            let _ = writeln!(code, "{indent}/**");
            for line in lines {
                let _ = writeln!(code, "{}", format!("{indent} * {line}").trim_end());
            }
            let _ = writeln!(code, "{indent} */");
        }
    }
}

fn fields(module: &Module, object: &Object) -> String {
    let mut code = String::from("{\n");
    for field in &object.fields {
        if let Some(text) = &field.doc {
            doc(&mut code, "  ", text);
        }
        let name = if is_identifier(&field.name) { field.name.clone() } else { quote(&field.name) };
        let optional = if field.required { "" } else { "?" };
        let _ = writeln!(code, "  {name}{optional}: {};", written(module, &field.kind));
    }
    if let Some(rest) = &object.rest {
        // In TypeScript the named fields must be among the others.
        let mut kinds: Vec<Type> = object.fields.iter().map(|field| field.kind.clone()).collect();
        kinds.push(rest.clone());
        let kind = Type::union(kinds);
        let may_lack = object.fields.iter().any(|field| !field.required) && !matches!(kind, Type::Unknown(_));
        let lack = if may_lack { " | undefined" } else { "" };
        let _ = writeln!(code, "  [key: string]: {}{lack};", written(module, &kind));
    }
    code.push('}');
    code
}

fn written(module: &Module, kind: &Type) -> String {
    let joined =
        |kinds: &[Type], with: &str| kinds.iter().map(|kind| enclosed(module, kind)).collect::<Vec<_>>().join(with);
    match kind {
        Type::Unknown("") => "unknown".to_owned(),
        Type::Unknown(why) => format!("unknown /* {why} */"),
        Type::Never => "never".to_owned(),
        Type::Null => "null".to_owned(),
        Type::Boolean => "boolean".to_owned(),
        Type::Integer | Type::Number => "number".to_owned(),
        Type::Text => "string".to_owned(),
        Type::Literal(values) => values.iter().map(literal).collect::<Vec<_>>().join(" | "),
        Type::List(item) => format!("{}[]", enclosed(module, item)),
        Type::Tuple { items, least, rest } => {
            let mark = |at: usize| if at < *least { "" } else { "?" };
            let items = items.iter().enumerate().map(|(at, item)| format!("{}{}", enclosed(module, item), mark(at)));
            let rest = rest.iter().map(|rest| format!("...{}[]", enclosed(module, rest)));
            format!("[{}]", items.chain(rest).collect::<Vec<_>>().join(", "))
        }
        Type::Map(value) => format!("{{ [key: string]: {} }}", written(module, value)),
        Type::Union(kinds) => joined(kinds, " | "),
        Type::All(kinds) => joined(kinds, " & "),
        Type::Named(index) => module.declarations[*index].name.clone(),
    }
}

/// The same, in a form to which anything can be added.
fn enclosed(module: &Module, kind: &Type) -> String {
    match kind {
        Type::Union(_) | Type::All(_) | Type::Literal(_) | Type::Unknown(_) => format!("({})", written(module, kind)),
        _ => written(module, kind),
    }
}

fn literal(value: &Value) -> String {
    match value {
        Value::String(text) => quote(text),
        // Numbers, booleans and null are written as in JSON.
        other => other.to_string(),
    }
}
