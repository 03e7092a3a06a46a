//! A NAT with a publisher before it and a subscriber behind it, in network namespaces with addresses of their own; where
//! the machine does not allow that, a proxy that forgets its connections.
#![expect(clippy::disallowed_methods, reason = "namespaces live as long as a process of theirs")]

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use crate::instance::Instance;
use crate::proxy::Proxy;

/// What is between a publisher and a subscriber that nobody can dial.
#[derive(Debug)]
pub enum Nat {
    /// Namespaces, and how often the addresses have changed.
    Real {
        /// Between the two networks.
        router: Namespace,
        /// The home of the publisher.
        wide: Namespace,
        /// That of the subscriber.
        home: Namespace,
    },
    /// A way to the publisher, and none back.
    Proxy(Proxy),
}

/// A network of its own: it is there as long as this.
#[derive(Debug)]
pub struct Namespace(Child);

/// The address of the publisher, and that of the subscriber, which nobody else knows. Kept for documentation, and for
/// private networks.
const PUBLISHER: &str = "198.51.100.10";
const SUBSCRIBER: &str = "10.0.0.2";

impl Nat {
    /// Puts one between two instances whose services do not run yet.
    ///
    /// # Panics
    /// If the instances do not say that they are at 127.0.0.1.
    #[track_caller]
    pub fn between(publisher: &mut Instance, subscriber: &mut Instance) -> Self {
        match Self::real() {
            Ok((router, wide, home)) => {
                for (instance, namespace, address) in [(publisher, &wide, PUBLISHER), (subscriber, &home, SUBSCRIBER)] {
                    instance.reconfigure("bind: \"127.0.0.1\"", "bind: \"0.0.0.0\"");
                    instance.reconfigure("connection: \"127.0.0.1\"", &format!("connection: \"{address}\""));
                    instance.move_into(namespace.entering());
                }
                Self::Real { router, wide, home }
            }
            Err(reason) => {
                eprintln!("LEFT OUT: a NAT with real addresses, since {reason}. A proxy stands in for it.");
                // Nobody answers there.
                subscriber.reconfigure("connection: \"127.0.0.1\"", "connection: \"192.0.2.1\"");
                Self::Proxy(Proxy::before(publisher))
            }
        }
    }

    fn real() -> Result<(Namespace, Namespace, Namespace), String> {
        let router = Namespace::new(&["unshare", "--map-root-user", "--net"])?;
        let beside = |router: &Namespace| {
            let within = [router.entering(), vec!["unshare".to_owned(), "--net".to_owned()]].concat();
            Namespace::new(&within.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let (wide, home) = (beside(&router)?, beside(&router)?);
        router.run(&format!("ip link add wide type veth peer name eth0 netns {}", wide.0.id()))?;
        router.run(&format!("ip link add home type veth peer name eth0 netns {}", home.0.id()))?;
        router.run("ip address add 198.51.100.1/24 dev wide && ip link set wide up")?;
        router.run("ip address add 10.0.0.1/24 dev home && ip link set home up")?;
        wide.run(&format!("ip address add {PUBLISHER}/24 dev eth0 && ip link set eth0 up && ip link set lo up"))?;
        home.run(&format!("ip address add {SUBSCRIBER}/24 dev eth0 && ip link set eth0 up && ip link set lo up"))?;
        home.run("ip route add default via 10.0.0.1")?;
        router.run("echo 1 > /proc/sys/net/ipv4/ip_forward")?;
        // What is answered comes back, and nothing else; what belongs to no connection that it knows is swallowed.
        router.run(
            "nft -f - <<'END'\n\
             table ip nat {\n\
               chain out { type nat hook postrouting priority 100; oifname wide masquerade; }\n\
               chain pass { type filter hook forward priority 0; policy drop;\n\
                 ct state established accept\n\
                 iifname home tcp flags & syn == syn accept\n\
               }\n\
             }\nEND",
        )?;
        Ok((router, wide, home))
    }

    /// The subscriber has another address from now on.
    ///
    /// # Panics
    /// If that cannot be; so does [`forget`](Self::forget).
    #[track_caller]
    pub fn move_subscriber(&self) {
        match self {
            Self::Real { home, .. } => home
                .run(&format!(
                    "ip address del {SUBSCRIBER}/24 dev eth0 && ip address add 10.0.0.77/24 dev eth0 \
                     && ip route add default via 10.0.0.1"
                ))
                .expect("another address"),
            Self::Proxy(proxy) => proxy.forget(),
        }
    }

    /// The NAT forgets its connections and tells nobody, as after a power cut, and has another address outside.
    #[track_caller]
    pub fn forget(&self) {
        match self {
            Self::Real { router, .. } => router
                .run("ip address del 198.51.100.1/24 dev wide && ip address add 198.51.100.2/24 dev wide")
                .expect("another address"),
            Self::Proxy(proxy) => proxy.forget(),
        }
    }

    /// Whether the publisher can reach the subscriber where that says it is.
    ///
    /// # Panics
    /// If nobody can try.
    #[track_caller]
    pub fn lets_in(&self, port: u16) -> bool {
        match self {
            Self::Real { wide, home, .. } => {
                let dial =
                    |host| format!("python3 -c 'import socket; socket.create_connection((\"{host}\", {port}), 1)'");
                home.run(&dial(SUBSCRIBER)).expect("its own address can be reached");
                wide.run(&dial(SUBSCRIBER)).is_ok()
            }
            Self::Proxy(_) => false,
        }
    }
}

impl Namespace {
    fn new(command: &[&str]) -> Result<Self, String> {
        let [program, arguments @ ..] = command else { return Err("there is no command".to_owned()) };
        let mut child = Command::new(program)
            .args(arguments)
            .args(["sh", "-c", "echo there; exec sleep 3600"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("`{program}` cannot be started: {error}"))?;
        let mut line = String::new();
        let read = BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line);
        let namespace = Self(child);
        match read {
            Ok(_) if line == "there\n" => Ok(namespace),
            _ => Err(format!("`{}` is not allowed here", command.join(" "))),
        }
    }

    /// What to put before a command so that it runs in here.
    fn entering(&self) -> Vec<String> {
        let target = self.0.id().to_string();
        ["nsenter", "--target", &target, "--user", "--net", "--preserve-credentials"].map(str::to_owned).to_vec()
    }

    fn run(&self, script: &str) -> Result<(), String> {
        let [program, arguments @ ..] = &self.entering()[..] else { return Err("there is no command".to_owned()) };
        let output = Command::new(program)
            .args(arguments)
            .args(["sh", "-c", &format!("PATH=$PATH:/usr/sbin:/sbin; {script}")])
            .output();
        let output = output.map_err(|error| format!("`{program}` cannot be started: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("`{script}` fails: {}", String::from_utf8_lossy(&output.stderr).trim_end()))
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
