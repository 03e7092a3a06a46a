//! From what is written to what holds: defaults filled in, everything checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use coattail::address::PeerAddress;
use coattail::secret::Secret;

use super::file::{ConfigFile, FILE, KeyFile, KeyPairFile, STRING};
use super::limits::Limits;
use super::retry::RetrySchedule;
use super::{Authentication, ConfigError, duration};
use crate::keys::SharedSecret;

/// The settings of an instance. Every path is absolute if the folder of the instance is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// The folder of actions.
    pub actions: PathBuf,
    /// The folder of receivers.
    pub receivers: PathBuf,
    /// Key and certificate, if TLS is on.
    pub tls: Option<TlsFiles>,
    /// The address to listen on.
    pub bind: IpAddr,
    /// The port to listen on; 0 lets the system choose, and [`advertised`](Self::advertised) needs the real one.
    pub port: u16,
    /// The host under which peers reach this instance.
    pub connection: String,
    /// More addresses for tokens, after the one made of `connection` and the port.
    pub addresses: Vec<PeerAddress>,
    /// Where a service in the background writes its log.
    pub log: PathBuf,
    /// What signs tokens.
    pub authentication: Authentication,
    /// The pair that is the identity.
    pub validation: KeyFiles,
    /// The database.
    pub database: PathBuf,
    /// Programs that run plugins.
    pub runtimes: Runtimes,
    /// When a receiver that failed is tried again.
    pub receiver_retry: RetrySchedule,
    /// The bounds of everything else.
    pub limits: Limits,
}

/// Where the TLS key pair is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The private key.
    pub key: PathBuf,
    /// The certificate.
    pub cert: PathBuf,
}

/// Where a key pair is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyFiles {
    /// The private key.
    pub private: PathBuf,
    /// The public key.
    pub public: PathBuf,
}

/// Programs that run plugins; what is absent is looked for on the `PATH`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runtimes {
    /// Runs `.js`, `.cjs` and `.mjs`.
    pub node: Option<PathBuf>,
    /// Runs `.py`.
    pub python: Option<PathBuf>,
    /// Runs `.sh`.
    pub sh: Option<PathBuf>,
}

impl Config {
    /// Reads and checks the `config.yml` in the folder of an instance.
    pub fn load(root: &Path) -> Result<Self, ConfigError> {
        let path = root.join(CONFIG_FILE);
        Self::resolve(ConfigFile::read(&path)?, root)
    }

    /// Fills in defaults and checks everything. Relative paths start at `root`, wherever the process runs.
    pub fn resolve(file: ConfigFile, root: &Path) -> Result<Self, ConfigError> {
        let check = Check { path: root.join(CONFIG_FILE), root };
        let at = |text: Option<String>, default: &str| root.join(text.as_deref().unwrap_or(default));

        // `paths.root` named the instance in the original. It is where the file is, so it must agree.
        if let Some(text) = &file.paths.root
            && !same_folder(&root.join(text), root)
        {
            return Err(check.invalid("paths.root", text, "this file is in another folder"));
        }
        // Read for the original's sake: sessions here are named by UUIDs.
        if let Some(text) = &file.service.session_id_factory
            && !["uuid", "incremental"].contains(&text.as_str())
        {
            return Err(check.invalid("service.session_id_factory", text, "it must be uuid or incremental"));
        }
        if let Some(text) = &file.data.client
            && text != "sqlite3"
        {
            return Err(check.invalid("data.client", text, "only sqlite3 is supported"));
        }

        let tls = file.service.tls;
        let network = file.service.network;
        Ok(Self {
            actions: at(file.paths.actions, "actions"),
            receivers: at(file.paths.receivers, "receivers"),
            tls: tls
                .enabled
                .unwrap_or(true)
                .then(|| TlsFiles { key: at(tls.key, "keys/tls-key.pem"), cert: at(tls.cert, "keys/tls-cert.pem") }),
            bind: check.bind(network.address.bind)?,
            port: check.port(network.port)?,
            connection: check.connection(network.address.connection)?,
            addresses: check.addresses(network.address.addresses)?,
            log: at(file.service.log, "service.log"),
            authentication: check.authentication(&file.authentication)?,
            validation: check.validation(&file.validation)?,
            database: at(file.data.connection.filename, "data.db"),
            runtimes: Runtimes {
                node: file.runtimes.node.map(|text| check.program(&text)),
                python: file.runtimes.python.map(|text| check.program(&text)),
                sh: file.runtimes.sh.map(|text| check.program(&text)),
            },
            receiver_retry: check.retry(file.receivers.retry)?,
            limits: Limits::resolve(file.limits, &check.path)?,
        })
    }

