/// A text as a literal that TypeScript and Python read alike: letters stay, everything unusual is escaped.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            ' '..='~' => quoted.push(c),
            c if c.is_alphanumeric() => quoted.push(c),
            // The languages have no common form for what is beyond, such as pictures.
            c if u32::from(c) > 0xffff => quoted.push(c),
            c => quoted.push_str(&format!("\\u{:04x}", u32::from(c))),
        }
    }
    quoted.push('"');
    quoted
}

/// The lines of a comment. No line can end it, begin another, or turn the direction of what follows.
pub(super) fn comment(text: &str) -> Vec<String> {
    let is_break = |c: char| matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}');
    let lines = text.split(is_break).map(|line| {
        let plain = |c: char| match c {
            ' '..='~' => c,
            c if c.is_alphanumeric() || is_harmless(c) => c,
            _ => ' ',
        };
        let line: String = line.chars().map(plain).collect();
        line.replace("*/", "* /").trim_end().to_owned()
    });
    let mut lines: Vec<String> = lines.skip_while(|line| line.is_empty()).collect();
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
    lines
}

/// Marks and symbols that people write, and that are seen.
fn is_harmless(c: char) -> bool {
    matches!(c, '\u{a1}'..='\u{ac}' | '\u{ae}'..='\u{bf}' | '×' | '÷' | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}'
        | '\u{20a0}'..='\u{20c0}' | '\u{2190}'..='\u{27bf}' | '\u{1f300}'..='\u{1faff}')
}

/// Whether a text can stand as it is where a field is named.
pub(super) fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
