//! Indents a JSON text without reading it into values: the order of keys, the digits of numbers and
//! repeated keys stay what they were.

use super::Color;
use super::visible::visible_json;

/// One more level of nesting.
const INDENT: &str = "  ";

/// A JSON text over several lines, without a line end after the last.
pub(super) fn pretty(json: &str, color: Color) -> String {
    let json = visible_json(json);
    let mut shown = String::with_capacity(json.len() * 2);
    let mut rest = json.trim_start();
    let mut depth = 0;
    while let Some(first) = rest.chars().next() {
        let end = match first {
            '"' => string_end(rest),
            '{' | '[' | '}' | ']' | ',' | ':' => 1,
            _ => rest.find(|c: char| matches!(c, ',' | '}' | ']') || c.is_ascii_whitespace()).unwrap_or(rest.len()),
        };
        let (token, after) = rest.split_at(end);
        rest = after.trim_start();
        match first {
            '{' | '[' if rest.starts_with(['}', ']']) => {
                shown.push_str(token);
                shown.push_str(&rest[..1]);
                rest = rest[1..].trim_start();
            }
            '{' | '[' => {
                depth += 1;
                shown.push_str(token);
                new_line(&mut shown, depth);
            }
            '}' | ']' => {
                depth -= 1;
                new_line(&mut shown, depth);
                shown.push_str(token);
            }
            ',' => {
                shown.push_str(token);
                new_line(&mut shown, depth);
            }
            ':' => shown.push_str(": "),
            '"' if rest.starts_with(':') => shown.push_str(&color.paint(KEY, token)),
            '"' => shown.push_str(&color.paint(STRING, token)),
            _ => shown.push_str(&color.paint(OTHER, token)),
        }
    }
    shown
}

/// Where the string ends that the text begins with.
fn string_end(text: &str) -> usize {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

fn new_line(shown: &mut String, depth: usize) {
    shown.push('\n');
    shown.push_str(&INDENT.repeat(depth));
}

const KEY: &str = "34";
const STRING: &str = "32";
const OTHER: &str = "33";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_indented_and_nothing_else() {
        for (json, shown) in [
            ("1.50", "1.50"),
            ("\"a\\\"b\"", "\"a\\\"b\""),
            ("{}", "{}"),
            ("[ ]", "[]"),
            (
                "[1,[],{\"b\":{},\"a\":[null, true]}]",
                "[\n  1,\n  [],\n  {\n    \"b\": {},\n    \"a\": [\n      null,\n      true\n    ]\n  }\n]",
            ),
            ("{\"z\":1,\"a\":1e400,\"z\":\",:{\"}", "{\n  \"z\": 1,\n  \"a\": 1e400,\n  \"z\": \",:{\"\n}"),
        ] {
            assert_eq!(pretty(json, Color::OFF), shown);
        }
    }

    #[test]
    fn colour_adds_nothing_but_colour() {
        let json = "{\"a\":[\"b\",1]}";
        let plain = ["\x1b[34m", "\x1b[32m", "\x1b[33m", "\x1b[0m"]
            .iter()
            .fold(pretty(json, Color::ON), |text, code| text.replace(code, ""));
        assert_eq!(plain, pretty(json, Color::OFF));
        assert_ne!(pretty(json, Color::ON), plain);
    }
}
