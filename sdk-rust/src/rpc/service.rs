use std::fmt;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use jsonrpsee::core::server::{MethodCallback, MethodResponse};
use jsonrpsee::types::{ErrorObjectOwned, Id, Params};
use jsonrpsee::{ConnectionId, Extensions, Methods, RpcModule};
use serde_json::value::RawValue;

use super::gate::{Admission, Gate};
use crate::wire::{ErrorCode, Failure, Method, Raw};

/// The methods that one side of a session serves, and what their handlers may know of the connection.
#[derive(Clone, Default)]
pub struct Service {
    methods: Methods,
    facts: Facts,
    gate: Option<Gate>,
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("methods", &self.methods.method_names().collect::<Vec<_>>()).finish()
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

/// What a handler may know of the connection that a call came through: values by their type. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Facts(Arc<Extensions>);

impl Facts {
    /// The fact of this type.
    pub fn get<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.0.get::<T>().cloned()
    }

    /// As they are carried to a handler: all in one, so that a call does not copy each.
    fn carry(&self) -> Extensions {
        let mut carried = Extensions::new();
        carried.insert(self.clone());
        carried
    }

    fn carried(by: &Extensions) -> Self {
        by.get::<Self>().cloned().unwrap_or_default()
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
        let mut module = RpcModule::from_arc(context.clone());
        module
            .register_async_method(M::NAME, move |params, context, facts| {
                let handler = handler.clone();
                async move {
                    handler(context, Facts::carried(&facts), read_params(&params)?)
                        .await
                        .map_err(ErrorObjectOwned::from)
                }
            })
            .expect("the name is new in this module");
        self.methods.merge(module).expect("a method stands in a table once");
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
        let mut module = RpcModule::from_arc(context.clone());
        module
            .register_method(M::NAME, move |params, context, facts| {
                handler(context, Facts::carried(facts), read_params(&params)?).map_err(ErrorObjectOwned::from)
            })
            .expect("the name is new in this module");
        self.methods.merge(module).expect("a method stands in a table once");
        self
    }

    /// Adds all methods of another service.
    ///
    /// # Panics
    /// As [`on`](Self::on).
    #[must_use]
    pub fn with(mut self, other: Service) -> Self {
        self.methods.merge(other.methods).expect("a method stands in a table once");
        self
    }

    /// Tells the handlers something about the connection.
    #[must_use]
    pub fn fact<T: Clone + Send + Sync + 'static>(mut self, fact: T) -> Self {
        Arc::make_mut(&mut self.facts.0).insert(fact);
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
        self.methods.method_names()
    }

    /// What is to be done about a frame. Without a method, it is an answer that nobody waits for.
    pub(super) fn admit(&self, method: Option<&str>) -> Admission {
        let Some(gate) = &self.gate else { return Admission::default() };
        let known = method.and_then(|method| self.methods.method_with_name(method));
        gate.admit(&self.facts, known.map(|(name, _)| name))
    }

    /// Starts to answer. `id` is null for a notification, whose answer is thrown away.
    pub(super) fn answer(&self, id: Id<'_>, method: &str, params: Option<&RawValue>, max_response: usize) -> Answer {
        let params = Params::new(params.map(RawValue::get));
        match self.methods.method(method) {
            Some(MethodCallback::Sync(callback)) => {
                Answer::Now(callback(id, params, max_response, self.facts.carry()).into_json())
            }
            Some(MethodCallback::Async(callback)) => Answer::Later(
                callback(id.into_owned(), params.into_owned(), ConnectionId(0), max_response, self.facts.carry())
                    .map(MethodResponse::into_json)
                    .boxed(),
            ),
            _ => Answer::Now(refusal(
                id,
                Failure::new(ErrorCode::UnknownMethod, format!("there is no method `{}` here", printable(method))),
            )),
        }
    }
}

/// An answer, or the work that leads to it.
pub(super) enum Answer {
    Now(Raw),
    Later(BoxFuture<'static, Raw>),
}

/// The answer that refuses.
pub(super) fn refusal(id: Id<'_>, failure: Failure) -> Raw {
    MethodResponse::error(id, ErrorObjectOwned::from(failure)).into_json()
}

fn read_params<M: Method>(params: &Params<'_>) -> Result<M, ErrorObjectOwned> {
    let text = params.as_str().unwrap_or("{}");
    // An array would be read as the fields in order; the wires name their parameters.
    let read = if text.starts_with('{') { serde_json::from_str(text) } else { serde_json::from_str("{") };
    read.map_err(|error| {
        Failure::new(ErrorCode::InvalidInput, format!("`{}` does not take these parameters: {error}", M::NAME)).into()
    })
}

/// Somebody else's text, cut short and without control characters.
pub(super) fn printable(text: &str) -> String {
    text.chars().take(80).map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
