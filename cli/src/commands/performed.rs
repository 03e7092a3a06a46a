//! What an action returned, for `action perform` and for the job that did the same.

use coattail::id::CallId;
use coattail::wire::host::Performed;
use coattail::wire::peer::Published;
use coattail::wire::{ErrorCode, Failure, Raw};
use serde::Serialize;

use crate::error::{ExitStatus, report};
use crate::output::Printer;

/// A performed action, as programs are told of it.
#[derive(Serialize)]
struct Answer<'a> {
    result: Option<&'a Raw>,
    call: CallId,
    #[serde(skip_serializing_if = "Option::is_none")]
    publication: Option<&'a Published>,
    #[serde(skip_serializing_if = "Option::is_none")]
    publication_error: Option<&'a str>,
}

/// Answers with the result.
pub(super) fn answer(printer: &Printer, performed: &Performed) -> Result<ExitStatus, Failure> {
    let answer = Answer {
        result: performed.result.as_ref(),
        call: performed.call,
        publication: performed.publication.as_ref(),
        publication_error: performed.publication_error.as_deref(),
    };
    printer.result(answer.result, &answer)?;
    if let Some(published) = answer.publication {
        printer.note(&format!("published as {} (number {})", published.id, published.sequence));
    }
    // The result is the answer even so: the action has run.
    match answer.publication_error {
        None => Ok(ExitStatus::Done),
        Some(why) => {
            let failure = Failure::new(ErrorCode::Failed, format!("the result was not published\n{why}"))
                .hint("publish it with `coattail action publish`; the action itself has succeeded");
            Ok(report(printer, &failure))
        }
    }
}
