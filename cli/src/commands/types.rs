use std::fs;

use coattail::wire::host::{Entry, ListActions};
use coattail::wire::{ErrorCode, Failure};
use serde::Serialize;

use crate::args::{self, TypesLanguage};
use crate::context::Context;
use crate::error::because;
use crate::output::{Field, Record};
use crate::types::{self, Described};

/// Types, as programs are told of them.
#[derive(Serialize)]
struct Types<'a> {
    language: &'static str,
    actions: usize,
    code: &'a str,
}

/// Where they were written to.
#[derive(Serialize)]
struct Written {
    file: String,
    language: &'static str,
    actions: usize,
}

impl Record for Written {
    fn fields(&self) -> Vec<Field> {
        vec![("file", self.file.clone()), ("language", self.language.to_owned()), ("actions", self.actions.to_string())]
    }
}

pub(super) fn run(context: &Context, args: &args::ActionTypes) -> Result<(), Failure> {
    let peer = context.peer(args.peer.as_deref())?;
    let entries = context.talk(async |daemon| daemon.call(&ListActions { peer, schemas: true }).await)?;
    let entries = chosen(entries, args)?;
    for entry in entries.iter().filter(|entry| entry.input.is_none() && entry.output.is_none()) {
        context.printer.note(&format!("action `{}` has no schemas: it takes and returns anything", entry.name));
    }
    let module = types::read(entries.iter().map(|entry| Described {
        name: &entry.name,
        description: entry.description.as_deref(),
        input: entry.input.as_ref().map(|schema| schema.get()),
        output: entry.output.as_ref().map(|schema| schema.get()),
    }));
    let origin = peer.map_or_else(|| "this instance".to_owned(), |peer| format!("peer {peer}"));
    let (language, code) = match args.language {
        TypesLanguage::Ts => ("ts", types::typescript(&module, &origin)),
        TypesLanguage::Py => ("py", types::python(&module, &origin)),
    };
    match &args.output {
        None => context.printer.value(code.trim_end(), &Types { language, actions: entries.len(), code: &code }),
        Some(file) => {
            fs::write(file, &code).map_err(|error| {
                because(ErrorCode::Failed, format!("the types could not be written to `{}`", file.display()), error)
                    .hint("check that its folder is there and can be written to")
            })?;
            context.printer.record(&Written { file: file.display().to_string(), language, actions: entries.len() })
        }
    }
}

/// Those that were named, or all that can be used.
fn chosen(entries: Vec<Entry>, args: &args::ActionTypes) -> Result<Vec<Entry>, Failure> {
    for action in &args.actions {
        if !entries.iter().any(|entry| entry.name == action.as_str()) {
            let missing = Failure::new(ErrorCode::NotFound, format!("there is no action `{action}`"));
            return Err(missing.hint("`coattail action list` shows what there is, with `--peer` at a peer"));
        }
    }
    let is_chosen = |entry: &Entry| match args.actions.as_slice() {
        [] => entry.problem.is_none(),
        named => named.iter().any(|action| action.as_str() == entry.name),
    };
    Ok(entries.into_iter().filter(is_chosen).collect())
}
