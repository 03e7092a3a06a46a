use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::time::Duration;

use coattail::pointer::Pointer;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IgnoredAny, Visitor};
use serde_json::Value;

use crate::config::{MAX_RETRIES, duration};

/// The largest sidecar that is read, in bytes. Real ones have a few lines.
const LARGEST: u64 = 64 * 1024;

/// The keys of a sidecar, for those who mistype one. The fields of [`Manifest`].
const KEYS: [&str; 16] = [
    "description",
    "protocol",
    "command",
    "timeout",
    "concurrency",
    "queue",
    "env",
    "idle",
    "min",
    "max",
    "max_calls",
    "start",
    "retry",
    "order_key",
    "input",
    "output",
];

/// The most workers of one plugin. Each is a process.
const MOST_WORKERS: usize = 1024;

/// What the owner says of a plugin: `NAME.yml` beside its file, or `coattail.yml` in its folder.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct Manifest {
    pub(super) description: Option<String>,
    pub(super) protocol: Option<Protocol>,
    /// Program and arguments, instead of what follows from the file.
    pub(super) command: Option<Vec<String>>,
    /// How long a call may take.
    #[serde(deserialize_with = "duration")]
    pub(super) timeout: Option<Duration>,
    /// Calls at once in one worker.
    pub(super) concurrency: Option<usize>,
    /// Calls that may wait for their turn.
    pub(super) queue: Option<usize>,
    pub(super) env: BTreeMap<String, String>,
    /// The worker is stopped when it had nothing to do for so long.
    #[serde(deserialize_with = "duration")]
    pub(super) idle: Option<Duration>,
    /// Workers that are kept warm.
    pub(super) min: Option<usize>,
    /// Workers at the most.
    pub(super) max: Option<usize>,
    /// A worker that was given so many calls is replaced.
    pub(super) max_calls: Option<u64>,
    /// How long a worker may take to load the user's code.
    #[serde(deserialize_with = "duration")]
    pub(super) start: Option<Duration>,
    /// How long to wait after each failed call of a receiver, until it is given up. Empty: it is called once.
    #[serde(deserialize_with = "durations")]
    pub(super) retry: Option<Vec<Duration>>,
    /// What of a publication tells those apart that a receiver handles in order from those that it handles at once.
    pub(super) order_key: Option<Pointer>,
    /// JSON Schema of what goes in.
    pub(super) input: Option<Value>,
    /// JSON Schema of what comes out.
    pub(super) output: Option<Value>,
}

