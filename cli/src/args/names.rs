use coattail::name::{ActionName, InvalidName};

/// What stands for every action.
pub(crate) const ANY: &str = "*";

/// Names of actions in a permission: one, or a JSON list of them as the original wanted it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Names(Vec<String>);

impl Names {
    /// Reads a name, `*`, or a JSON list.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let names: Vec<String> = if text.trim_start().starts_with('[') {
            serde_json::from_str(text).map_err(|error| format!("no JSON list of names: {error}"))?
        } else {
            vec![text.to_owned()]
        };
        names.iter().map(|name| checked(name)).collect::<Result<_, _>>().map(Self).map_err(|error| error.to_string())
    }

    /// All of what was given by repeating an option.
    pub(crate) fn join(given: Vec<Self>) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in given.into_iter().flat_map(|Self(names)| names) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}

fn checked(name: &str) -> Result<String, InvalidName> {
    if name == ANY { Ok(name.to_owned()) } else { ActionName::new(name).map(|name| name.as_str().to_owned()) }
}

/// Bearers: one, or a JSON list of them. What they mean is for the daemon to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearers(Vec<String>);

impl Bearers {
    /// Reads a bearer or a JSON list.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('[') {
            serde_json::from_str(text).map(Self).map_err(|error| format!("no JSON list of bearers: {error}"))
        } else {
            Ok(Self(vec![text.to_owned()]))
        }
    }

    /// All of what was given by repeating the option.
    pub(crate) fn join(given: Vec<Self>) -> Vec<String> {
        given.into_iter().flat_map(|Self(bearers)| bearers).collect()
    }
}
