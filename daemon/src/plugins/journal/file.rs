use std::io;
use std::path::PathBuf;

use coattail::wire::control::LogLine;
use sha2::{Digest as _, Sha256};

use crate::feeds::LogFile;
use crate::plugins::PluginId;

/// Bytes of a file; each log has two.
const FILE: u64 = 1 << 20;

/// The files of all logs.
#[derive(Debug)]
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Adds a line.
    pub(super) fn append(&self, plugin: &PluginId, line: &LogLine) -> io::Result<()> {
        self.file(plugin).append(line)
    }

    /// The last lines, the oldest of them first.
    pub(super) fn tail(&self, plugin: &PluginId, count: usize) -> io::Result<Vec<LogLine>> {
        self.file(plugin).tail(count)
    }

    fn file(&self, plugin: &PluginId) -> LogFile {
        LogFile::new(self.path(plugin), FILE)
    }

    /// A plugin's name never becomes a path.
    fn path(&self, plugin: &PluginId) -> PathBuf {
        let hash = hex::encode(&Sha256::digest(&plugin.name)[..16]);
        self.folder.join(format!("{}-{hash}.log", plugin.kind.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write as _;
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
        let mut file = fs::OpenOptions::new().append(true).open(files.path(&plugin)).unwrap();
        file.write_all(b"{\"time\":\"20").unwrap();
        files.append(&plugin, &line("two")).unwrap();
        let lines = files.tail(&plugin, 10).unwrap();
        assert_eq!(lines, [line("one"), line("two")]);
    }
}
