//! A module uses lower floors and, on its own floor, only what is listed. Never upward: upper floors pass down
//! values, channels, or a table of methods.

use super::source::{Source, Violation, find};

/// The floors of the daemon: number, module, and what it may use on its own floor. Whatever is not here is on the
/// highest floor, where everything is wired together.
const FLOORS: &[(u8, &str, &[&str])] = &[
    (1, "keys", &[]),
    (1, "config", &["keys"]),
    (1, "tokens", &["keys"]),
    (1, "instance", &["config", "keys"]),
    (2, "legacy_vectors", &["transport"]),
    (2, "admission", &[]),
    (2, "store", &[]),
    (2, "transport", &[]),
    (3, "audit", &[]),
    (3, "session", &["audit"]),
    (3, "feeds", &[]),
    (3, "plugins", &["feeds"]),
    (4, "publications", &[]),
    (4, "actions", &["publications"]),
    (4, "access", &["actions", "publications"]),
];

const HIGHEST: u8 = 5;

/// The crates, each with those that stand on it.
const CRATES: &[(&str, &[&str])] =
    &[("sdk-rust/src", &["coattail_daemon", "coattail_cli"]), ("daemon/src", &["coattail_cli"])];

fn check(source: &Source) -> Vec<Violation> {
    let mut violations = crates(source);
    if let Some(path) = source.path.strip_prefix("daemon/src/") {
        violations.extend(modules(source, path));
    }
    violations
}

fn crates(source: &Source) -> Vec<Violation> {
    let above = CRATES.iter().filter(|(folder, _)| source.is_in(&[folder])).flat_map(|(_, above)| *above);
    above
        .flat_map(|name| find(&source.code, name).map(move |at| (name, at)))
        .map(|(name, at)| source.violation(source.line_at(at), format!("uses the crate `{name}`, which is above it")))
        .collect()
}

fn modules(source: &Source, path: &str) -> Vec<Violation> {
    let user = path.split(['/', '.']).next().unwrap_or_default();
    if ROOTS.contains(&path) {
        return Vec::new();
    }
    let (floor, beside) = floor(user);
    let mut used = through_crate(&source.code);
    used.extend(through_super(&source.code, depth(path)));
    used.sort();
    used.into_iter()
        // What the tests of several modules share is on no floor.
        .filter(|(_, name)| name != SHARED_BY_TESTS)
        .filter(|(_, name)| name != user && floor < HIGHEST && !beside.contains(&name.as_str()))
        .filter_map(|(at, name)| {
            let other = self::floor(&name).0;
            (other >= floor).then(|| {
                let rule = if other > floor { "is above it" } else { "is on the same floor, and not listed" };
                let rule = format!("`{user}` (floor {floor}) uses `{name}` (floor {other}), which {rule}");
                source.violation(source.line_at(at), rule)
            })
        })
        .collect()
}

fn floor(module: &str) -> (u8, &'static [&'static str]) {
    FLOORS.iter().find(|(_, name, _)| *name == module).map_or((HIGHEST, &[]), |(floor, _, beside)| (*floor, beside))
}

/// What is named right after `crate::`.
fn through_crate(code: &str) -> Vec<(usize, String)> {
    let own = find(code, "crate::").filter(|&at| !code[..at].ends_with('$'));
    own.flat_map(|at| named(code, at + "crate::".len())).collect()
}

/// What is named by as many `super::` as lead to the root of the crate.
fn through_super(code: &str, depth: usize) -> Vec<(usize, String)> {
    let firsts = find(code, "super::").filter(|&at| !code[..at].ends_with("::"));
    firsts
        .filter_map(|at| {
            let after = code[at..].trim_start_matches("super::");
            let steps = (code.len() - at - after.len()) / "super::".len();
            (steps >= depth + inline_modules(&code[..at])).then_some(code.len() - after.len())
        })
        .flat_map(|at| named(code, at))
        .collect()
}

/// The first names of the path, or of the group of paths, that begins at `at`.
fn named(code: &str, at: usize) -> Vec<(usize, String)> {
    let Some(group) = code[at..].strip_prefix('{') else {
        return Vec::from([(at, first_name(&code[at..]))]);
    };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut expected = true;
    for (offset, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            _ if expected && !c.is_whitespace() => {
                names.push((at + 1 + offset, first_name(&group[offset..])));
                expected = false;
            }
            _ => {}
        }
    }
    names
}

/// The name that the path begins with; all of it is used by `*`.
fn first_name(path: &str) -> String {
    let end = path.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(path.len());
    if end == 0 { path.chars().take(1).collect() } else { path[..end].to_owned() }
}

