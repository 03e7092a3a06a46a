//! Files are short, and a `mod.rs` holds docs, `mod` lines and re-exports, so that the list of files says where
//! everything is.

use super::source::{Source, Violation};

/// At this many lines without its tests a file holds more than one idea.
const LONGEST: usize = 500;

/// What a line at the margin of a `mod.rs` may begin with.
const PLAIN: &[&str] = &["mod ", "use ", "#[", "#!["];

/// Who may see what a `mod` line or a re-export names.
const VISIBLE: &[&str] = &["pub ", "pub(crate) ", "pub(super) "];

/// What may stand in a `mod.rs` beside that, and why: the file, and how the line begins.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    ("cli/src/commands/mod.rs", "pub(crate) fn run(", "each command to its file"),
    ("daemon/src/api/mod.rs", "fn fact<", "how each table asks who is calling"),
    ("daemon/src/publications/subscribe/mod.rs", "pub(super) const STEP_LIMIT", "the same for both sides"),
    ("daemon/src/transport/mod.rs", "pub(crate) type Stream", "what each file makes or takes"),
    ("daemon/src/transport/mod.rs", "pub(crate) struct Connection", "what each file makes or takes"),
    ("sdk-rust/src/wire/mod.rs", "pub trait Method", "what the methods in each file are"),
    ("sdk-rust/src/wire/mod.rs", "macro_rules! method", "what the methods in each file are"),
    ("sdk-rust/src/wire/mod.rs", "pub struct Done", "the answer that several wires share"),
];

fn check(source: &Source) -> Vec<Violation> {
    let mut violations = length(source);
    if source.path.ends_with("/mod.rs") {
        violations.extend(logic(source));
    }
    violations
}

fn length(source: &Source) -> Vec<Violation> {
    let mut code = source.lines().take_while(|(_, line)| !line.starts_with("mod tests {"));
    let is_test = source.is_in(&["tests"]) || source.path.ends_with("/tests.rs") || source.path.contains("/tests/");
    match code.nth(LONGEST) {
        Some((number, _)) if !is_test => {
            Vec::from([source.violation(number, format!("more than {LONGEST} lines without its tests: split it"))])
        }
        _ => Vec::new(),
    }
}

fn logic(source: &Source) -> Vec<Violation> {
    let at_the_margin = |line: &str| line.starts_with(|c: char| !c.is_whitespace() && !")}]".contains(c));
    source
        .lines()
        .filter(|(_, line)| at_the_margin(line))
        .filter(|(_, line)| !is_plain(line))
        .filter(|(_, line)| !EXCEPTIONS.iter().any(|(path, start, _)| *path == source.path && line.starts_with(start)))
        .map(|(number, line)| {
            let item = line.trim_end_matches([' ', '{']);
            source.violation(number, format!("`{item}`: a mod.rs holds docs, `mod` lines and re-exports"))
        })
        .collect()
}

fn is_plain(line: &str) -> bool {
    let item = VISIBLE.iter().find_map(|visible| line.strip_prefix(visible)).unwrap_or(line);
    let is_inline_module = item.starts_with("mod ") && item.ends_with('{');
    PLAIN.iter().any(|start| item.starts_with(start)) && !is_inline_module
}

#[cfg(test)]
mod tests {
    use super::super::source::{expect_none, expect_one};
    use super::*;

    #[test]
    fn files_are_short_and_lists_are_lists() {
        expect_none(Source::all().iter().flat_map(check));
    }

    #[test]
    fn no_exception_has_become_idle() {
        let sources = Source::all();
        for (path, start, _) in EXCEPTIONS {
            let needed = |source: &Source| source.path == *path && source.lines().any(|(_, l)| l.starts_with(start));
            assert!(sources.iter().any(needed), "remove the exception for `{start}` in {path}");
        }
    }

    #[test]
    fn a_long_file_is_found() {
        let lines = |count| "f();\n".repeat(count);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", lines(LONGEST));
        for (path, text, is_long) in [
            ("daemon/src/daemon.rs", lines(LONGEST + 1), true),
            ("daemon/src/daemon.rs", "// a\n".repeat(LONGEST + 1), true),
            ("daemon/src/daemon.rs", lines(LONGEST), false),
            ("daemon/src/daemon.rs", format!("f();\n{tests}"), false),
            ("daemon/src/daemon/tests.rs", lines(LONGEST + 1), false),
            ("tests/it/restart.rs", lines(LONGEST + 1), false),
        ] {
            let violations = check(&Source::parse(path, &text));
            if is_long { expect_one(&violations, LONGEST + 1, "split it") } else { expect_none(violations) }
        }
    }

    #[test]
    fn logic_in_a_mod_file_is_found() {
        for (code, words) in [
            ("fn f() {\n    g();\n}", "`fn f()`"),
            ("pub(crate) async fn f() {}", "async fn"),
            ("impl A {\n    const B: u8 = 1;\n}", "`impl A`"),
            ("#[derive(Debug)]\npub struct A {\n    b: u8,\n}", "`pub struct A`"),
            ("const A: u8 = 1;", "const A"),
            ("mod a {\n    fn b() {}\n}", "`mod a`"),
        ] {
            let violations = check(&Source::parse("daemon/src/store/mod.rs", code));
            expect_one(&violations, if code.starts_with('#') { 2 } else { 1 }, words);
        }
    }

    #[test]
    fn a_list_is_not_found() {
        let list = "//! Docs.\n#![deny(missing_docs)]\n\n#[cfg(test)]\nmod tests;\npub mod a;\npub(super) use b::{\n    C,\n    D,\n};\n";
        expect_none(check(&Source::parse("daemon/src/store/mod.rs", list)));
        expect_none(check(&Source::parse("daemon/src/store/peers.rs", "fn f() {}")));
        let dispatch = "pub(crate) fn run(\n    context: &Context,\n) -> Result<(), Failure> {\n    f()\n}\n";
        expect_none(check(&Source::parse("cli/src/commands/mod.rs", dispatch)));
    }
}
