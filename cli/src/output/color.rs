use std::io::IsTerminal;

/// Whether a stream is written to in colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Color(bool);

impl Color {
    /// Only on a terminal, unless the environment says otherwise.
    pub(crate) fn of(stream: &impl IsTerminal) -> Self {
        Self::decide(stream.is_terminal(), |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    /// `CLICOLOR_FORCE` (and `FORCE_COLOR`) before `NO_COLOR` before what the terminal is.
    fn decide(terminal: bool, var: impl Fn(&str) -> Option<String>) -> Self {
        let forced = |name| var(name).is_some_and(|value| value != "0");
        let refused = var("NO_COLOR").is_some() || var("TERM").is_some_and(|term| term == "dumb");
        Self(forced("CLICOLOR_FORCE") || forced("FORCE_COLOR") || (terminal && !refused))
    }

    pub(crate) fn is_on(self) -> bool {
        self.0
    }

    /// A text in a style of SGR, such as `1;31`.
    pub(crate) fn paint(self, style: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Never.
    pub(crate) const OFF: Self = Self(false);
    #[cfg(test)]
    pub(crate) const ON: Self = Self(true);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_decides_before_the_terminal() {
        for (terminal, set, on) in [
            (true, vec![], true),
            (false, vec![], false),
            (true, vec![("NO_COLOR", "1")], false),
            (true, vec![("TERM", "dumb")], false),
            (false, vec![("CLICOLOR_FORCE", "1")], true),
            (false, vec![("CLICOLOR_FORCE", "0")], false),
            (true, vec![("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], true),
        ] {
            let var = |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
            assert_eq!(Color::decide(terminal, var), Color(on), "{terminal} {set:?}");
        }
    }
}