/// How a plugin is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Protocol {
    /// One warm process, many calls, over stdin and stdout.
    JsonRpc,
    /// One process per call: input on stdin, output on stdout.
    Plain,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum ManifestError {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is larger than {LARGEST} bytes")]
    TooLarge,
    #[error("is not understood: {0}")]
    Yaml(String),
    #[error("has an unknown key `{0}`")]
    UnknownKey(String),
    #[error("sets `{0}` to 0, which would never run anything")]
    Zero(&'static str),
    #[error("wants `min` {min} workers, which are more than `max` {max}")]
    Workers { min: usize, max: usize },
    #[error("has {0} as `max`, which is more than {MOST_WORKERS} processes")]
    TooMany(usize),
    #[error("has {0} waits in `retry`, and at most {MAX_RETRIES} are taken")]
    Retries(usize),
    #[error("has an empty `command`")]
    EmptyCommand,
    #[error("has {0:?} in `env`, which is no name of a variable")]
    Variable(String),
}

impl Manifest {
    /// Reads a sidecar; one that does not exist says nothing.
    pub(super) fn read(path: &Path) -> Result<Self, ManifestError> {
        let mut text = String::new();
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            opened => opened?,
        };
        file.take(LARGEST + 1).read_to_string(&mut text)?;
        if text.len() as u64 > LARGEST {
            return Err(ManifestError::TooLarge);
        }
        Self::parse(&text)
    }

    fn parse(text: &str) -> Result<Self, ManifestError> {
        if text.lines().all(|line| line.trim().is_empty() || line.trim_start().starts_with('#')) {
            return Ok(Self::default());
        }
        let yaml = |error: serde_saphyr::Error| ManifestError::Yaml(error.to_string());
        let keys: BTreeMap<String, IgnoredAny> = serde_saphyr::from_str(text).map_err(yaml)?;
        if let Some(key) = keys.into_keys().find(|key| !KEYS.contains(&key.as_str())) {
            return Err(ManifestError::UnknownKey(key));
        }
        let manifest: Self = serde_saphyr::from_str(text).map_err(yaml)?;
        for (key, is_zero) in [
            ("concurrency", manifest.concurrency == Some(0)),
            ("queue", manifest.queue == Some(0)),
            ("max", manifest.max == Some(0)),
            ("max_calls", manifest.max_calls == Some(0)),
        ] {
            if is_zero {
                return Err(ManifestError::Zero(key));
            }
        }
        let (min, max) = manifest.workers();
        if max > MOST_WORKERS {
            return Err(ManifestError::TooMany(max));
        }
        if min > max {
            return Err(ManifestError::Workers { min, max });
        }
        if let Some(waits) = manifest.retry.as_ref().filter(|waits| waits.len() > MAX_RETRIES) {
            return Err(ManifestError::Retries(waits.len()));
        }
        if manifest.command.as_ref().is_some_and(Vec::is_empty) {
            return Err(ManifestError::EmptyCommand);
        }
        match manifest.env.keys().find(|name| name.is_empty() || name.contains(['=', '\0'])) {
            Some(name) => Err(ManifestError::Variable(name.clone())),
            None => Ok(manifest),
        }
    }

    /// Workers that are kept warm, and workers at the most.
    pub(super) fn workers(&self) -> (usize, usize) {
        (self.min.unwrap_or(0), self.max.unwrap_or(1))
    }
}

impl ManifestError {
    /// What to try.
    pub(super) fn hint(&self) -> Option<String> {
        let key = match self {
            Self::UnknownKey(key) => key,
            Self::Workers { min, .. } => return Some(format!("raise `max` to {min}, or lower `min`")),
            _ => return None,
        };
        if key == "sandbox" {
            return Some(format!("`{key}` is not supported by this version; remove it"));
        }
        let nearest =
            KEYS.into_iter().max_by(|a, b| strsim::jaro_winkler(a, key).total_cmp(&strsim::jaro_winkler(b, key)))?;
        Some(if strsim::jaro_winkler(nearest, key) > 0.7 {
            format!("did you mean `{nearest}`?")
        } else {
            format!("the keys are {}", KEYS.join(", "))
        })
    }
}

/// A number of seconds, or text such as `5m`.
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a time such as 30, 500ms, 30s, 5m or 1h")
        }

        fn visit_u64<E>(self, seconds: u64) -> Result<String, E> {
            Ok(seconds.to_string())
        }

        fn visit_f64<E>(self, seconds: f64) -> Result<String, E> {
            Ok(seconds.to_string())
        }

        fn visit_str<E>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }
    }
    let text = deserializer.deserialize_any(Text)?;
    parse_duration(&text)
        .map(Some)
        .ok_or_else(|| D::Error::custom(format!("{text:?} is no time; 30, 500ms, 30s, 5m and 1h are some")))
}

