//! The bounds of everything, in one table: name, unit, default, most, and why.

use std::path::Path;
use std::time::Duration;

use serde::Deserialize;

use super::{ConfigError, duration};

/// Declares each limit once: as a field of [`Limits`], as a key of `limits:` and with its bounds.
macro_rules! limits {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $default:expr, at most $most:expr, as $parse:ident;)*) => {
        /// Every bound that the owner may change. All are above zero.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct Limits { $($(#[$doc])* pub $name: $type,)* }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($name: $default,)* }
            }
        }

        /// `limits:` as it is written.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub(super) struct LimitsFile { $($name: Option<String>,)* }

        impl Limits {
            pub(super) fn resolve(file: LimitsFile, path: &Path) -> Result<Self, ConfigError> {
                let mut limits = Self::default();
                $(if let Some(text) = file.$name {
                    limits.$name = $parse(&text).and_then(|value| within(value, $most)).map_err(|reason| {
                        ConfigError::Invalid { path: path.to_owned(), key: concat!("limits.", stringify!($name)), value: text, reason }
                    })?;
                })*
                Ok(limits)
            }
        }
    };
}

limits! {
    /// Bytes of a frame before authentication: a token, a public key and a proof fit several times, and
    /// a stranger gets no more of our memory.
    frame_before_authentication: usize = 64 * KIB, at most MIB, as bytes;
    /// Bytes of a frame after authentication: inputs, results and batches of publications.
    frame: usize = 8 * MIB, at most GIB, as bytes;
    /// Connections that have not authenticated yet. Times the bytes above, what strangers can cost.
    unauthenticated_connections: usize = 256, at most 65_536, as count;
    /// Connections from one source (an IPv4 address, or 64 bits of IPv6), authenticated or not. Enough for a rack behind
    /// one address, and a small part of the descriptors that a service usually has.
    connections_per_address: usize = 512, at most 65_536, as count;
    /// New connections a second from one source in the long run: each may cost a handshake, some tenths of a
    /// millisecond of a core.
    connections_per_second_per_address: u32 = 50, at most 1_000_000, as count;
    /// New connections from one source at once before the rate above binds: a rack that comes back after a power cut.
    connection_burst_per_address: u32 = 1_000, at most 1_000_000, as count;
    /// The longest that a source is shut out after failed handshakes. It starts at a second and doubles with each
    /// further failure; 90 seconds is what sshd takes for its worst case.
    penalty: Duration = Duration::from_secs(90), at most DAY, as time;
    /// Sessions that one token has open: a token that leaked cannot take every place.
    sessions_per_token: usize = 256, at most 65_536, as count;
    /// From accepting a connection until it must have authenticated; enough for a bad satellite link.
    handshake: Duration = Duration::from_secs(10), at most MINUTE * 5, as time;
    /// How long a peer may be silent before it is asked whether it is there; after three times as long the session is
    /// given up, and dialled anew. Six to eight seconds: whatever ends a connection without a word, what is published
    /// comes again within ten.
    ping: Duration = Duration::from_secs(2), at most MINUTE * 60, as time;
    /// The longest pause before a peer that could not be reached is tried again: short enough that a network which is
    /// back is noticed within ten seconds, and no burden for one that is away for a week.
    reconnect: Duration = Duration::from_secs(5), at most DAY, as time;
    /// A call to an action of this instance, from request to result.
    local_call: Duration = Duration::from_secs(60), at most DAY * 30, as time;
    /// A call to an action of a peer; shorter, since the network adds ways to hang.
    remote_call: Duration = Duration::from_secs(30), at most DAY * 30, as time;
    /// Calls under way in one session; more are refused as busy.
    calls_per_session: usize = 1_024, at most 1_048_576, as count;
    /// Calls waiting for a worker of one action; more are refused as busy.
    queued_calls_per_action: usize = 256, at most 1_048_576, as count;
    /// A worker of a plugin, from its start until it has loaded the user's code: Python on a slow disk, with all that it
    /// imports. A sidecar can say otherwise.
    plugin_start: Duration = Duration::from_secs(20), at most MINUTE * 60, as time;
    /// What a plugin may take to end: a call that was cancelled, and each step of stopping a process.
    plugin_grace: Duration = Duration::from_secs(2), at most MINUTE * 10, as time;
    /// How long publications are kept for subscribers that are away: a week covers a long weekend.
    retention: Duration = DAY.saturating_mul(7), at most DAY * 36_500, as time;
    /// Bytes of publications kept for one action; whichever of the two is reached first counts.
    retention_bytes: u64 = GIB as u64, at most 1 << 50, as bytes;
    /// Publications that wait for the receiver of one subscription. Beyond that the publisher keeps the rest, within its
    /// own retention.
    inbox: u64 = 1_000_000, at most 1 << 40, as count;
    /// Bytes of such publications; whichever of the two is reached first counts. As much as a publisher keeps.
    inbox_bytes: u64 = GIB as u64, at most 1 << 50, as bytes;
    /// What receivers did with publications that came, for `trace`, for as long as publications are kept; whichever of the
    /// two is reached first counts. Some 300 bytes each.
    outcomes: u64 = 100_000, at most 1_000_000_000, as count;
    /// Publications that cause publications: a loop stops after this many hops.
    hops: u32 = 16, at most 255, as count;
    /// What is under way when the service stops may take this long to finish.
    shutdown: Duration = Duration::from_secs(30), at most MINUTE * 60, as time;
    /// Calls a second that one token may make in the long run.
    calls_per_second: u32 = 1_000, at most 10_000_000, as count;
    /// Calls that one token may make at once before the rate above binds: two seconds' worth.
    burst: u32 = 2_000, at most 10_000_000, as count;
    /// Jobs that are not done, of this instance itself or of one token; more are refused as busy.
    jobs: u64 = 1_000, at most 1_000_000, as count;
    /// How long the outcome of a job is kept, and with it its key: a week covers a long weekend.
    job_retention: Duration = DAY.saturating_mul(7), at most DAY * 36_500, as time;
    /// Outcomes that are kept, of this instance itself or of one token; whichever of the three is reached first counts.
    job_retention_count: u64 = 1_000, at most 1_000_000, as count;
    /// Bytes of outcomes that are kept, and of inputs that wait, of this instance itself or of one token.
    job_retention_bytes: u64 = GIB as u64, at most 1 << 50, as bytes;
    /// How long a job waits to begin, and how long a peer that cannot be reached is asked what became of one, unless
    /// whoever started it has said: a day is enough to notice and repair.
    job_patience: Duration = DAY, at most DAY * 366, as time;
    /// Bytes of the disk that are kept for what was accepted: when no more are left, nothing new is accepted. Room for a
    /// write-ahead log as long as it gets, and for years of cursors. Of a small disk a sixteenth is kept.
    disk_reserve: u64 = 64 * MIB as u64, at most 1 << 40, as bytes;
    /// How long the audit is kept: a quarter, in which most break-ins are found.
    audit: Duration = DAY.saturating_mul(90), at most DAY * 36_500, as time;
    /// Entries of the audit; whichever of the two is reached first counts. Some 200 bytes each.
    audit_entries: u64 = 1_000_000, at most 1_000_000_000, as count;
}

