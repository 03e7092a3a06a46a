//! A Rust file as the rules see it: its code without comments and texts, and its texts.

use std::fmt;
use std::fs;
use std::path::Path;

/// A file of the workspace.
#[derive(Debug)]
pub(crate) struct Source {
    /// From the root of the workspace, such as `daemon/src/lib.rs`.
    pub(crate) path: String,
    /// The file with comments and the insides of literals blanked, so that lines and columns stay.
    pub(crate) code: String,
    /// The string literals, each with the number of the line that it begins on.
    pub(crate) texts: Vec<(usize, String)>,
}

/// Where a rule is broken, and which.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    path: String,
    line: usize,
    rule: String,
}

impl Source {
    pub(crate) fn parse(path: &str, text: &str) -> Self {
        let mut lexer = Lexer { rest: text, line: 1, code: String::new(), texts: Vec::new() };
        lexer.run();
        Self { path: path.to_owned(), code: lexer.code, texts: lexer.texts }
    }

    /// Every Rust file of the workspace.
    pub(crate) fn all() -> Vec<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests are a member of the workspace");
        let mut sources = Vec::new();
        for folder in FOLDERS {
            collect(root, &root.join(folder), &mut sources);
        }
        sources.sort_by(|a, b| a.path.cmp(&b.path));
        assert!(sources.len() > FOLDERS.len(), "no sources were found below {}", root.display());
        sources
    }

    /// The lines of code with their numbers.
    pub(crate) fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.code.lines())
    }

    /// The number of the line that a byte of the code is on.
    pub(crate) fn line_at(&self, byte: usize) -> usize {
        self.code[..byte].matches('\n').count() + 1
    }

    pub(crate) fn is_in(&self, folders: &[&str]) -> bool {
        folders.iter().any(|folder| self.path.starts_with(&format!("{folder}/")))
    }

    pub(crate) fn violation(&self, line: usize, rule: impl Into<String>) -> Violation {
        Violation { path: self.path.clone(), line, rule: rule.into() }
    }
}

/// Fails with the list of violations, if there are any.
#[track_caller]
pub(crate) fn expect_none(violations: impl IntoIterator<Item = Violation>) {
    let list: Vec<String> = violations.into_iter().map(|violation| violation.to_string()).collect();
    assert!(list.is_empty(), "{} found:\n{}\n", list.len(), list.join("\n"));
}

/// Fails unless the rule is broken once, on this line, with these words in its message.
#[track_caller]
pub(crate) fn expect_one(violations: &[Violation], line: usize, words: &str) {
    let [violation] = violations else { panic!("expected one violation, got {violations:?}") };
    assert_eq!(violation.line, line, "{violation}");
    assert!(violation.rule.contains(words), "`{words}` is not in: {violation}");
}

/// The byte positions at which `mark` stands in `code` as words of its own.
pub(crate) fn find<'a>(code: &'a str, mark: &'a str) -> impl Iterator<Item = usize> + 'a {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(mark).map(|(at, _)| at).filter(move |&at| {
        let runs_on_before = mark.starts_with(is_word) && code[..at].ends_with(is_word);
        let runs_on_after = mark.ends_with(is_word) && code[at + mark.len()..].starts_with(is_word);
        !runs_on_before && !runs_on_after
    })
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.rule)
    }
}

fn collect(root: &Path, folder: &Path, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display())) {
        let path = entry.expect("a folder that was opened can be read").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() && !SKIPPED.contains(&name) {
            collect(root, &path, sources);
        } else if name.ends_with(".rs") {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("cannot read {name}: {error}"));
            let relative = path.strip_prefix(root).expect("the walk began at the root").display().to_string();
            sources.push(Source::parse(&relative, &text));
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    code: String,
    texts: Vec<(usize, String)>,
}

