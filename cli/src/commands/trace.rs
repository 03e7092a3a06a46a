use coattail::id::IssuerHash;
use coattail::wire::Failure;
use coattail::wire::fate::Handling;
use coattail::wire::trace::{Known, Looped, Trace, TracePublication, Traced, TracedAt, TracedReceiver};

use crate::args;
use crate::context::Context;
use crate::output::{Color, Format, visible};

/// Characters of an issuer hash that people tell instances apart by.
const SHORT: usize = 8;

pub(super) fn run(context: &Context, args: args::Trace) -> Result<(), Failure> {
    let request = TracePublication { id: args.id };
    let trace = context.talk(async |daemon| daemon.call(&request).await)?;
    let printer = &context.printer;
    if printer.format() == Format::Json {
        return printer.value("", &trace);
    }
    let color = if printer.format() == Format::Table { Color::of(&std::io::stdout()) } else { Color::OFF };
    let root = tree(&trace);
    let mut text = String::new();
    root.draw(&mut text, "", "", color);
    printer.answer(&text)?;
    if trace.cut {
        printer.note("there may be more: this is as far as one trace goes; trace one of the last");
    }
    Ok(())
}

/// A line, and what hangs on it.
struct Line {
    text: String,
    style: &'static str,
    below: Vec<Line>,
}

impl Line {
    fn new(text: String) -> Self {
        Self { text, style: "", below: Vec::new() }
    }

    fn draw(&self, text: &mut String, first: &str, rest: &str, color: Color) {
        text.push_str(first);
        text.push_str(&if self.style.is_empty() { self.text.clone() } else { color.paint(self.style, &self.text) });
        text.push('\n');
        for (at, line) in self.below.iter().enumerate() {
            let (branch, trunk) = if at + 1 < self.below.len() { ("├─ ", "│  ") } else { ("└─ ", "   ") };
            line.draw(text, &format!("{rest}{branch}"), &format!("{rest}{trunk}"), color);
        }
    }
}

/// Each cause hangs on the one before, at where it was handled, as far as that is known; the rest on the last.
fn tree(trace: &Trace) -> Line {
    let start = trace.causes.iter().chain([&trace.publication]).find_map(|traced| traced.time).unwrap_or_default();
    let mut line = publication(&trace.publication, start);
    line.style = "1";
    for cause in trace.causes.iter().rev() {
        let mut above = publication(cause, start);
        match above.below.last_mut() {
            Some(at) => at.below.push(line),
            None => above.below.push(line),
        }
        line = above;
    }
    line
}

fn publication(traced: &Traced, start: i64) -> Line {
    let mut text = match (&traced.action, traced.sequence) {
        (Some(action), Some(sequence)) => format!("{} {sequence}", visible(action.as_str())),
        _ => format!("a publication: {}", known(traced.known)),
    };
    if let Some(issuer) = &traced.issuer {
        text += &format!(" {}", place(issuer, traced.here));
    }
    if let Some(time) = traced.time {
        text += &format!("  {}", offset(time, start));
    }
    let mut line = Line::new(format!("{text}  {}", traced.id));
    line.below = traced.at.iter().map(|at| came_to(at, start)).collect();
    if traced.more > 0 {
        line.below.push(Line::new(format!("{} more subscriptions", traced.more)));
    }
    line
}

fn came_to(at: &TracedAt, start: i64) -> Line {
    let mut text = place(&at.issuer, at.here);
    if at.known != Known::Known {
        text += &format!(": {}", known(at.known));
    }
    let mut line = Line::new(text);
    line.below.extend(at.receivers.iter().map(|receiver| handled(receiver, start)));
    line.below.extend(at.published.iter().map(|published| publication(published, start)));
    if at.hidden > 0 {
        let are = if at.hidden == 1 { "publication" } else { "publications" };
        line.below.push(Line::new(format!("{} {are}: {}", at.hidden, known(Known::NotAllowed))));
    }
    line.below.extend(at.looped.iter().map(|Looped { action, hops }| Line {
        style: "1;31",
        ..Line::new(format!("{}: refused, {} publications had led to it: a loop?", visible(action.as_str()), hops - 1))
    }));
    line
}

fn handled(receiver: &TracedReceiver, start: i64) -> Line {
    let TracedReceiver { state, attempts, ended, stored, duration_ms, reason, .. } = receiver;
    let mut text = format!("{}: {}", visible(receiver.receiver.as_str()), state.as_str());
    if let Some(took) = duration_ms {
        text += &format!(" in {}", length(*took));
    }
    if let Some(attempts @ 2..) = attempts {
        text += &format!(", {attempts} attempts");
    }
    if let Some(reason) = reason {
        text += &format!(": {}", visible(reason));
    }
    if let Some(time) = ended.or(*stored) {
        text += &format!("  {}", offset(time, start));
    }
    let style = match state {
        Handling::Dead => "1;31",
        Handling::Failing => "33",
        _ => "",
    };
    Line { style, ..Line::new(text) }
}

fn place(issuer: &IssuerHash, here: bool) -> String {
    if here {
        return "here".to_owned();
    }
    let hash = issuer.to_string();
    format!("at {}…", &hash[..SHORT])
}

fn known(known: Known) -> &'static str {
    match known {
        Known::Known => "known",
        Known::NotAllowed => "not allowed",
        Known::Unreachable => "unreachable",
        Known::Unknown => "unknown",
    }
}

/// `+1.2 s` after the beginning, or the beginning itself.
fn offset(time: i64, start: i64) -> String {
    if time == start {
        return jiff::Timestamp::from_millisecond(time).map_or_else(|_| time.to_string(), |time| time.to_string());
    }
    let sign = if time < start { '-' } else { '+' };
    format!("{sign}{}", length(time.abs_diff(start)))
}

fn length(milliseconds: u64) -> String {
    match milliseconds {
        0..=999 => format!("{milliseconds} ms"),
        1_000..=59_999 => format!("{}.{} s", milliseconds / 1_000, milliseconds % 1_000 / 100),
        60_000..=3_599_999 => format!("{} min {} s", milliseconds / 60_000, milliseconds % 60_000 / 1_000),
        more => format!("{} h {} min", more / 3_600_000, more % 3_600_000 / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_from_the_beginning() {
        for (time, told) in [
            (1_000, "1970-01-01T00:00:01Z"),
            (1_005, "+5 ms"),
            (995, "-5 ms"),
            (3_250, "+2.2 s"),
            (63_000, "+1 min 2 s"),
            (7_261_000, "+2 h 1 min"),
        ] {
            assert_eq!(offset(time, 1_000), told);
        }
    }

    #[test]
    fn a_tree_is_drawn_with_its_branches() {
        let leaf = |text: &str| Line::new(text.to_owned());
        let mut root = leaf("a");
        root.below = vec![Line { below: vec![leaf("c"), leaf("d")], ..leaf("b") }, leaf("e")];
        let mut text = String::new();
        root.draw(&mut text, "", "", Color::OFF);
        assert_eq!(text, "a\n├─ b\n│  ├─ c\n│  └─ d\n└─ e\n");
    }
}
