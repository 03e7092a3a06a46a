//! Reads what a command is given beside its arguments: from a file, or from stdin.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use coattail::rpc::{MAX_DEPTH, is_deeper_than};
use coattail::wire::{ErrorCode, Failure, Raw};

use crate::args::{Input, Lines};
use crate::error::because;

/// The most that is read, in bytes: the longest frame that the control socket takes.
const MAX_INPUT: u64 = 8 * 1024 * 1024;

/// The most that is read in lines, in bytes: one frame has all of them, with what surrounds each.
const MAX_LINES: usize = 4 * 1024 * 1024;

/// How deep it may be nested, so that every frame that will carry it stays within [`MAX_DEPTH`].
const INPUT_DEPTH: usize = MAX_DEPTH - 8;

/// Reads JSON from where it was said to be.
pub(super) fn read_json(input: &Input) -> Result<Raw, Failure> {
    let (text, place) = match input {
        Input::Text(text) => (text.clone(), "--data".to_owned()),
        Input::File(path) => (read_file(path)?, format!("`{}`", path.display())),
        Input::Stdin => (read_stdin()?, "stdin".to_owned()),
    };
    parse(&text, &place)
}

/// Reads JSON, one value in each line, from where it was said to be.
pub(super) fn read_lines(lines: &Lines) -> Result<Vec<Raw>, Failure> {
    let (text, place) = match lines {
        Lines::File(path) => (read_file(path)?, format!("`{}`", path.display())),
        Lines::Stdin => (read_stdin()?, "stdin".to_owned()),
    };
    if text.len() > MAX_LINES {
        return Err(Failure::new(ErrorCode::TooLarge, format!("{place} has more than {MAX_LINES} bytes"))
            .hint("publish it in several batches"));
    }
    (1..).zip(text.lines()).map(|(number, line)| parse(line, &format!("line {number} of {place}"))).collect()
}

fn parse(text: &str, place: &str) -> Result<Raw, Failure> {
    if is_deeper_than(INPUT_DEPTH, text) {
        return Err(Failure::new(ErrorCode::Usage, format!("{place} is nested deeper than {INPUT_DEPTH} levels"))
            .hint("give it flatter, or pass on where the data is"));
    }
    serde_json::from_str(text).map_err(|error| {
        because(ErrorCode::Usage, format!("{place} is no JSON"), error).hint(
            "give JSON (a text needs its double quotes: '\"text\"'), `@FILE` for the content of a file, or `-` for stdin",
        )
    })
}

/// Reads a text file.
pub(super) fn read_file(path: &Path) -> Result<String, Failure> {
    let name = format!("`{}`", path.display());
    let file = File::open(path).map_err(|error| {
        let code = if error.kind() == io::ErrorKind::NotFound { ErrorCode::NotFound } else { ErrorCode::Usage };
        because(code, format!("could not open {name}"), error).hint("check the path and its permissions")
    })?;
    read(file, &name)
}

/// Reads stdin to its end.
pub(super) fn read_stdin() -> Result<String, Failure> {
    read(io::stdin().lock(), "stdin")
}

fn read(from: impl Read, name: &str) -> Result<String, Failure> {
    let mut text = String::new();
    let read = from.take(MAX_INPUT + 1).read_to_string(&mut text).map_err(|error| {
        because(ErrorCode::Usage, format!("could not read {name}"), error).hint("it must be text in UTF-8")
    })?;
    if read as u64 > MAX_INPUT {
        return Err(Failure::new(ErrorCode::TooLarge, format!("{name} has more than {MAX_INPUT} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_kept_byte_for_byte() {
        let input = Input::Text("{\"b\": 1.50, \"a\": 1e400}".to_owned());
        assert_eq!(read_json(&input).expect("JSON").get(), "{\"b\": 1.50, \"a\": 1e400}");
    }

    #[test]
    fn what_is_no_json_is_told_by_its_place() {
        let failure = read_json(&Input::Text("{\"a\":}".to_owned())).expect_err("no JSON");
        assert_eq!(failure.message, "--data is no JSON\nexpected value at line 1 column 6");
        assert_eq!(failure.code, ErrorCode::Usage);
        let failure = read_json(&Input::File("/does/not/exist".into())).expect_err("no file");
        assert_eq!(failure.code, ErrorCode::NotFound);
    }

    #[test]
    fn input_is_bounded() {
        let failure = read(io::repeat(b' '), "stdin").expect_err("endless");
        assert_eq!(failure.code, ErrorCode::TooLarge);
    }
}
