use coattail::wire::doctor::{Doctor, Finding, Level};
use coattail::wire::{ErrorCode, Failure};

use crate::context::Context;
use crate::error::{ExitStatus, because};
use crate::local;
use crate::output::{Format, Row};

impl Row for Finding {
    const COLUMNS: &'static [&'static str] = &["level", "area", "subject", "ms", "found"];

    fn cells(&self) -> Vec<String> {
        vec![
            word(self.level).to_owned(),
            self.area.clone(),
            self.subject.clone(),
            self.millis.map_or_else(|| "-".to_owned(), |millis| millis.to_string()),
            match &self.hint {
                Some(hint) => format!("{}; try: {hint}", self.message),
                None => self.message.clone(),
            },
        ]
    }

    fn tone(&self) -> Option<&'static str> {
        Some(match self.level {
            Level::Ok => "32",
            Level::Warning => "1;33",
            Level::Failure => "1;31",
        })
    }
}

fn word(level: Level) -> &'static str {
    match level {
        Level::Ok => "ok",
        Level::Warning => "warning",
        Level::Failure => "failure",
    }
}

pub(super) fn run(context: &Context) -> Result<ExitStatus, Failure> {
    let findings = look(context)?;
    context.printer.list(&findings, "there was nothing to look at")?;
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (failures, warnings) = (count(Level::Failure), count(Level::Warning));
    if context.printer.format() == Format::Table {
        context.printer.note(&format!("{} looked at: {failures} failed, {warnings} to be warned of", findings.len()));
    }
    Ok(if failures > 0 { ExitStatus::Failed } else { ExitStatus::Done })
}

fn look(context: &Context) -> Result<Vec<Finding>, Failure> {
    let instance = context.instance()?;
    // It takes as long as the peers and the plugins take, each of which the daemon bounds.
    let asked = context.talk(async |daemon| Ok(daemon.session().call(&Doctor {}).await.map_err(Failure::from)));
    let why = match asked {
        Ok(Ok(findings)) => return Ok(findings),
        Ok(Err(failure)) if failure.code == ErrorCode::UnknownMethod => {
            return Err(because(failure.code, "the service is of a version without a doctor", failure.message)
                .hint("stop the service and start it anew, so that it is of this version"));
        }
        Ok(Err(failure)) => return Err(failure),
        Err(failure) if failure.code == ErrorCode::Cancelled => return Err(failure),
        Err(failure) => failure,
    };
    // Why it cannot be opened is what a doctor is for: its files are looked at from here.
    let mut findings = context.block_on(async |_| Ok(local::check_files(&instance).await))?;
    // It may be the very same thing.
    if !findings.iter().any(|found| found.level == Level::Failure && found.message == why.message) {
        findings.push(Finding {
            level: Level::Failure,
            area: "instance".to_owned(),
            subject: instance.display().to_string(),
            message: format!("cannot be opened: {}", why.message),
            hint: why.hint,
            millis: None,
        });
    }
    Ok(findings)
}
