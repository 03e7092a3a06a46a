use serde::Serialize;

/// One line of a list.
pub(crate) trait Row: Serialize {
    /// The heads of the columns.
    const COLUMNS: &'static [&'static str];

    /// The cells, as many as there are columns.
    fn cells(&self) -> Vec<String>;

    /// In which style of SGR the first cell is shown to people, if in any.
    fn tone(&self) -> Option<&'static str> {
        None
    }
}

/// A name and its value.
pub(crate) type Field = (&'static str, String);

/// One thing, shown whole.
pub(crate) trait Record: Serialize {
    /// What there is to say of it.
    fn fields(&self) -> Vec<Field>;
}

/// The items of a list in one cell, or a word for an empty one.
pub(crate) fn list_or<T: ToString>(items: &[T], empty: &str) -> String {
    if items.is_empty() {
        return empty.to_owned();
    }
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// A fact in one word.
pub(crate) fn yes_no(fact: bool) -> String {
    if fact { "yes" } else { "no" }.to_owned()
}
