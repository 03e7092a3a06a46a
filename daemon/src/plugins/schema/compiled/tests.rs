use std::time::{Duration, Instant};

use serde_json::json;

use super::*;

fn schema(schema: Value) -> Schema {
    Schema::new(schema).expect("a schema")
}

#[test]
fn a_misfit_has_a_place_and_a_rule() {
    let schema = schema(json!({
        "type": "object",
        "properties": {"folder": {"type": "string"}, "note": {"maxLength": 2}},
        "required": ["folder"],
    }));
    assert_eq!(schema.misfits(&json!({"folder": "a"}), Values::Shown), None);
    let (told, more) = schema.misfits(&json!({"folder": 42}), Values::Shown).expect("42 is no text");
    let expected = Misfit {
        pointer: "/folder".into(),
        rule: "/properties/folder/type".into(),
        message: "42 is not of type \"string\"".into(),
    };
    assert_eq!((told, more), (vec![expected], 0));
    let (told, _) = schema.misfits(&json!({}), Values::Shown).expect("nothing is there");
    assert_eq!(told[0].message, "\"folder\" is a required property");
}

#[test]
fn values_are_cut_short_or_hidden() {
    let schema = schema(json!({"properties": {"password": {"maxLength": 2}}}));
    let secret = format!("correct horse battery staple {}", "x".repeat(1_000_000));
    let value = json!({ "password": secret });
    let message = |values| schema.misfits(&value, values).expect("too long").0.remove(0).message;
    assert_eq!(message(Values::Shown), "\"correct horse battery staple xx… is longer than 2 characters");
    assert_eq!(message(Values::Hidden), "the value is longer than 2 characters");
}

#[test]
fn few_misfits_are_told_and_the_others_counted() {
    let schema = schema(json!({"items": {"type": "string"}}));
    let (told, more) = schema.misfits(&json!([1, 2, 3, 4, 5, 6, 7]), Values::Shown).expect("numbers");
    assert_eq!((told.len(), more, told[4].pointer.as_str()), (TOLD, 2, "/4"));
}

#[test]
fn wrong_schemas_are_refused_with_the_place() {
    for (wrong, message) in [
        (json!({"type": "strin"}), "is wrong at /type: "),
        (json!({"properties": {"a": {"pattern": "("}}}), "is wrong at /properties/a/pattern: "),
        (json!({"pattern": "(?=a)b"}), "is wrong at /pattern: "),
        (json!({"pattern": "(a{1000}){1000}"}), "is wrong at /pattern: "),
        (json!({"$ref": "#/nope"}), "is wrong: Pointer '/nope' does not exist"),
        (json!({"$ref": "https://example.com/schema"}), "is wrong: "),
        (json!({"$ref": "file:///etc/passwd"}), "is wrong: "),
        (json!({"$ref": "other.json"}), "is wrong: "),
        (json!(5), "is wrong: 5 is not of types"),
        (json!({"description": "x".repeat(LARGEST)}), "is larger than 65536 bytes"),
    ] {
        let error = Schema::new(wrong.clone()).expect_err("it is wrong").to_string();
        assert!(error.starts_with(message), "{error}");
        assert!(!error.contains("root:"), "{error}");
    }
}

#[test]
fn no_input_costs_much() {
    let operand = |op| json!({"properties": {"left": {"$ref": "#/$defs/e"}, "op": {"const": op}, "right": {"$ref": "#/$defs/e"}}});
    let expression = schema(json!({
        "$ref": "#/$defs/e",
        "$defs": {"e": {"anyOf": [{"type": "number"}, operand("a"), operand("b"), operand("c")]}},
    }));
    let deep = (0..110).fold(json!("bad"), |inner, _| json!({"left": inner, "op": "x", "right": 1}));
    let strings = schema(json!({"items": {"anyOf": [{"type": "string"}, {"type": "null"}]}}));
    let long = Value::Array(vec![json!(1); 1_000_000]);
    let pattern = schema(json!({"pattern": "^(a+)+$"}));
    let evil = json!(format!("{}b", "a".repeat(100_000)));
    for (schema, value) in [(&expression, &deep), (&strings, &long), (&pattern, &evil)] {
        let started = Instant::now();
        let (told, _) = schema.misfits(value, Values::Shown).expect("it does not fit");
        assert!(!told.is_empty() && told[0].message.len() < 1_000);
        // Milliseconds, and seconds on a busy machine; without the bounds it is hours.
        assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    }
}

#[test]
fn what_is_told_stays_on_one_line() {
    let schema = schema(json!({"additionalProperties": false}));
    let (told, _) = schema.misfits(&json!({"a\nb\u{1b}[31m": 1}), Values::Shown).expect("not allowed");
    assert!(!told[0].message.contains(['\n', '\u{1b}']), "{:?}", told[0]);
}