    /// The addresses for new tokens, in the order in which to try them. `port` is the one that is listened
    /// on, which differs from the configured one if that is 0.
    pub fn advertised(&self, port: u16) -> Vec<PeerAddress> {
        let first = PeerAddress { host: self.connection.clone(), port, tls: self.tls.is_some() };
        let mut addresses = vec![first];
        addresses
            .extend(self.addresses.iter().filter(|address| **address != addresses[0]).cloned().collect::<Vec<_>>());
        addresses
    }
}

struct Check<'a> {
    path: PathBuf,
    root: &'a Path,
}

impl Check<'_> {
    fn bind(&self, text: Option<String>) -> Result<IpAddr, ConfigError> {
        let Some(text) = text else { return Ok(DEFAULT_ADDRESS) };
        let reason = "it must be an IP address, such as 127.0.0.1 or 0.0.0.0";
        text.parse().map_err(|_| self.invalid("service.network.address.bind", &text, reason))
    }

    fn port(&self, text: Option<String>) -> Result<u16, ConfigError> {
        let Some(text) = text else { return Ok(DEFAULT_PORT) };
        text.parse().map_err(|_| self.invalid("service.network.port", &text, "it must be from 0 to 65535"))
    }

    fn connection(&self, text: Option<String>) -> Result<String, ConfigError> {
        let text = text.unwrap_or_else(|| DEFAULT_ADDRESS.to_string());
        let key = "service.network.address.connection";
        if text.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified()) {
            return Err(self.invalid(key, &text, "peers need an address that they can reach"));
        }
        // A host is right if an address made of it can be read again; only IPv6 has colons.
        let address = PeerAddress { host: text.clone(), port: 1, tls: false };
        let is_host =
            address.to_string().parse() == Ok(address) && (!text.contains(':') || text.parse::<Ipv6Addr>().is_ok());
        if is_host {
            Ok(text)
        } else {
            Err(self.invalid(key, &text, "it must be a host name or an IP address, without a port"))
        }
    }

    fn addresses(&self, texts: Vec<String>) -> Result<Vec<PeerAddress>, ConfigError> {
        let key = "service.network.address.addresses";
        if texts.len() > MAX_ADDRESSES {
            let reason = format!("at most {MAX_ADDRESSES} addresses fit into a token");
            return Err(self.invalid(key, &texts.len().to_string(), reason));
        }
        let parse = |text: String| {
            text.parse().map_err(|_| self.invalid(key, &text, "an address looks like net:example.org:443~tls"))
        };
        texts.into_iter().map(parse).collect()
    }

    fn authentication(&self, file: &KeyPairFile) -> Result<Authentication, ConfigError> {
        let names = &AUTHENTICATION;
        let secret = |reason, key| ConfigError::Secret { path: self.path.clone(), key, reason };
        let (private, public) = (&file.private_key, &file.public_key);
        if private.kind.as_deref() != Some(STRING) {
            if public.kind.as_deref() == Some(STRING) {
                return Err(secret("the private half is a file", names.public_key));
            }
            return Ok(Authentication::Files(self.files(file, names)?));
        }
        let text = private.value.as_ref().map_or("", Secret::reveal);
        let signing = SharedSecret::new(text).map_err(|_| secret("its `value` is empty", names.private_key))?;
        // The original needs the secret twice, which tells nothing new.
        match public.kind.as_deref() {
            None if public.value.is_none() => {}
            Some(STRING)
                if SharedSecret::new(public.value.as_ref().map_or("", Secret::reveal)).ok().as_ref()
                    == Some(&signing) => {}
            Some(STRING) => return Err(secret("the private half has another value", names.public_key)),
            _ => return Err(secret("the public half is a file", names.private_key)),
        }
        Ok(Authentication::Secret(signing))
    }

    fn validation(&self, file: &KeyPairFile) -> Result<KeyFiles, ConfigError> {
        let names = &VALIDATION;
        for (half, key) in [(&file.private_key, names.private_key), (&file.public_key, names.public_key)] {
            if half.kind.as_deref() == Some(STRING) {
                return Err(ConfigError::SecretIdentity { path: self.path.clone(), key });
            }
        }
        self.files(file, names)
    }

    fn files(&self, file: &KeyPairFile, names: &KeyNames) -> Result<KeyFiles, ConfigError> {
        let at = |file: &KeyFile, key: &'static str, default: &str| match file.kind.as_deref() {
            None | Some(FILE) => Ok(self.root.join(file.value.as_ref().map_or(default, Secret::reveal))),
            Some(other) => Err(self.invalid(key, other, "its `type` must be file or string")),
        };
        Ok(KeyFiles {
            private: at(&file.private_key, names.private_key, names.private_file)?,
            public: at(&file.public_key, names.public_key, names.public_file)?,
        })
    }

    /// A bare name is looked up on the `PATH`, everything else is a path.
    fn program(&self, text: &str) -> PathBuf {
        if text.contains('/') { self.root.join(text) } else { PathBuf::from(text) }
    }

    fn retry(&self, texts: Option<Vec<String>>) -> Result<RetrySchedule, ConfigError> {
        let Some(texts) = texts else { return Ok(RetrySchedule::receivers()) };
        let key = "receivers.retry";
        if texts.len() > MAX_RETRIES {
            return Err(self.invalid(key, &texts.len().to_string(), format!("at most {MAX_RETRIES} waits are taken")));
        }
        let parse = |text: String| {
            duration::parse_unsigned(&text).map_err(|_| self.invalid(key, &text, "a wait looks like 5s, 30m or 2h"))
        };
        texts.into_iter().map(parse).collect::<Result<_, _>>().map(RetrySchedule::list)
    }

    fn invalid(&self, key: &'static str, value: &str, reason: impl Into<String>) -> ConfigError {
        ConfigError::Invalid { path: self.path.clone(), key, value: value.to_owned(), reason: reason.into() }
    }
}

