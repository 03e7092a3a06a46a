//! A way between two instances that can be cut.

use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Passes bytes on to a port of this machine, until the connections are cut; new ones can be made then.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    open: Arc<Mutex<Vec<TcpStream>>>,
}

impl Proxy {
    /// One to this port.
    ///
    /// # Panics
    /// If the system has no port left.
    pub fn to(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let proxy = Self { port: listener.local_addr().expect("it is bound").port(), open: Arc::default() };
        let open = proxy.open.clone();
        // It ends with the process.
        thread::spawn(move || {
            for from in listener.incoming().map_while(Result::ok) {
                if let Ok(to) = TcpStream::connect(("127.0.0.1", port)) {
                    pass_on(&open, &from, &to);
                    pass_on(&open, &to, &from);
                }
            }
        });
        proxy
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends every connection through it; returns how many streams those were.
    pub fn cut(&self) -> usize {
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        // One that has ended is not open any more.
        open.iter().filter(|stream| stream.shutdown(Shutdown::Both).is_ok()).count()
    }
}

fn pass_on(open: &Mutex<Vec<TcpStream>>, from: &TcpStream, to: &TcpStream) {
    let clone = |stream: &TcpStream| stream.try_clone().expect("a second handle");
    open.lock().unwrap_or_else(PoisonError::into_inner).push(clone(from));
    let (mut from, mut to) = (clone(from), clone(to));
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(Shutdown::Both);
    });
}