fn within<T: PartialOrd + Default + Shown>(value: T, most: T) -> Result<T, String> {
    if value <= T::default() {
        Err("it must be above zero".to_owned())
    } else if value > most {
        Err(format!("it must be at most {}", most.shown()))
    } else {
        Ok(value)
    }
}

fn count<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let number: u64 = text.parse().map_err(|_| "it must be a whole number".to_owned())?;
    T::try_from(number).map_err(|_| "the number is too large".to_owned())
}

fn bytes<T: TryFrom<u64>>(text: &str) -> Result<T, String> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit.trim_start_matches(' ') {
        "" | "B" => 1,
        "KiB" => KIB as u64,
        "MiB" => MIB as u64,
        "GiB" => GIB as u64,
        _ => return Err("it must be bytes, such as 65536, 64 KiB, 8 MiB or 1 GiB".to_owned()),
    };
    let number: u64 = count(number)?;
    let number = number.checked_mul(factor).ok_or_else(|| "the number is too large".to_owned())?;
    T::try_from(number).map_err(|_| "the number is too large".to_owned())
}

fn time(text: &str) -> Result<Duration, String> {
    duration::parse_unsigned(text)
        .map_err(|_| "it must be a length of time, such as 30 (seconds), 500ms, 5m, 1.5h or 7d".to_owned())
}

trait Shown {
    fn shown(&self) -> String;
}

impl Shown for Duration {
    fn shown(&self) -> String {
        format!("{} seconds", self.as_secs())
    }
}

impl Shown for usize {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for u64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for u32 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;
const GIB: usize = 1 << 30;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(yaml: &str) -> Result<Limits, String> {
        let file: LimitsFile = serde_saphyr::from_str(yaml).expect("YAML");
        Limits::resolve(file, Path::new("config.yml")).map_err(|error| error.to_string())
    }

    #[test]
    fn limits_are_read_with_their_units() {
        let limits = resolve("{frame: 16 MiB, handshake: 2, remote_call: 250ms, hops: 3}").expect("valid");
        assert_eq!(limits.frame, 16 << 20);
        assert_eq!(limits.handshake, Duration::from_secs(2));
        assert_eq!(limits.remote_call, Duration::from_millis(250));
        assert_eq!(limits.hops, 3);
        assert_eq!(limits.burst, Limits::default().burst);
    }

    #[test]
    fn limits_outside_their_bounds_are_refused() {
        for (yaml, why) in [
            ("hops: 0", "`limits.hops` is `0`, but it must be above zero"),
            ("hops: 256", "it must be at most 255"),
            ("hops: -1", "it must be a whole number"),
            ("hops: 99999999999", "too large"),
            ("handshake: 0", "above zero"),
            ("handshake: 1d", "at most 300 seconds"),
            ("handshake: soon", "length of time"),
            ("frame: 8 MB", "it must be bytes"),
            ("frame: 99999999999 GiB", "too large"),
            ("frame: 2 GiB", "at most 1073741824"),
        ] {
            let error = resolve(&format!("{{{yaml}}}")).expect_err(yaml);
            assert!(error.contains(why), "{yaml}: {error}");
        }
    }
}