/// How many modules below the root a file is.
fn depth(path: &str) -> usize {
    path.trim_end_matches(".rs").split('/').filter(|name| *name != "mod").count()
}

/// How many modules are open where this code ends, such as `mod tests {`.
fn inline_modules(code: &str) -> usize {
    let mut open = Vec::new();
    for (at, c) in code.char_indices() {
        match c {
            '{' => open.push(code[..at].split_whitespace().rev().nth(1) == Some("mod")),
            '}' => _ = open.pop(),
            _ => {}
        }
    }
    open.into_iter().filter(|is_module| *is_module).count()
}

/// Known cases of the original, compiled for tests alone.
const SHARED_BY_TESTS: &str = "legacy_vectors";

/// They name every module, and hold nothing else.
const ROOTS: &[&str] = &["lib.rs"];

#[cfg(test)]
mod tests {
    use super::super::source::{expect_none, expect_one};
    use super::*;

    #[test]
    fn no_import_climbs_a_floor() {
        expect_none(Source::all().iter().flat_map(check));
    }

    #[test]
    fn the_folders_are_on_the_floors() {
        let sources = Source::all();
        for (_, module, _) in FLOORS {
            let (folder, file) = (format!("daemon/src/{module}/"), format!("daemon/src/{module}.rs"));
            let is_there = |source: &Source| source.path.starts_with(&folder) || source.path == file;
            assert!(sources.iter().any(is_there), "there is no {folder} and no {file}");
        }
    }

    #[test]
    fn climbing_is_found() {
        for (path, code, line, words) in [
            ("store/peers.rs", "use crate::publications::Inbox;", 1, "`publications` (floor 4), which is above it"),
            ("store/mod.rs", "\n\nuse crate::transport::Dialer;", 3, "on the same floor"),
            ("session/open.rs", "use crate::{\n    keys,\n    plugins::{Host, Plugins},\n};", 3, "`plugins`"),
            ("keys/file.rs", "fn f() -> crate::tokens::Claims {}", 1, "`tokens` (floor 1)"),
            ("config/file.rs", "use crate::{store};", 1, "`store`"),
            ("publications/lane.rs", "use crate::actions::Actions;", 1, "`actions`"),
            ("publications/lane.rs", "use crate::access::Tokens;", 1, "`access`"),
            ("actions/local.rs", "use crate::access::Tokens;", 1, "`access`"),
            ("actions/local.rs", "use crate::Daemon;", 1, "`Daemon` (floor 5)"),
            ("actions/local.rs", "use crate::*;", 1, "`*` (floor 5)"),
            ("tokens/claims.rs", "use super::super::failure;", 1, "`failure`"),
            ("tokens/mod.rs", "use super::store;", 1, "`store`"),
            ("tokens/claims.rs", "mod tests {\n    use super::super::super::store;\n}", 2, "`store`"),
            ("tokens/claims.rs", "mod tests {\n}\nuse super::super::store;", 3, "`store`"),
            ("publications/subscribe/mod.rs", "use crate::api;", 1, "`api`"),
            ("api/peer.rs", "use coattail_cli::run;", 1, "the crate `coattail_cli`"),
        ] {
            expect_one(&check(&Source::parse(&format!("daemon/src/{path}"), code)), line, words);
        }
        let sdk = Source::parse("sdk-rust/src/name.rs", "\nuse coattail_daemon::store;");
        expect_one(&check(&sdk), 2, "the crate `coattail_daemon`");
    }

    #[test]
    fn what_may_be_used_is_not_found() {
        for (path, code) in [
            ("daemon/src/access/peers.rs", "use crate::publications::Links;\nuse crate::access::Tokens;"),
            ("daemon/src/session/open.rs", "use crate::{keys::{self, Identity}, tokens, transport};"),
            ("daemon/src/api/peer.rs", "use crate::parts::Parts;\nuse crate::*;"),
            ("daemon/src/store/peers.rs", "// use crate::api;\nconst A: &str = \"crate::api\";"),
            ("daemon/src/store/peers.rs", "use super::Store;\nmod tests {\n    use super::super::Store;\n}"),
            ("daemon/src/store/peers.rs", "macro_rules! m { () => { $crate::api } }"),
            ("daemon/src/lib.rs", "pub use crate::daemon::Daemon;"),
            ("cli/src/lib.rs", "use coattail_daemon::Daemon;"),
        ] {
            expect_none(check(&Source::parse(path, code)));
        }
    }
}
