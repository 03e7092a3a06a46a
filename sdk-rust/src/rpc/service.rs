use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use serde_json::value::RawValue;

use super::encode::{refusal, reply};
use super::facts::Facts;
use super::gate::{Admission, Gate};
use super::id::Id;
use crate::wire::{ErrorCode, Failure, Method};

/// The methods that one side of a session serves, and what their handlers may know of the connection. Cheap to clone.
#[derive(Clone, Default)]
pub struct Service {
    methods: Arc<HashMap<&'static str, Arc<Callback>>>,
    facts: Facts,
    gate: Option<Gate>,
}

type Callback = dyn Fn(&Facts, Request<'_>) -> Answer + Send + Sync;

/// What is asked of a method.
pub(super) struct Request<'a> {
    /// Null for a notification, whose answer is thrown away.
    pub(super) id: Id<'a>,
    pub(super) params: Option<&'a RawValue>,
    /// Bytes that the answer may have.
    pub(super) longest: usize,
}

/// A frame that answers, or the work that leads to it.
pub(super) enum Answer {
    Now(String),
    Later(BoxFuture<'static, String>),
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("methods", &self.method_names().collect::<Vec<_>>()).finish()
    }
}

/// What is done with a line that is no JSON-RPC.
#[derive(Clone)]
pub enum Stray {
    /// The other side speaks a protocol: answer once and close.
    Close,
    /// The other side is a program that may print: pass the line on, and go on.
    Line(Arc<dyn Fn(&str) + Send + Sync>),
}

impl fmt::Debug for Stray {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stray::Close => "Close",
            Stray::Line(_) => "Line",
        })
    }
}

impl Service {
    /// A service without methods.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a method. Calls of it run beside each other.
    ///
    /// # Panics
    /// If there is a method of this name already: the tables are fixed when the program is written.
    #[must_use]
    pub fn on<M, C, F, Fut>(mut self, context: &Arc<C>, handler: F) -> Self
    where
        M: Method,
        C: Send + Sync + 'static,
        F: Fn(Arc<C>, Facts, M) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = Result<M::Reply, Failure>> + Send + 'static,
    {
        let context = context.clone();
        self.add(M::NAME, move |facts, Request { id, params, longest }| match read_params::<M>(params) {
            Err(failure) => Answer::Now(refusal(&id, failure)),
            Ok(params) => {
                let (id, work) = (id.into_owned(), handler(context.clone(), facts.clone(), params));
                Answer::Later(async move { reply(&id, work.await, longest) }.boxed())
            }
        });
        self
    }

    /// Adds a method whose calls are done in the order in which they come, before anything else is read. It must
    /// not block.
    ///
    /// # Panics
    /// As [`on`](Self::on).
    #[must_use]
    pub fn on_in_order<M, C, F>(mut self, context: &Arc<C>, handler: F) -> Self
    where
        M: Method,
        C: Send + Sync + 'static,
        F: Fn(&C, Facts, M) -> Result<M::Reply, Failure> + Clone + Send + Sync + 'static,
    {
        let context = context.clone();
        self.add(M::NAME, move |facts, Request { id, params, longest }| {
            let outcome = read_params::<M>(params).and_then(|params| handler(&context, facts.clone(), params));
            Answer::Now(reply(&id, outcome, longest))
        });
        self
    }

    /// Adds all methods of another service.
    ///
    /// # Panics
    /// As [`on`](Self::on).
    #[must_use]
    pub fn with(mut self, other: Service) -> Self {
        for (name, callback) in &*other.methods {
            self.insert(name, callback.clone());
        }
        self
    }

    /// Tells the handlers something about the connection.
    #[must_use]
    pub fn fact<T: Clone + Send + Sync + 'static>(mut self, fact: T) -> Self {
        self.facts.insert(fact);
        self
    }

    /// Has this decide about every frame of the other side that asks for work, whatever it asks for: requests,
    /// notifications, and answers that nobody waits for. It must not block.
    #[must_use]
    pub fn gate<C, F>(mut self, context: &Arc<C>, decide: F) -> Self
    where
        C: Send + Sync + 'static,
        F: Fn(&C, &Facts, Option<&'static str>) -> Admission + Send + Sync + 'static,
    {
        let context = context.clone();
        self.gate = Some(Gate::new(move |facts, method| decide(&context, facts, method)));
        self
    }

    /// The names of the methods.
    pub fn method_names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.methods.keys().copied()
    }

    /// What is to be done about a frame. Without a method, it is an answer that nobody waits for.
    pub(super) fn admit(&self, method: Option<&str>) -> Admission {
        let Some(gate) = &self.gate else { return Admission::default() };
        let known = method.and_then(|method| self.methods.get_key_value(method));
        gate.admit(&self.facts, known.map(|(name, _)| *name))
    }

    /// Starts to answer.
    pub(super) fn answer(&self, method: &str, request: Request<'_>) -> Answer {
        match self.methods.get(method) {
            Some(callback) => callback(&self.facts, request),
            None => {
                let message = format!("there is no method `{}` here", printable(method));
                Answer::Now(refusal(&request.id, Failure::new(ErrorCode::UnknownMethod, message)))
            }
        }
    }

    fn add(&mut self, name: &'static str, callback: impl Fn(&Facts, Request<'_>) -> Answer + Send + Sync + 'static) {
        self.insert(name, Arc::new(callback));
    }

    fn insert(&mut self, name: &'static str, callback: Arc<Callback>) {
        let before = Arc::make_mut(&mut self.methods).insert(name, callback);
        assert!(before.is_none(), "a method stands in a table once: {name}");
    }
}

fn read_params<M: Method>(params: Option<&RawValue>) -> Result<M, Failure> {
    let text = params.map_or("{}", RawValue::get);
    // An array would be read as the fields in order; the wires name their parameters.
    let read = if text.starts_with('{') { serde_json::from_str(text) } else { serde_json::from_str("{") };
    read.map_err(|error| {
        Failure::new(ErrorCode::InvalidInput, format!("`{}` does not take these parameters: {error}", M::NAME))
    })
}

/// Somebody else's text, cut short and without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