fn same_folder(a: &Path, b: &Path) -> bool {
    a == b || a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

struct KeyNames {
    private_key: &'static str,
    private_file: &'static str,
    public_key: &'static str,
    public_file: &'static str,
}

const AUTHENTICATION: KeyNames = KeyNames {
    private_key: "authentication.private_key",
    private_file: "keys/auth-key.pem",
    public_key: "authentication.public_key",
    public_file: "keys/auth-key.pub",
};

const VALIDATION: KeyNames = KeyNames {
    private_key: "validation.private_key",
    private_file: "keys/vt-key.pem",
    public_key: "validation.public_key",
    public_file: "keys/vt-key.pub",
};

/// The name of the file, in the folder of the instance.
pub const CONFIG_FILE: &str = "config.yml";

/// The port of the original.
pub const DEFAULT_PORT: u16 = 49365;

/// Only this machine, until the owner decides otherwise; as in the original.
pub const DEFAULT_ADDRESS: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Addresses in the configuration: each costs whoever dials in vain a time-out.
pub const MAX_ADDRESSES: usize = 15;

/// Waits in a schedule; with more, nobody can say when it ends.
pub const MAX_RETRIES: usize = 100;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::config::template::NewConfig;

    fn resolve(text: &str) -> Result<Config, ConfigError> {
        let root = Path::new("/srv/my instance #1");
        ConfigFile::parse(text, &root.join(CONFIG_FILE)).and_then(|file| Config::resolve(file, root))
    }

    #[test]
    fn the_generated_file_means_the_defaults() {
        assert_eq!(resolve(&NewConfig::default().render()).expect("valid"), resolve("").expect("valid"));
    }

    #[test]
    fn c15_paths_start_at_the_instance_whatever_its_name() {
        let config = resolve("data: {connection: {filename: /var/x.db}}\nservice: {log: ../log}").expect("valid");
        assert_eq!(config.actions, Path::new("/srv/my instance #1/actions"));
        assert_eq!(config.validation.private, Path::new("/srv/my instance #1/keys/vt-key.pem"));
        assert_eq!(config.database, Path::new("/var/x.db"));
        assert_eq!(config.log, Path::new("/srv/my instance #1/../log"));
    }

    #[test]
    fn a_new_instance_can_have_another_port_and_address() {
        let new =
            NewConfig { port: Some(0), bind: Some("::".parse().expect("IP")), connection: Some("h.example".into()) };
        let config = resolve(&new.render()).expect("valid");
        assert_eq!(
            (config.port, config.bind.to_string(), config.connection.as_str()),
            (0, "::".to_owned(), "h.example")
        );
        assert_eq!(config.advertised(4711), ["net:h.example:4711~tls".parse().expect("address")]);
        assert!(
            resolve(&NewConfig { bind: Some("0.0.0.0".parse().expect("IP")), ..NewConfig::default() }.render()).is_ok()
        );
        let quoted = NewConfig { connection: Some("x\"\n  bind: \"0.0.0.0".to_owned()), ..NewConfig::default() };
        assert!(matches!(resolve(&quoted.render()), Err(ConfigError::Invalid { .. })));
    }

    #[test]
    fn tokens_name_every_address_once() {
        let text =
            "service: {tls: {enabled: false}, network: {address: {addresses: ['net:127.0.0.1:1', 'net:[::1]:2~tls']}}}";
        let config = resolve(text).expect("valid");
        let advertised: Vec<_> = config.advertised(1).iter().map(ToString::to_string).collect();
        assert_eq!(advertised, ["net:127.0.0.1:1", "net:[::1]:2~tls"]);
        assert_eq!(config.tls, None);
    }

    #[test]
    fn the_schedule_of_receivers_can_be_set() {
        let config = resolve("receivers: {retry: [10ms, 2]}").expect("valid");
        let waits = vec![Duration::from_millis(10), Duration::from_secs(2)];
        assert_eq!(config.receiver_retry, RetrySchedule::list(waits));
        assert_eq!(resolve("receivers: {retry: []}").expect("valid").receiver_retry.delay(1, None, 0.5), None);
    }

    #[test]
    fn what_cannot_hold_is_refused_by_its_key() {
        for (text, key) in [
            ("service: {network: {port: 65536}}", "service.network.port"),
            ("service: {network: {port: -1}}", "service.network.port"),
            ("service: {network: {port: http}}", "service.network.port"),
            ("service: {network: {address: {bind: localhost}}}", "service.network.address.bind"),
            ("service: {network: {address: {connection: 0.0.0.0}}}", "service.network.address.connection"),
            ("service: {network: {address: {connection: 'a:1'}}}", "service.network.address.connection"),
            ("service: {network: {address: {connection: ''}}}", "service.network.address.connection"),
            ("service: {network: {address: {addresses: [h]}}}", "service.network.address.addresses"),
            ("service: {session_id_factory: dice}", "service.session_id_factory"),
            ("data: {client: pg}", "data.client"),
            ("paths: {root: /srv/other}", "paths.root"),
            ("validation: {private_key: {type: hsm}}", "validation.private_key"),
            ("receivers: {retry: [1h30m]}", "receivers.retry"),
            ("limits: {hops: 0}", "limits.hops"),
        ] {
            let error = resolve(text).expect_err(text);
            assert!(error.to_string().contains(&format!("`{key}`")), "{text}: {error}");
            assert!(error.hint().is_some());
        }
    }

    #[test]
    fn s10_a_shared_secret_is_no_identity() {
        for half in ["private_key", "public_key"] {
            let text = format!("validation: {{{half}: {{type: string, value: hunter2}}}}");
            let error = resolve(&text).expect_err(&text);
            assert!(matches!(error, ConfigError::SecretIdentity { .. }));
            assert!(error.to_string().contains("given away with every validation token"), "{error}");
            assert!(error.hint().is_some_and(|hint| hint.contains("openssl genpkey -algorithm ed25519")));
            assert!(!format!("{error:?} {error}").contains("hunter2"));
        }
    }

    #[test]
    fn a_shared_secret_may_sign_tokens() {
        let secret = Authentication::Secret(SharedSecret::new("hunter2").expect("a secret"));
        let private = "private_key: {type: string, value: hunter2}";
        for public in ["", ", public_key: {type: string, value: hunter2}"] {
            let config = resolve(&format!("authentication: {{{private}{public}}}")).expect("valid");
            assert_eq!(config.authentication, secret);
            assert!(!format!("{config:?}").contains("hunter2"));
        }
        for (text, reason) in [
            (format!("{private}, public_key: {{type: string, value: hunter3}}"), "the private half has another value"),
            (format!("{private}, public_key: {{type: string}}"), "the private half has another value"),
            (format!("{private}, public_key: {{type: file, value: k}}"), "the public half is a file"),
            ("public_key: {type: string, value: hunter2}".to_owned(), "the private half is a file"),
            ("private_key: {type: string}".to_owned(), "its `value` is empty"),
            ("private_key: {type: string, value: ''}".to_owned(), "its `value` is empty"),
        ] {
            let error = resolve(&format!("authentication: {{{text}}}")).expect_err(&text);
            assert!(error.to_string().ends_with(reason), "{text}: {error}");
            assert!(!format!("{error:?} {error}").contains("hunter"));
        }
    }
}
