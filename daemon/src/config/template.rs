//! The `config.yml` of a new instance.

use std::net::IpAddr;

use super::resolve::{DEFAULT_ADDRESS, DEFAULT_PORT};

/// What may differ between new instances.
#[derive(Debug, Clone, Default)]
pub struct NewConfig {
    /// Where to listen; 0 lets the system choose at each start.
    pub port: Option<u16>,
    /// The address to listen on.
    pub bind: Option<IpAddr>,
    /// The host under which peers reach this instance.
    pub connection: Option<String>,
}

impl NewConfig {
    /// The text of the file. All paths in it are relative to the instance, so that the name of its folder
    /// does not matter, and the folder can be moved.
    pub fn render(&self) -> String {
        let bind = self.bind.unwrap_or(DEFAULT_ADDRESS);
        let connection = self.connection.clone().unwrap_or_else(|| match bind {
            bind if bind.is_unspecified() => DEFAULT_ADDRESS.to_string(),
            bind => bind.to_string(),
        });
        let port = self.port.unwrap_or(DEFAULT_PORT);
        // A JSON string is a YAML scalar that needs no further quoting.
        let connection = serde_json::Value::String(connection);
        format!(
            r#"# Settings of this Coattail instance. Relative paths start at this folder.
# What is left out has its default.
paths:
  actions: actions
  receivers: receivers

service:
  tls:
    enabled: true
    key: keys/tls-key.pem
    cert: keys/tls-cert.pem
  network:
    address:
      # Where to listen: 0.0.0.0 for every IPv4 network, "::" for IPv6 too.
      bind: "{bind}"
      # Where peers reach this instance: goes into the tokens that it issues.
      connection: {connection}
      # More of the same, tried in order, such as net:example.org:443~tls
      addresses: []
    port: {port}
  log: service.log

# Signs the tokens that this instance issues.
authentication:
  private_key: {{ type: file, value: keys/auth-key.pem }}
  public_key: {{ type: file, value: keys/auth-key.pub }}

# The identity of this instance. Replacing it by hand voids every token; `coattail keys rotate identity` does not.
validation:
  private_key: {{ type: file, value: keys/vt-key.pem }}
  public_key: {{ type: file, value: keys/vt-key.pub }}

data:
  client: sqlite3
  connection:
    filename: data.db

# Programs that run plugins; found on the PATH when not set here. A virtual environment of Python in `.venv`
# comes first.
runtimes:
  # node: /usr/bin/node
  # python: /usr/bin/python3
  # sh: /bin/sh

# Waits before a receiver that failed is tried again; after the last one comes the dead letter.
receivers:
  # retry: [5s, 30s, 5m, 30m, 2h, 5h, 10h]

# limits:
#   remote_call: 30s
#   retention: 7d
"#
        )
    }
}
