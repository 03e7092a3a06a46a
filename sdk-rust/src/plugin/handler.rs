use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::to_raw_value;

use super::error::to_failure;
use super::schema::{schema_of_input, schema_of_output};
use super::{Context, Error};
use crate::wire::{ErrorCode, Failure, Raw};

/// What an executable offers: an action, a receiver, or both. Which of them it is asked to be follows from
/// the folder it lies in.
#[derive(Default)]
pub struct Plugin {
    pub(super) description: Option<String>,
    pub(super) action: Option<Handler>,
    pub(super) receiver: Option<Handler>,
}

/// User code with its types taken off, and what is known of them.
#[derive(Clone)]
pub(super) struct Handler {
    pub(super) run: Run,
    pub(super) input: Option<Raw>,
    pub(super) output: Option<Raw>,
}

pub(super) type Run = Arc<dyn Fn(Option<Raw>, Context) -> BoxFuture<'static, HandlerResult> + Send + Sync>;

pub(super) type HandlerResult = Result<Option<Raw>, Failure>;

/// A program that performs: its closure gets the input and a [`Context`], and returns the output.
///
/// The daemon knows the JSON Schemas of both, and checks them at every call; [`NoSchema`](super::NoSchema) is for types
/// that have none. Leave the input out of the call and it is read from `null`: take `Option<Input>`, or `()`, if it may be absent.
pub fn action<I, O, F, Fut>(perform: F) -> Plugin
where
    I: DeserializeOwned + JsonSchema + Send + 'static,
    O: Serialize + JsonSchema + Send + 'static,
    F: Fn(I, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Error>> + Send + 'static,
{
    Plugin::new().action(perform)
}

/// A program that handles publications: its closure gets what was published and a [`Context`], whose
/// [`source`](Context::source) says where it came from.
///
/// The same publication may come twice if the machine dies; its `id` is the same then.
pub fn receiver<T, F, Fut>(receive: F) -> Plugin
where
    T: DeserializeOwned + JsonSchema + Send + 'static,
    F: Fn(T, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<(), Error>> + Send + 'static,
{
    Plugin::new().receiver(receive)
}

impl Plugin {
    /// A program that offers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// What it does, for those who list it.
    #[must_use]
    pub fn description(mut self, text: impl Into<String>) -> Self {
        self.description = Some(text.into());
        self
    }

    /// As the function [`action`].
    #[must_use]
    pub fn action<I, O, F, Fut>(mut self, perform: F) -> Self
    where
        I: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + Send + 'static,
        F: Fn(I, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<O, Error>> + Send + 'static,
    {
        self.action =
            Some(Handler { run: typeless(perform), input: schema_of_input::<I>(), output: schema_of_output::<O>() });
        self
    }

    /// As the function [`receiver`].
    #[must_use]
    pub fn receiver<T, F, Fut>(mut self, receive: F) -> Self
    where
        T: DeserializeOwned + JsonSchema + Send + 'static,
        F: Fn(T, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), Error>> + Send + 'static,
    {
        self.receiver = Some(Handler { run: typeless(receive), input: schema_of_input::<T>(), output: None });
        self
    }
}

impl fmt::Debug for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plugin")
            .field("description", &self.description)
            .field("action", &self.action.is_some())
            .field("receiver", &self.receiver.is_some())
            .finish()
    }
}

fn typeless<I, O, F, Fut>(handler: F) -> Run
where
    I: DeserializeOwned + Send + 'static,
    O: Serialize + Send + 'static,
    F: Fn(I, Context) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<O, Error>> + Send + 'static,
{
    let handler = Arc::new(handler);
    Arc::new(move |input, context| {
        let handler = handler.clone();
        let work = async move {
            let input = serde_json::from_str(input.as_ref().map_or("null", |raw| raw.get()))
                .map_err(|error| Failure::new(ErrorCode::InvalidInput, format!("this input is not taken: {error}")))?;
            let output = handler(input, context).await.map_err(to_failure)?;
            write_output(&output)
        };
        // A panic costs this call and nothing else.
        AssertUnwindSafe(work).catch_unwind().map(|done| done.unwrap_or_else(|panic| Err(panicked(&*panic)))).boxed()
    })
}

fn write_output<O: Serialize>(output: &O) -> HandlerResult {
    let raw = to_raw_value(output)
        .map_err(|error| Failure::new(ErrorCode::Failed, format!("the output is no JSON: {error}")))?;
    // `()` has nothing to tell: the action returned nothing.
    Ok((size_of::<O>() > 0 || raw.get() != "null").then_some(raw))
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failure::new(ErrorCode::Failed, format!("panicked: {}", said.unwrap_or("(without a message)")))
}
