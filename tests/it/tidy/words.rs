//! Nothing is unfinished, silenced, or left running with no owner.

use super::source::{Source, Violation, find};

/// What no file may say, and what to do instead.
const WORDS: &[(&str, &str)] = &[
    ("todo!", "finish it, or leave it out"),
    ("unimplemented!", "finish it, or leave it out"),
    ("dbg!", "use tracing, or leave it out"),
    ("#[ignore", "mend the test, or remove it"),
    ("#[allow(", "use `#[expect(.., reason = ..)]`"),
    ("#![allow(", "use `#[expect(.., reason = ..)]`"),
    ("tokio::spawn", "whoever spawns, joins: put the future on the owner's TaskTracker"),
    ("task::spawn", "whoever spawns, joins: put the future on the owner's TaskTracker"),
];

fn check(source: &Source) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, line) in source.lines() {
        for (word, instead) in WORDS {
            if find(line, word).next().is_some() {
                violations.push(source.violation(number, format!("`{word}`: {instead}")));
            }
        }
    }
    violations
}

#[cfg(test)]
mod tests {
    use super::super::source::{expect_none, expect_one};
    use super::*;

    #[test]
    fn no_file_says_them() {
        expect_none(Source::all().iter().flat_map(check));
    }

    #[test]
    fn each_is_found() {
        for (code, words) in [
            ("fn f() { todo!(\"later\") }", "finish it"),
            ("fn f() { std::unimplemented!() }", "finish it"),
            ("let x = dbg!(y);", "tracing"),
            ("#[ignore]", "mend the test"),
            ("#[ignore = \"flaky\"]", "mend the test"),
            ("    #[allow(dead_code)]", "expect"),
            ("#![allow(dead_code)]", "expect"),
            ("tokio::spawn(future);", "TaskTracker"),
            ("use tokio::spawn;", "TaskTracker"),
            ("tokio::task::spawn(future);", "TaskTracker"),
        ] {
            let source = Source::parse("daemon/src/store/peers.rs", &format!("// A line.\n{code}\n"));
            expect_one(&check(&source), 2, words);
        }
    }

    #[test]
    fn what_only_looks_like_them_is_not_found() {
        for code in [
            "/// Not yet: todo!()",
            "let hint = \"#[ignore]\";",
            "#[expect(dead_code, reason = \"x\")]",
            "fn allow(a: u8) {}",
            "tokio::task::spawn_blocking(f);",
            "tracker.spawn(future);",
        ] {
            expect_none(check(&Source::parse("daemon/src/store/peers.rs", code)));
        }
    }
}
