use clap::CommandFactory as _;
use coattail::wire::{ErrorCode, Failure};

use crate::args::{Cli, Help};
use crate::context::Context;
use crate::error::ExitStatus;

/// What is explained beside the commands.
pub(super) const TOPICS: [(&str, &str); 3] = [
    ("exit-codes", include_str!("../../templates/help/exit-codes.txt")),
    ("environment", include_str!("../../templates/help/environment.txt")),
    ("output", include_str!("../../templates/help/output.txt")),
];

pub(super) fn run(context: &Context, args: &Help) -> Result<ExitStatus, Failure> {
    let text = match args.words.as_slice() {
        [topic] if let Some((_, text)) = TOPICS.iter().find(|(name, _)| name == topic) => (*text).to_owned(),
        words => command_help(words)?,
    };
    context.printer.answer(&text)?;
    Ok(ExitStatus::Done)
}

fn command_help(words: &[String]) -> Result<String, Failure> {
    let mut root = Cli::command();
    // Gives every command its full name and the options that are understood everywhere.
    root.build();
    let mut command = &mut root;
    for word in words {
        command = command.find_subcommand_mut(word).ok_or_else(|| {
            Failure::new(ErrorCode::Usage, format!("there is no command or topic `{}`", words.join(" ")))
                .hint("`coattail help` lists the commands; the topics are exit-codes, environment and output")
        })?;
    }
    Ok(command.render_help().to_string())
}
