use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use coattail::wire::ErrorCode;

use super::layout::VERSION;

/// Why a folder cannot be opened as an instance.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no version file in it.
    #[error("{} is not a Coattail instance", dir.display())]
    NotAnInstance {
        /// Which folder.
        dir: PathBuf,
    },
    /// It was made by the original program, in Node.
    #[error("{} was made by the original Coattail {version}", dir.display())]
    MadeByOriginal {
        /// Which folder.
        dir: PathBuf,
        /// The version of the original.
        version: String,
    },
    /// It was made by a version with which this one is not compatible.
    #[error("{} was made by Coattail {found}, and this is {OURS}", dir.display())]
    OtherVersion {
        /// Which folder.
        dir: PathBuf,
        /// What made it.
        found: String,
    },
    /// The version file says nothing that can be understood.
    #[error("{} does not hold a version", path.display())]
    Unreadable {
        /// The version file.
        path: PathBuf,
    },
    /// The version file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The version file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    /// What to try.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotAnInstance { .. } => {
                "run this in the folder of an instance, name one with --instance FOLDER, or make one: coattail new FOLDER"
                    .to_owned()
            }
            Self::MadeByOriginal { .. } => {
                "its tokens and keys have another form, so it must be imported into a new instance; it was not changed"
                    .to_owned()
            }
            Self::OtherVersion { found, .. } => format!("install Coattail {found}"),
            Self::Unreadable { path } => {
                format!("if this is an instance of this version, write {OURS} into {}", path.display())
            }
            Self::Read { .. } => "check that you may read this folder".to_owned(),
        })
    }

    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotAnInstance { .. } => ErrorCode::NotFound,
            Self::OtherVersion { .. } | Self::MadeByOriginal { .. } => ErrorCode::UnsupportedVersion,
            Self::Unreadable { .. } | Self::Read { .. } => ErrorCode::Usage,
        }
    }
}

/// Checks that this program made the folder, in a version with the same major number.
pub(super) fn check(root: &Path) -> Result<(), OpenError> {
    let path = root.join(VERSION);
    let mut text = String::new();
    match File::open(&path).and_then(|file| file.take(MAX_VERSION).read_to_string(&mut text)) {
        Ok(_) => {}
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Err(OpenError::NotAnInstance { dir: root.to_owned() });
        }
        Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(OpenError::Unreadable { path }),
        Err(source) => return Err(OpenError::Read { path, source }),
    }
    let dir = root.to_owned();
    let found = text.trim_end();
    let Some(major) = major(found) else { return Err(OpenError::Unreadable { path }) };
    // The original never wrote a line end, and this program always does.
    if major == "1" && found == text {
        return Err(OpenError::MadeByOriginal { dir, version: text });
    }
    if Some(major) != self::major(OURS) {
        return Err(OpenError::OtherVersion { dir, found: found.to_owned() });
    }
    Ok(())
}

/// Says that the folder is a whole instance. Whoever makes one writes this last.
pub(super) fn write(root: &Path) -> io::Result<()> {
    fs::write(root.join(VERSION), format!("{OURS}\n"))
}

fn major(version: &str) -> Option<&str> {
    let (major, rest) = version.split_once('.')?;
    let plain = version.chars().all(|c| c.is_ascii_alphanumeric() || ".-+".contains(c));
    let number = !major.is_empty() && major.chars().all(|c| c.is_ascii_digit());
    (plain && number && rest.contains('.')).then_some(major)
}

const OURS: &str = env!("CARGO_PKG_VERSION");

/// The longest version file, in bytes.
const MAX_VERSION: u64 = 128;

#[cfg(test)]
mod tests {
    use super::*;

    fn check_text(text: &[u8]) -> Result<(), OpenError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(VERSION), text).unwrap();
        check(dir.path())
    }

    #[test]
    fn only_instances_of_this_major_version_open() {
        assert!(check_text(format!("{OURS}\n").as_bytes()).is_ok());
        assert!(check_text(OURS.as_bytes()).is_ok(), "an editor may have removed the line end");
        assert!(check_text(b"0.99.3\n").is_ok());
        for text in ["2.0.0\n", "1.0.3\n", "00.1.0\n"] {
            assert!(matches!(check_text(text.as_bytes()), Err(OpenError::OtherVersion { .. })), "{text}");
        }
        for text in ["", "\n", "x", "0.1", "a.b.c", "0.1.0\n0.1.0", "\u{1b}0.1.0"] {
            assert!(matches!(check_text(text.as_bytes()), Err(OpenError::Unreadable { .. })), "{text:?}");
        }
        assert!(matches!(check_text(&[0xff; 9]), Err(OpenError::Unreadable { .. })));
    }

    #[test]
    fn an_instance_of_the_original_is_named_as_such() {
        let error = check_text(b"1.0.3").unwrap_err();
        assert!(matches!(&error, OpenError::MadeByOriginal { version, .. } if version == "1.0.3"));
        assert!(error.hint().unwrap().contains("imported"));
        assert_eq!(error.code(), ErrorCode::UnsupportedVersion);
    }

    #[test]
    fn a_folder_without_a_version_is_no_instance() {
        let dir = tempfile::tempdir().unwrap();
        for path in [dir.path().to_owned(), dir.path().join("none")] {
            assert!(matches!(check(&path), Err(OpenError::NotAnInstance { .. })));
        }
    }
}
