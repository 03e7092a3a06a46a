//! A way between two instances, with faults that come and go while it is used.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::libc::linger;
use nix::sys::socket::{setsockopt, sockopt};

use crate::instance::Instance;

/// Passes bytes on to a port of this machine, as its [`Fault`] lets it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

/// What is wrong with the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// Connections are closed, and new ones at once.
    Cut,
    /// Connections are reset, and new ones at once.
    Reset,
    /// Nothing passes, and nobody is told. What is on its way waits, as what is sent again and again does, and new
    /// connections lead nowhere.
    BlackHole,
    /// The same, in one direction only.
    OneWay(Direction),
    /// Everything arrives so much later.
    Delay(Duration),
    /// A byte a second passes in each direction.
    Trickle,
    /// Cut in one second and whole in the next.
    Flapping,
}

/// As seen by whoever dials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the instance behind the proxy.
    There,
    /// From it.
    Back,
}

impl Proxy {
    /// One to this port.
    ///
    /// # Panics
    /// If the system has no port left.
    pub fn to(port: u16) -> Self {
        Self::between(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// One that everybody has to pass who follows the addresses of an instance. Before its service starts.
    ///
    /// # Panics
    /// If the instance says already that it is somewhere else.
    #[track_caller]
    pub fn before(instance: &Instance) -> Self {
        instance.reconfigure("connection: \"127.0.0.1\"", "connection: \"127.0.0.2\"");
        let at = |host: [u8; 4]| SocketAddr::from((host, instance.port()));
        Self::between(at([127, 0, 0, 2]), at([127, 0, 0, 1]))
    }

    /// From one address to another.
    ///
    /// # Panics
    /// If the first cannot be listened at.
    pub fn between(address: SocketAddr, to: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).expect("a port");
        let address = listener.local_addr().expect("it is bound");
        let state = Arc::new(State::new());
        let proxy = Self { address, state: state.clone() };
        // It ends with the process.
        thread::spawn(move || {
            for from in listener.incoming().map_while(Result::ok) {
                let (state, number) = (state.clone(), state.attempts.fetch_add(1, Ordering::SeqCst));
                thread::spawn(move || lead(&state, number, &from, to));
            }
        });
        proxy
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What is wrong from now on, also with the connections that there are.
    pub fn set(&self, fault: Fault) {
        *self.state.lock() = (fault, Instant::now());
        self.state.changed.notify_all();
    }

    /// Ends every connection through it; new ones can be made. Returns how many streams those were.
    pub fn cut(&self) -> usize {
        self.state.cut.store(self.attempts(), Ordering::SeqCst);
        self.state.open.load(Ordering::SeqCst)
    }

    /// From now on nothing passes over the connections that there are, and nobody is told; new ones can be made. As when
    /// a NAT has forgotten them, or one end has another address.
    pub fn forget(&self) {
        self.state.forgotten.store(self.attempts(), Ordering::SeqCst);
    }

    /// How many connections were made, or tried.
    pub fn attempts(&self) -> usize {
        self.state.attempts.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
struct State {
    /// And since when.
    fault: Mutex<(Fault, Instant)>,
    changed: Condvar,
    attempts: AtomicUsize,
    open: AtomicUsize,
    /// Connections with lower numbers are ended.
    cut: AtomicUsize,
    /// Those with lower numbers lead nowhere.
    forgotten: AtomicUsize,
}

impl State {
    fn new() -> Self {
        Self {
            fault: Mutex::new((Fault::None, Instant::now())),
            changed: Condvar::new(),
            attempts: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
            cut: AtomicUsize::new(0),
            forgotten: AtomicUsize::new(0),
        }
    }

    fn lock(&self) -> MutexGuard<'_, (Fault, Instant)> {
        self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is wrong with a connection at this moment.
    fn fault(&self, number: usize) -> Fault {
        if number < self.cut.load(Ordering::SeqCst) {
            return Fault::Cut;
        }
        if number < self.forgotten.load(Ordering::SeqCst) {
            return Fault::BlackHole;
        }
        match *self.lock() {
            (Fault::Flapping, since) if since.elapsed().as_secs() % 2 == 0 => Fault::Cut,
            (Fault::Flapping, _) => Fault::None,
            (fault, _) => fault,
        }
    }

    /// Waits for so long, or until something else is wrong.
    fn pause(&self, most: Duration) {
        let _ = self.changed.wait_timeout(self.lock(), most).unwrap_or_else(PoisonError::into_inner);
    }
}

impl Fault {
    fn holds(self, direction: Direction) -> bool {
        self == Self::BlackHole || self == Self::OneWay(direction)
    }

    /// Whether a connection can be made: that takes packets in both directions.
    fn admits(self) -> bool {
        !self.holds(Direction::There) && !self.holds(Direction::Back)
    }
}

/// Makes the other half of a connection once that is possible, and passes on what comes.
fn lead(state: &Arc<State>, number: usize, mut from: &TcpStream, to: SocketAddr) {
    let (mut first, mut buffer) = (Vec::new(), [0; 4096]);
    from.set_read_timeout(Some(LOOK)).expect("a time");
    while !state.fault(number).admits() {
        match from.read(&mut buffer) {
            // Whoever has given up meanwhile is never heard of.
            Ok(0) => return,
            Ok(count) => first.extend_from_slice(&buffer[..count]),
            Err(error) if is_pause(&error) => {}
            Err(_) => return,
        }
    }
    if state.fault(number) == Fault::Reset {
        reset(from);
        return;
    }
    let Ok(to) = TcpStream::connect(to) else { return };
    let clone = |stream: &TcpStream| stream.try_clone().expect("a second handle");
    let there = Way { number, direction: Direction::There, from: clone(from), to: clone(&to), first };
    let back = Way { number, direction: Direction::Back, from: to, to: clone(from), first: Vec::new() };
    for way in [there, back] {
        let state = state.clone();
        thread::spawn(move || {
            state.open.fetch_add(1, Ordering::SeqCst);
            way.pass(&state);
            state.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// One direction of a connection.
struct Way {
    number: usize,
    direction: Direction,
    from: TcpStream,
    to: TcpStream,
    /// What was read of it already.
    first: Vec<u8>,
}

impl Way {
    fn pass(mut self, state: &State) {
        let mut buffer = vec![0; 16 * 1024];
        // What has come, and when it is to arrive.
        let mut coming = VecDeque::from([(Instant::now(), std::mem::take(&mut self.first))]);
        let mut ended = self.from.set_read_timeout(Some(LOOK)).is_err();
        loop {
            let fault = state.fault(self.number);
            match fault {
                Fault::Cut => break,
                Fault::Reset => {
                    reset(&self.from);
                    reset(&self.to);
                    return;
                }
                fault if fault.holds(self.direction) => {
                    state.pause(LOOK);
                    continue;
                }
                _ => {}
            }
            while let Some((_, bytes)) = coming.pop_front_if(|(at, _)| *at <= Instant::now()) {
                ended |= self.to.write_all(&bytes).is_err();
            }
            if ended && coming.is_empty() {
                break;
            }
            let (most, delay) = match fault {
                Fault::Trickle => (1, Duration::ZERO),
                Fault::Delay(delay) => (buffer.len(), delay),
                _ => (buffer.len(), Duration::ZERO),
            };
            match self.from.read(&mut buffer[..most]) {
                Ok(0) => ended = true,
                Ok(count) => {
                    let last = coming.back().map(|(at, _)| *at);
                    let at = last.into_iter().fold(Instant::now() + delay, Instant::max);
                    coming.push_back((at, buffer[..count].to_vec()));
                    if fault == Fault::Trickle {
                        state.pause(Duration::from_secs(1));
                    }
                }
                Err(error) if is_pause(&error) => {}
                Err(_) => ended = true,
            }
            if ended {
                state.pause(LOOK);
            }
        }
        let _ = self.to.shutdown(Shutdown::Both);
        let _ = self.from.shutdown(Shutdown::Both);
    }
}

/// Has the kernel send a reset when the last handle goes.
fn reset(stream: &TcpStream) {
    let _ = setsockopt(stream, sockopt::Linger, &linger { l_onoff: 1, l_linger: 0 });
}

/// Nothing has come within the time limit of a read.
fn is_pause(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

/// How often to look whether something else is wrong.
const LOOK: Duration = Duration::from_millis(10);
