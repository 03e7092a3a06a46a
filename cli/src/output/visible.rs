use std::borrow::Cow;

/// Makes control characters and those that change the direction of text visible: a name or a message
/// from elsewhere cannot steer the terminal, nor break a line or a column.
pub(crate) fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_unseen) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => shown.extend(c.escape_default()),
            c if is_unseen(c) => shown.extend(c.escape_unicode()),
            c => shown.push(c),
        }
    }
    Cow::Owned(shown)
}

/// The same for a JSON text, which then means what it meant: outside of strings there is nothing to
/// escape, and inside of them `\u009b` is the character.
pub(crate) fn visible_json(json: &str) -> Cow<'_, str> {
    // The white space between tokens stays.
    let hidden = |c: char| is_unseen(c) && !matches!(c, '\n' | '\r' | '\t');
    if !json.contains(hidden) {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if hidden(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

fn is_unseen(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a16_nothing_steers_the_terminal() {
        for (text, shown) in [
            ("Café 日報 💾", "Café 日報 💾"),
            ("\x1b[31mred", "\\u{1b}[31mred"),
            ("a\r\nb\tc", "a\\r\\nb\\tc"),
            ("\u{9b}2J\u{7f}", "\\u{9b}2J\\u{7f}"),
            ("a\u{202e}b", "a\\u{202e}b"),
        ] {
            assert_eq!(visible(text), shown);
        }
    }

    #[test]
    fn json_means_the_same() {
        let json = "{\n\"a\":\"\u{9b}2J\u{202e}\"}";
        assert_eq!(visible_json(json), "{\n\"a\":\"\\u009b2J\\u202e\"}");
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).expect("JSON");
        assert_eq!(read(&visible_json(json)), read(json));
    }
}
