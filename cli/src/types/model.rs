use serde_json::Value;

/// Everything that is declared, for any language.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(super) declarations: Vec<Declaration>,
    pub(super) actions: Vec<Action>,
}

/// What an action takes and returns: places in the list of declarations.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) name: String,
    pub(super) input: usize,
    pub(super) output: usize,
}

#[derive(Debug)]
pub(super) struct Declaration {
    /// An identifier that is nobody else's.
    pub(super) name: String,
    pub(super) doc: Option<String>,
    pub(super) shape: Shape,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Shape {
    Object(Object),
    Alias(Type),
}

/// Fields that have names, and what others there may be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object {
    pub(super) fields: Vec<Field>,
    pub(super) rest: Option<Type>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) doc: Option<String>,
    pub(super) kind: Type,
    pub(super) required: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Type {
    /// Anything, and why no more can be said.
    Unknown(&'static str),
    Never,
    Null,
    Boolean,
    Integer,
    Number,
    Text,
    /// One of these: texts, numbers, booleans or null.
    Literal(Vec<Value>),
    List(Box<Type>),
    /// So many of `items` must be there.
    Tuple {
        items: Vec<Type>,
        least: usize,
        rest: Option<Box<Type>>,
    },
    Map(Box<Type>),
    Union(Vec<Type>),
    All(Vec<Type>),
    Named(usize),
}

impl Type {
    /// Anything, because nothing was said.
    pub(super) const ANY: Self = Self::Unknown("");

    /// One of several, without those that say nothing new.
    pub(super) fn union(types: Vec<Self>) -> Self {
        let mut distinct = Vec::new();
        for kind in types {
            if let Self::Unknown(_) = kind {
                return kind;
            }
            if kind != Self::Never && !distinct.contains(&kind) {
                distinct.push(kind);
            }
        }
        match distinct.len() {
            0 => Self::Never,
            1 => distinct.remove(0),
            _ => Self::Union(distinct),
        }
    }

    /// All of several at once.
    pub(super) fn all(types: Vec<Self>) -> Self {
        let (unknown, mut known): (Vec<_>, Vec<_>) =
            types.into_iter().partition(|kind| matches!(kind, Self::Unknown(_)));
        match known.len() {
            0 => unknown.into_iter().find(|kind| *kind != Self::ANY).unwrap_or(Self::ANY),
            1 => known.remove(0),
            _ => Self::All(known),
        }
    }
}
