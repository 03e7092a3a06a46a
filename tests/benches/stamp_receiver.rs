//! A receiver that tells when it was called: sends the time, in nanoseconds since 1970, to the socket that the
//! publication names.

use std::os::unix::net::UnixDatagram;
use std::time::SystemTime;

use coattail::plugin;
use serde_json::Value;

fn main() -> coattail::Result<()> {
    let socket = UnixDatagram::unbound().expect("a socket can be had");
    let socket = std::sync::Arc::new(socket);
    plugin::receiver(move |publication: Value, _: plugin::Context| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("it is after 1970");
        let socket = socket.clone();
        async move {
            let now = u64::try_from(now.as_nanos())?;
            socket.send_to(&now.to_le_bytes(), publication["socket"].as_str().ok_or("no socket")?)?;
            Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
        }
    })
    .serve()
}
