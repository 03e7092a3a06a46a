use std::io;
use std::path::PathBuf;

use coattail::wire::ErrorCode;

/// Why there is no backup, or why it was not restored. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// Something is there already.
    #[error("{} exists already", path.display())]
    Exists {
        /// What.
        path: PathBuf,
    },
    /// It belongs to the instance and lies elsewhere.
    #[error("{} lies outside of the instance {}", path.display(), instance.display())]
    Outside {
        /// What.
        path: PathBuf,
        /// Which instance.
        instance: PathBuf,
    },
    /// A file changed in every attempt to copy it with the others.
    #[error("the instance changed while it was being copied")]
    Changed,
    /// No backup at all.
    #[error("{} is not a backup of Coattail", path.display())]
    NotABackup {
        /// Which file.
        path: PathBuf,
    },
    /// A backup that is not what was written.
    #[error("the backup {} is damaged: {what}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A backup of a form that is not known.
    #[error("the backup {} is of format {found}, this program knows format {known}", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Ours.
        known: u32,
    },
    /// A file or folder.
    #[error("cannot work with {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl BackupError {
    /// What to try.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Exists { .. } => "name another file, or add `--force` to replace it",
            Self::Outside { .. } => "copy it by other means, or move it into the folder of the instance",
            Self::Changed => "try again when its keys are not being replaced",
            Self::NotABackup { .. } => "name a file that `coattail backup` has written",
            Self::Damaged { .. } => "take another backup; nothing was changed",
            Self::Newer { .. } => "use the newer version of coattail that made it",
            Self::Io { .. } => "check that you may read and write there, and that the disk is not full",
        })
    }

    /// What kind of failure it is.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Exists { .. } => ErrorCode::AlreadyExists,
            Self::Outside { .. } | Self::NotABackup { .. } => ErrorCode::Usage,
            Self::Changed => ErrorCode::Busy,
            Self::Damaged { .. } => ErrorCode::Failed,
            Self::Newer { .. } => ErrorCode::UnsupportedVersion,
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull => ErrorCode::StorageFull,
                io::ErrorKind::NotFound => ErrorCode::NotFound,
                _ => ErrorCode::Failed,
            },
        }
    }
}