impl<'a> Lexer<'a> {
    fn run(&mut self) {
        while let Some(next) = self.rest.chars().next() {
            if self.rest.starts_with("//") {
                self.blank(self.rest.find('\n').unwrap_or(self.rest.len()));
            } else if self.rest.starts_with("/*") {
                self.blank(block_comment(self.rest));
            } else if let Some(hashes) = raw_string(self.rest).filter(|_| !self.inside_a_word()) {
                let open = self.rest.find('"').expect("a raw string has quotes") + 1;
                let close = format!("\"{}", "#".repeat(hashes));
                self.keep(open);
                self.text(self.rest.find(&close).unwrap_or(self.rest.len()));
                self.keep(close.len());
            } else if next == '"' {
                self.keep(1);
                self.text(until_unescaped(self.rest, '"'));
                self.keep(1);
            } else if next == '\'' && is_char(self.rest) {
                self.keep(1);
                self.blank(until_unescaped(self.rest, '\''));
                self.keep(1);
            } else {
                self.keep(next.len_utf8());
            }
        }
    }

    fn inside_a_word(&self) -> bool {
        self.code.ends_with(|c: char| c.is_alphanumeric() || c == '_')
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes.min(self.rest.len()));
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }

    fn keep(&mut self, bytes: usize) {
        let taken = self.take(bytes);
        self.code.push_str(taken);
    }

    fn blank(&mut self, bytes: usize) {
        let taken = self.take(bytes);
        self.code.extend(taken.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
    }

    fn text(&mut self, bytes: usize) {
        self.texts.push((self.line, self.rest[..bytes].to_owned()));
        self.blank(bytes);
    }
}

/// The length of the comment, and of those inside it.
fn block_comment(code: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < code.len() {
        let step = match &code.as_bytes()[at..] {
            [b'/', b'*', ..] => {
                depth += 1;
                2
            }
            [b'*', b'/', ..] => {
                depth -= 1;
                2
            }
            _ => 1,
        };
        at += step;
        if depth == 0 {
            break;
        }
    }
    at
}

/// How many hashes a raw string that begins here has.
fn raw_string(code: &str) -> Option<usize> {
    let after = code.strip_prefix(['b', 'c']).unwrap_or(code).strip_prefix('r')?;
    let text = after.trim_start_matches('#');
    text.starts_with('"').then_some(after.len() - text.len())
}

/// Whether the quote begins a character, and not the name of a lifetime.
fn is_char(code: &str) -> bool {
    let mut inside = code[1..].chars();
    inside.next() == Some('\\') || inside.next() == Some('\'')
}

fn until_unescaped(text: &str, end: char) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if c == end && !escaped {
            return at;
        }
        escaped = c == '\\' && !escaped;
    }
    text.len()
}

/// Where the Rust files are.
const FOLDERS: &[&str] = &["sdk-rust", "daemon", "cli", "tests", "examples"];

/// What others made.
const SKIPPED: &[&str] = &["target", "node_modules"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_texts_are_no_code() {
        for (text, code, texts) in [
            ("a // b\nc", "a     \nc", vec![]),
            ("a /* b /* c */ d */ e", "a                   e", vec![]),
            (r#"f("x // \" y", z)"#, r#"f("         ", z)"#, vec![r#"x // \" y"#]),
            ("f(r#\"a \" b\"#)", "f(r#\"     \"#)", vec!["a \" b"]),
            ("f(br\"\\\", c)", "f(br\" \", c)", vec!["\\"]),
            ("for\"x\"", "for\" \"", vec!["x"]),
            ("&'a str, '\"', '\\'', b", "&'a str, ' ', '  ', b", vec![]),
        ] {
            let source = Source::parse("a.rs", text);
            assert_eq!(source.code, code);
            assert_eq!(source.texts.into_iter().map(|(_, text)| text).collect::<Vec<_>>(), texts, "{text}");
        }
    }

    #[test]
    fn a_text_is_where_it_begins() {
        let source = Source::parse("a.rs", "/*\n*/ x(\"a\nb\",\n\"c\")");
        assert_eq!(source.texts, [(2, "a\nb".to_owned()), (3 + 1, "c".to_owned())]);
        assert_eq!(source.lines().count(), 4);
    }

    #[test]
    fn a_mark_is_found_as_a_word_only() {
        let found = |code, mark| find(code, mark).collect::<Vec<_>>();
        assert_eq!(found("fork(); my_fork(); forks()", "fork"), [0]);
        assert_eq!(found("todo!(x)", "todo!"), [0]);
        assert_eq!(found("#[ignore = x]", "#[ignore"), [0]);
    }
}
