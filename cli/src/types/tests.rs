use std::fs;
use std::path::PathBuf;

use serde::Deserialize;
use serde_json::Value;

use super::*;

#[derive(Deserialize)]
struct Golden {
    name: String,
    description: Option<String>,
    input: Option<Value>,
    output: Option<Value>,
}

fn golden(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/golden").join(file)
}

fn module(actions: &[Golden]) -> model::Module {
    let texts: Vec<_> = actions
        .iter()
        .map(|action| [&action.input, &action.output].map(|schema| schema.as_ref().map(Value::to_string)))
        .collect();
    read(actions.iter().zip(&texts).map(|(action, [input, output])| Described {
        name: &action.name,
        description: action.description.as_deref(),
        input: input.as_deref(),
        output: output.as_deref(),
    }))
}

fn one(input: Value) -> model::Module {
    module(&[Golden { name: "one".into(), description: None, input: Some(input), output: None }])
}

/// The files beside the schemas are what is generated. The steps `node` and `python` of `tests/run` have them checked
/// by the compilers. `WRITE_GOLDEN=1` writes them anew.
#[test]
fn what_is_generated_is_what_the_compilers_check() {
    let schemas = fs::read_to_string(golden("schemas.json")).expect("the schemas");
    let module = module(&serde_json::from_str::<Vec<Golden>>(&schemas).expect("schemas"));
    for (file, code) in [("types.ts", typescript(&module, "peer 1")), ("types_py.py", python(&module, "peer 1"))] {
        if std::env::var_os("WRITE_GOLDEN").is_some() {
            fs::write(golden(file), &code).expect("it can be written");
        }
        assert_eq!(code, fs::read_to_string(golden(file)).expect("the types"), "{file}");
    }
}

#[test]
fn nothing_of_a_peer_becomes_code() {
    let evil = "x */ evil(); /* \"\"\" \n evil() # \r evil() // \u{2028} evil() \u{202e} ` ${evil()} ' \\";
    let schema = serde_json::json!({
        "title": evil, "description": evil, "type": "object", "required": [evil, "a"],
        "properties": {
            evil: {"const": evil, "description": evil},
            "a": {"type": "object", "title": evil, "properties": {evil: {"enum": [evil]}}},
            "b": {"$ref": format!("#/$defs/{evil}")},
            "c": {"type": evil}, "d": {"$ref": evil},
        },
        "$defs": {evil: {"type": "object", "properties": {evil: {"type": "string"}}}},
    });
    let evil_action =
        Golden { name: evil.into(), description: Some(evil.into()), input: Some(schema.clone()), output: Some(schema) };
    let module = module(&[evil_action]);
    for (code, is_python) in [(typescript(&module, "peer 1"), false), (python(&module, "peer 1"), true)] {
        let left = without_texts(&code, is_python);
        assert!(!left.contains("evil()"), "{left}");
        assert!(!code.contains(['\r', '\u{2028}', '\u{202e}']), "{code}");
    }
}

#[test]
fn names_are_identifiers_and_nobody_elses() {
    let mut names = names::Names::new();
    for (text, name) in [
        ("My Action", "MyAction"),
        ("my-action", "MyAction2"),
        ("2fast", "T2fast"),
        ("日報", "Unnamed"),
        ("*/", "Unnamed2"),
        ("actions", "Actions2"),
        ("none", "None2"),
    ] {
        assert_eq!(names.claim(&names::pascal(text)), name, "{text}");
    }
}

#[test]
fn what_cannot_be_said_is_anything_with_the_reason() {
    for (schema, why) in [
        (serde_json::json!({"$ref": "#"}), "it refers to itself"),
        (serde_json::json!({"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#"}]}}}), "it refers to itself"),
        (serde_json::json!({"$ref": "other.json"}), "a reference to another document"),
        (serde_json::json!({"$ref": "#/nowhere"}), "a reference that leads nowhere"),
        (serde_json::json!({"type": "strin"}), "a type that JSON Schema does not know"),
        (serde_json::json!({"description": "x".repeat(70_000)}), "its schema is too large"),
    ] {
        let module = one(schema);
        let (ts, py) = (typescript(&module, "x"), python(&module, "x"));
        assert!(ts.contains(&format!("unknown /* {why} */;")), "{ts}");
        assert!(py.contains(&format!("{why}.\n")) && py.contains("= \"typing.Any\""), "{py}");
    }
}

#[test]
fn long_chains_and_deep_schemas_are_read() {
    let links: serde_json::Map<String, Value> =
        (0..2_000).map(|n| (n.to_string(), serde_json::json!({"$ref": format!("#/d/{}", n + 1)}))).collect();
    let chain = serde_json::json!({"$ref": "#/d/0", "d": links});
    let deep = (0..100).fold(Value::Bool(true), |inner, _| serde_json::json!({"properties": {"a": inner}}));
    for schema in [chain, deep] {
        let module = one(schema);
        assert!(!typescript(&module, "x").is_empty() && !python(&module, "x").is_empty());
    }
}

/// Code without its comments and texts, read as the language reads them.
fn without_texts(code: &str, is_python: bool) -> String {
    let (mut left, mut rest) = (String::new(), code);
    while let Some(c) = rest.chars().next() {
        let end = if is_python && rest.starts_with("\"\"\"") {
            text_end(&rest[3..], "\"\"\"") + 3
        } else if c == '"' {
            text_end(&rest[1..], "\"") + 1
        } else if is_python && c == '#' {
            rest.find('\n').unwrap_or(rest.len())
        } else if !is_python && rest.starts_with("/*") {
            rest.find("*/").expect("a comment ends") + 2
        } else {
            left.push(c);
            c.len_utf8()
        };
        rest = &rest[end..];
    }
    left
}

fn text_end(text: &str, end: &str) -> usize {
    let mut at = 0;
    loop {
        if text[at..].starts_with(end) {
            return at + end.len();
        }
        let c = text[at..].chars().next().expect("a text ends");
        assert!(end.len() > 1 || c != '\n', "a text ends on its line");
        at += c.len_utf8();
        if c == '\\' {
            at += text[at..].chars().next().expect("something is escaped").len_utf8();
        }
    }
}
