//! `config.yml` as it is written: every key of the original, and ours.
//!
//! Single values are texts here, so that [`resolve`](super::resolve) can name the key of one that does
//! not fit. A section that is missing or empty has its defaults.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use coattail::secret::Secret;
use serde::{Deserialize, Deserializer};
use zeroize::Zeroizing;

use super::ConfigError;
use super::limits::LimitsFile;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConfigFile {
    #[serde(deserialize_with = "section")]
    pub(super) paths: PathsFile,
    #[serde(deserialize_with = "section")]
    pub(super) service: ServiceFile,
    #[serde(deserialize_with = "section")]
    pub(super) authentication: KeyPairFile,
    #[serde(deserialize_with = "section")]
    pub(super) validation: KeyPairFile,
    #[serde(deserialize_with = "section")]
    pub(super) data: DataFile,
    #[serde(deserialize_with = "section")]
    pub(super) runtimes: RuntimesFile,
    #[serde(deserialize_with = "section")]
    pub(super) receivers: ReceiversFile,
    #[serde(deserialize_with = "section")]
    pub(super) limits: LimitsFile,
}

impl ConfigFile {
    /// Reads a file of at most [`MAX_FILE`] bytes. With a secret in it, it must be one that nobody else can read.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let file = File::open(path).map_err(failed)?;
        // Asked of the open file: what is at the path may change meanwhile.
        let metadata = file.metadata().map_err(failed)?;
        // Of the final size from the start: a text that grows leaves copies of a secret behind.
        let mut text = Zeroizing::new(String::with_capacity(metadata.len().min(MAX_FILE) as usize + 1));
        file.take(MAX_FILE + 1).read_to_string(&mut text).map_err(failed)?;
        if text.len() as u64 > MAX_FILE {
            return Err(ConfigError::TooLarge { path: path.to_owned(), max: MAX_FILE });
        }
        let config = Self::parse(&text, path)?;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 && config.has_secret() {
            return Err(ConfigError::Exposed { path: path.to_owned(), mode });
        }
        Ok(config)
    }

    fn has_secret(&self) -> bool {
        [&self.authentication, &self.validation]
            .iter()
            .flat_map(|pair| [&pair.private_key, &pair.public_key])
            .any(|key| key.kind.as_deref() == Some(STRING))
    }

    /// Parses the text of the file at `path`, which errors name.
    pub fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        // Without snippets: the original kept shared secrets in this file, and errors are logged.
        let options = serde_saphyr::options! { with_snippet: false };
        let file: Option<Self> =
            serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(error, path))?;
        Ok(file.unwrap_or_default())
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct PathsFile {
    pub(super) root: Option<String>,
    pub(super) actions: Option<String>,
    pub(super) receivers: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ServiceFile {
    #[serde(deserialize_with = "section")]
    pub(super) tls: TlsFile,
    #[serde(deserialize_with = "section")]
    pub(super) network: NetworkFile,
    pub(super) session_id_factory: Option<String>,
    pub(super) log: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct TlsFile {
    pub(super) enabled: Option<bool>,
    pub(super) key: Option<String>,
    pub(super) cert: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NetworkFile {
    #[serde(deserialize_with = "section")]
    pub(super) address: AddressFile,
    pub(super) port: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AddressFile {
    pub(super) connection: Option<String>,
    pub(super) bind: Option<String>,
    /// Ours: further addresses for tokens, such as `net:example.org:443~tls`.
    #[serde(deserialize_with = "section")]
    pub(super) addresses: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct KeyPairFile {
    #[serde(deserialize_with = "section")]
    pub(super) private_key: KeyFile,
    #[serde(deserialize_with = "section")]
    pub(super) public_key: KeyFile,
}

/// A key of the original: `type: file` and a path, or `type: string` and a shared secret.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyFile {
    #[serde(rename = "type", default)]
    pub(super) kind: Option<String>,
    #[serde(default)]
    pub(super) value: Option<Secret>,
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The value may be a secret.
        f.debug_struct("KeyFile").field("kind", &self.kind).finish_non_exhaustive()
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DataFile {
    pub(super) client: Option<String>,
    #[serde(deserialize_with = "section")]
    pub(super) connection: ConnectionFile,
    /// The original looked for its migrations here. Ours are in the program, so this has no effect.
    #[serde(deserialize_with = "section", rename = "migrations")]
    pub(super) _migrations: MigrationsFile,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ConnectionFile {
    pub(super) filename: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct MigrationsFile {
    #[serde(rename = "directory")]
    _directory: Option<String>,
    #[serde(rename = "tableName")]
    _table_name: Option<String>,
}

/// Ours: programs that run plugins.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RuntimesFile {
    pub(super) node: Option<String>,
    pub(super) python: Option<String>,
    pub(super) sh: Option<String>,
}

/// Ours: how receivers are tried again.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ReceiversFile {
    pub(super) retry: Option<Vec<String>>,
}

/// `key:` with nothing behind it is null in YAML, and means the defaults to a person.
fn section<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn explain(error: serde_saphyr::Error, path: &Path) -> ConfigError {
    let path = path.to_owned();
    let line = error.location().map(|location| location.line()).filter(|&line| line > 0);
    match error.without_snippet() {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => ConfigError::UnknownKey {
            path,
            line,
            nearest: nearest(field, expected),
            key: field.clone(),
            known: expected.clone(),
        },
        _ => ConfigError::Malformed { path, line, source: Box::new(error) },
    }
}

fn nearest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    known
        .iter()
        .map(|&candidate| (strsim::jaro_winkler(key, candidate), candidate))
        .filter(|&(similarity, _)| similarity > SIMILAR)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// The `type` of a key that is a path.
pub(super) const FILE: &str = "file";

/// The `type` of a key that is a shared secret.
pub(super) const STRING: &str = "string";

/// The largest `config.yml`, in bytes: a hundred times what one with every key has.
pub const MAX_FILE: u64 = 256 * 1024;

/// Jaro-Winkler similarity above which two keys look alike: catches a letter too many, too few or swapped.
const SIMILAR: f64 = 0.8;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(text: &str) -> ConfigError {
        ConfigFile::parse(text, Path::new("config.yml")).expect_err(text)
    }

    #[test]
    fn an_unknown_key_is_refused_and_the_nearest_named() {
        let error = refused("service:\n  network:\n    prot: 1\n");
        assert_eq!(error.to_string(), "config.yml, line 3: unknown key `prot`");
        assert_eq!(error.hint().as_deref(), Some("did you mean `port`?"));

        let error = refused("runtimes:\n  cobol: /usr/bin/cobc\n");
        assert_eq!(error.hint().as_deref(), Some("known here: node, python, sh"));
    }

    #[test]
    fn what_is_missing_or_empty_has_defaults() {
        for text in ["", "# nothing\n", "service:\n", "limits:\nruntimes: {}\n", "---\nservice: {network: ~}\n"] {
            assert!(ConfigFile::parse(text, Path::new("config.yml")).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_configuration_is_refused_with_its_line() {
        for text in ["service: [", "- a\n- b\n", "service:\n  tls: yes please\n", "a: 1\na: 2\n"] {
            refused(text);
        }
        assert!(refused("paths:\n  root: [1]\n").to_string().contains("line 2"));
    }

    #[test]
    fn the_file_of_the_original_is_read() {
        let text = "paths:\n  root: /i\n  actions: /i/actions\n  receivers: /i/receivers\nservice:\n  tls:\n    enabled: false\n    \
             key: k\n    cert: c\n  network:\n    address:\n      connection: 127.0.0.1\n      bind: 127.0.0.1\n    port: 29401\n  \
             session_id_factory: uuid\n  log: /i/service.log\nauthentication:\n  private_key:\n    type: file\n    value: /i/k\n  \
             public_key:\n    type: file\n    value: /i/p\nvalidation:\n  private_key:\n    type: file\n    value: /i/k\n  public_key:\n    \
             type: file\n    value: /i/p\ndata:\n  client: sqlite3\n  connection:\n    filename: /i/data.db\n  migrations:\n    \
             directory: /usr/lib/x\n    tableName: knex_migrations\n";
        let file = ConfigFile::parse(text, Path::new("config.yml")).expect("parses");
        assert_eq!(file.service.network.port.as_deref(), Some("29401"));
        assert_eq!(file.service.tls.enabled, Some(false));
    }

    #[test]
    fn s9_a_secret_in_the_file_is_not_shown() {
        let text = "validation:\n  private_key:\n    type: string\n    value: hunter2\n    valeu: hunter2\n";
        let error = refused(text);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
        let text = "validation:\n  private_key:\n    type: string\n    value: hunter2\n";
        let file = ConfigFile::parse(text, Path::new("config.yml")).expect("parses");
        assert!(!format!("{file:?}").contains("hunter2"));
    }

    #[test]
    fn s9_a_file_with_a_secret_in_it_is_for_its_owner() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("config.yml");
        let with = "authentication: {private_key: {type: string, value: hunter2}}";
        for (text, mode, taken) in [
            (with, 0o600, true),
            (with, 0o400, true),
            (with, 0o644, false),
            (with, 0o640, false),
            ("validation: {public_key: {type: string, value: hunter2}}", 0o604, false),
            ("service: {network: {port: 1}}", 0o644, true),
        ] {
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("changed");
            let read = ConfigFile::read(&path);
            assert_eq!(read.is_ok(), taken, "{text} {mode:o}");
            if let Err(error) = read {
                assert_eq!(error.hint(), Some(format!("chmod 600 {}", path.display())));
                assert!(!format!("{error:?} {error}").contains("hunter2"));
            }
            std::fs::remove_file(&path).expect("removed");
        }
    }
}
