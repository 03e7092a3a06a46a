use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use coattail::wire::control::LogLine;
use sha2::{Digest as _, Sha256};

use crate::plugins::PluginId;

/// Bytes of a file. When it is full it becomes the one before, and that one goes.
const FILE: u64 = 1 << 20;

/// The files of all logs: for each plugin the present one, and the one before.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Adds a line. After a kill at any point there are whole lines, and perhaps a torn one at the end.
    pub(super) fn append(&self, plugin: &PluginId, line: &LogLine) -> io::Result<()> {
        let path = self.path(plugin);
        let mut file = match open(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
                open(&path)?
            }
            other => other?,
        };
        let mut size = file.metadata()?.len();
        let mut text = serde_json::to_string(line)?;
        text.push('\n');
        if size + text.len() as u64 > FILE && size > 0 {
            fs::rename(&path, before(&path))?;
            (file, size) = (open(&path)?, 0);
        }
        if size > 0 && !ends_a_line(&mut file)? {
            text.insert(0, '\n');
        }
        file.write_all(text.as_bytes())
    }

    /// The last lines, the oldest of them first.
    pub(super) fn tail(&self, plugin: &PluginId, count: usize) -> io::Result<Vec<LogLine>> {
        let path = self.path(plugin);
        let mut lines = Vec::new();
        for path in [before(&path), path] {
            let bytes = match fs::read(path) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                read => read?,
            };
            lines.extend(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()));
        }
        lines.drain(..lines.len().saturating_sub(count));
        Ok(lines)
    }

    /// A plugin's name never becomes a path.
    fn path(&self, plugin: &PluginId) -> PathBuf {
        let hash = hex::encode(&Sha256::digest(&plugin.name)[..16]);
        self.folder.join(format!("{}-{hash}.log", plugin.kind.as_str()))
    }
}

fn before(path: &Path) -> PathBuf {
    path.with_extension("log.1")
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use coattail::wire::host::Level;
    use coattail::wire::plugin::Kind;

    use super::*;

    fn line(message: &str) -> LogLine {
        LogLine { time: "2026-11-20T08:33:44Z".to_owned(), level: Level::Info, message: message.to_owned(), call: None }
    }

    #[test]
    fn a_name_is_no_path_and_the_files_are_private_and_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path().join("logs"));
        let plugin = PluginId { kind: Kind::Action, name: "../../Café".to_owned() };
        assert!(files.tail(&plugin, 5).unwrap().is_empty());
        let long = "x".repeat(64 * 1024);
        for n in 0..100 {
            files.append(&plugin, &line(&format!("{n} {long}"))).unwrap();
        }
        let kept: Vec<_> = fs::read_dir(&files.folder).unwrap().map(|entry| entry.unwrap()).collect();
        assert_eq!(kept.len(), 2);
        for file in kept {
            let data = file.metadata().unwrap();
            assert_eq!(data.permissions().mode() & 0o777, 0o600);
            assert!(data.len() <= FILE);
        }
        assert_eq!(fs::metadata(&files.folder).unwrap().permissions().mode() & 0o777, 0o700);
        let last = files.tail(&plugin, 2).unwrap();
        let starts = last.iter().map(|line| line.message.split(' ').next().unwrap()).collect::<Vec<_>>();
        assert_eq!(starts, ["98", "99"]);
    }

    #[test]
    fn a_torn_line_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::new(folder.path().to_owned());
        let plugin = PluginId { kind: Kind::Receiver, name: "keep".to_owned() };
        files.append(&plugin, &line("one")).unwrap();
        open(&files.path(&plugin)).unwrap().write_all(b"{\"time\":\"20").unwrap();
        files.append(&plugin, &line("two")).unwrap();
        let lines = files.tail(&plugin, 10).unwrap();
        assert_eq!(lines, [line("one"), line("two")]);
    }
}
