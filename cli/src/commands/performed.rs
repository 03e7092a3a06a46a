//! What an action returned, for `action perform` and for the job that did the same.

use coattail::id::CallId;
use coattail::wire::host::Performed;
use coattail::wire::peer::Published;
use coattail::wire::publications::Reached;
use coattail::wire::{ErrorCode, Failure, Raw};
use serde::Serialize;

use super::reach::{Reach, Waited};
use crate::context::Context;
use crate::error::{ExitStatus, report};
use crate::output::Format;

/// A performed action, as programs are told of it.
#[derive(Serialize)]
struct Answer<'a> {
    result: Option<&'a Raw>,
    call: CallId,
    #[serde(skip_serializing_if = "Option::is_none")]
    publication: Option<&'a Published>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publication_error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reach: Option<&'a Reached>,
}

/// Answers with the result, and waits until it has reached the subscribers if that is wanted. To programs it is one
/// answer, at the end.
pub(super) fn answer(
    context: &Context,
    performed: &Performed,
    reach: Option<&Reach<'_>>,
) -> Result<ExitStatus, Failure> {
    let printer = &context.printer;
    let mut answer = Answer {
        result: performed.result.as_ref(),
        call: performed.call,
        publication: performed.publication.as_ref(),
        publication_error: performed.publication_error.as_deref(),
        reach: None,
    };
    let is_one_answer = printer.format() == Format::Json;
    if !is_one_answer {
        printer.result(answer.result, &answer)?;
        if let Some(published) = answer.publication {
            printer.note(&format!("published as {} (number {})", published.id, published.sequence));
        }
    }
    let waited = reach.zip(answer.publication).map(|(reach, published)| reach.wait(published.id));
    if is_one_answer {
        answer.reach = waited.as_ref().and_then(Waited::reached);
        printer.result(answer.result, &answer)?;
    }
    // The result is the answer even so: the action has run.
    match (answer.publication_error, &waited) {
        (None, None) => Ok(ExitStatus::Done),
        (None, Some(waited)) => Ok(waited.conclude(context)),
        (Some(why), _) => {
            let failure = Failure::new(ErrorCode::Failed, format!("the result was not published\n{why}"))
                .hint("publish it with `coattail action publish`; the action itself has succeeded");
            Ok(report(printer, &failure))
        }
    }
}
