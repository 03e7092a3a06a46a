use std::net::SocketAddr;
use std::path::Path;

use coattail::address::PeerAddress;
use coattail::wire::doctor::Finding;

use super::finding::Area;
use crate::config::Config;
use crate::instance::Instance;
use crate::transport::Listener;

const AREA: Area = Area("port");

/// Whether the service listens, or could.
pub(super) fn check(folder: &Path, config: &Config, serving: Option<&PeerAddress>) -> Option<Finding> {
    let address = SocketAddr::new(config.bind, config.port);
    if let Some(serving) = serving {
        let moved = config.port != 0 && config.port != serving.port;
        return Some(if moved {
            let message = format!("the service listens at {serving}, and config.yml says {}", config.port);
            AREA.warning(address, message, "start the service anew")
        } else {
            AREA.ok(address, format!("the service listens; peers are told {serving}"))
        });
    }
    // Somebody else's service of this very instance, which did not answer.
    if Instance::open(folder).ok()?.holder().is_some_and(|holder| holder.what == "service") {
        return None;
    }
    // Bound for a moment only, and closed again before anybody could connect.
    Some(match Listener::bind(address, None) {
        Ok(_) => AREA.ok(address, "is free; the service is not running"),
        Err(error) => AREA.failed(address, error),
    })
}