/// A list of such times.
fn durations<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<Duration>>, D::Error> {
    #[derive(Deserialize)]
    struct Wait(#[serde(deserialize_with = "duration")] Option<Duration>);
    let waits = Vec::<Wait>::deserialize(deserializer)?;
    Ok(Some(waits.into_iter().filter_map(|Wait(wait)| wait).collect()))
}

fn parse_duration(text: &str) -> Option<Duration> {
    let duration = duration::parse_unsigned(text).ok()?;
    // A call that may take no time never ends well, and one of centuries overflows clocks.
    (Duration::from_millis(1)..=Duration::from_hours(24 * 366)).contains(&duration).then_some(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sidecar_is_read() {
        let manifest = Manifest::parse(
            "description: Reports\nprotocol: json-rpc\ncommand: [python3, main.py]\ntimeout: 5m\nconcurrency: 1\n\
             queue: 3\nidle: 90\nmin: 1\nmax: 2\nmax_calls: 100\nstart: 1m\nenv:\n  MODE: fast\n",
        )
        .expect("a manifest");
        assert_eq!(manifest.timeout, Some(Duration::from_secs(300)));
        assert_eq!(manifest.idle, Some(Duration::from_secs(90)));
        assert_eq!(manifest.command.as_deref(), Some(&["python3".to_owned(), "main.py".to_owned()][..]));
        assert_eq!((manifest.protocol, manifest.concurrency), (Some(Protocol::JsonRpc), Some(1)));
        assert_eq!((manifest.workers(), manifest.max_calls), ((1, 2), Some(100)));
        assert_eq!(manifest.start, Some(Duration::from_secs(60)));
        assert_eq!(manifest.env["MODE"], "fast");
        let schemas = Manifest::parse("input: {type: object, required: [a]}\noutput: false\n").expect("a manifest");
        assert_eq!(schemas.input, Some(serde_json::json!({"type": "object", "required": ["a"]})));
        assert_eq!(schemas.output, Some(Value::Bool(false)));
        let retry = |text| Manifest::parse(text).expect("a manifest").retry;
        let waits = [5_000, 1_800_000, 10].map(Duration::from_millis).to_vec();
        assert_eq!((retry("retry: [5, 30m, 10ms]"), retry("retry: []")), (Some(waits), Some(Vec::new())));
        for empty in ["", "\n# nothing\n"] {
            assert_eq!(Manifest::parse(empty).expect("says nothing"), Manifest::default());
        }
    }

    #[test]
    fn what_is_wrong_is_said_and_what_to_do() {
        let retries = format!("retry: [{}]", ["1s"; 101].join(", "));
        for (text, message, hint) in [
            ("timout: 5", "has an unknown key `timout`", Some("did you mean `timeout`?")),
            (
                "sandbox: {}",
                "has an unknown key `sandbox`",
                Some("`sandbox` is not supported by this version; remove it"),
            ),
            ("concurrency: 0", "sets `concurrency` to 0, which would never run anything", None),
            ("max_calls: 0", "sets `max_calls` to 0, which would never run anything", None),
            ("min: 2", "wants `min` 2 workers, which are more than `max` 1", Some("raise `max` to 2, or lower `min`")),
            ("max: 5000", "has 5000 as `max`, which is more than 1024 processes", None),
            (&retries, "has 101 waits in `retry`, and at most 100 are taken", None),
            ("command: []", "has an empty `command`", None),
            ("env: {a=b: c}", "has \"a=b\" in `env`, which is no name of a variable", None),
        ] {
            let error = Manifest::parse(text).expect_err(text);
            assert_eq!((error.to_string().as_str(), error.hint().as_deref()), (message, hint), "{text}");
        }
        for text in [
            "timeout: soon",
            "- a",
            "protocol: xml",
            "a: [",
            "timeout: -1",
            "command: python3 x",
            "idle: 0",
            "retry: 5s",
            "retry: [soon]",
            "order_key: customer",
            "order_key: 5",
        ] {
            assert!(matches!(Manifest::parse(text), Err(ManifestError::Yaml(_))), "{text}");
        }
    }

    #[test]
    fn every_key_is_a_known_one() {
        // Those of schemas take any value.
        for key in KEYS.into_iter().filter(|key| !matches!(*key, "input" | "output")) {
            let error = Manifest::parse(&format!("{key}: [[]]")).expect_err(key);
            assert!(matches!(error, ManifestError::Yaml(_)), "{key}: {error}");
        }
    }
}
