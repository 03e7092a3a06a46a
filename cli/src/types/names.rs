use std::collections::HashSet;

/// Identifiers that are taken, in every language that is written.
#[derive(Debug)]
pub(super) struct Names(HashSet<String>);

/// What the writers declare themselves.
const OURS: [&str; 6] = ["Actions", "ActionName", "ActionInputs", "ActionOutputs", "PerformAction", "None"];

impl Names {
    pub(super) fn new() -> Self {
        Self(OURS.map(str::to_owned).into())
    }

    /// This name, or the next free one with a number.
    pub(super) fn claim(&mut self, wanted: &str) -> String {
        // Only ASCII ever comes here.
        let wanted = &wanted[..wanted.len().min(LONGEST_NAME)];
        let free = (1_u32..).map(|n| if n == 1 { wanted.to_owned() } else { format!("{wanted}{n}") });
        let name = free.into_iter().find(|name| !self.0.contains(name)).expect("there are more numbers than names");
        self.0.insert(name.clone());
        name
    }
}

/// The longest name before its number, in characters.
const LONGEST_NAME: usize = 120;

/// The longest piece that becomes part of a name, in characters.
const LONGEST: usize = 60;

/// Any text as an identifier: `My Action` becomes `MyAction`. Of letters that not every language takes, none stay.
pub(super) fn pascal(text: &str) -> String {
    let mut name = String::new();
    let mut starts = true;
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() {
            starts = true;
        } else if name.len() < LONGEST {
            name.push(if starts { c.to_ascii_uppercase() } else { c });
            starts = false;
        }
    }
    match name.chars().next() {
        None => "Unnamed".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("T{name}"),
        Some(_) => name,
    }
}
