use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use coattail::wire::control::LogLine;

/// A log of bounded size: a file, and the one before. When the file is full it becomes the one before, and that one
/// goes. Everything here blocks.
#[derive(Debug, Clone)]
pub(crate) struct LogFile {
    path: PathBuf,
    /// Bytes of a file.
    size: u64,
}

impl LogFile {
    /// Made, with its folder, when there is something to keep.
    pub(crate) fn new(path: PathBuf, size: u64) -> Self {
        Self { path, size }
    }

    /// Adds a line. After a kill at any point there are whole lines, and perhaps a torn one at the end.
    pub(crate) fn append(&self, line: &LogLine) -> io::Result<()> {
        let mut file = match open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let folder = self.path.parent().unwrap_or(Path::new("."));
                DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
                open(&self.path)?
            }
            other => other?,
        };
        let mut size = file.metadata()?.len();
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        if size + text.len() as u64 > self.size && size > 0 {
            fs::rename(&self.path, self.before())?;
            (file, size) = (open(&self.path)?, 0);
        }
        if size > 0 && !ends_a_line(&mut file)? {
            text.insert(0, '\n');
        }
        file.write_all(text.as_bytes())
    }

    /// The last lines, the oldest of them first.
    pub(crate) fn tail(&self, count: usize) -> io::Result<Vec<LogLine>> {
        let mut lines = Vec::new();
        for path in [self.before(), self.path.clone()] {
            let bytes = match fs::read(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                read => read?,
            };
            lines.extend(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()));
        }
        lines.drain(..lines.len().saturating_sub(count));
        Ok(lines)
    }

    /// Deletes it, if it is there.
    pub(crate) fn remove(&self) -> io::Result<()> {
        for path in [self.before(), self.path.clone()] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn before(&self) -> PathBuf {
        self.path.with_extension("log.1")
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

fn ends_a_line(file: &mut File) -> io::Result<bool> {
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}
