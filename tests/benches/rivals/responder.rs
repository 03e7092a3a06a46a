//! Answers the requests of a NATS subject with what a warm worker returns.

use tokio_util::task::TaskTracker;

use super::child::Child;
use super::nats::Nats;
use super::roles::Player;
use crate::load::client;

/// What requests are sent to.
pub(super) const SUBJECT: &str = "perform";

pub(super) fn start(port: u16, argv: &[String]) -> Player {
    Player::start(&format!("responder {port} {}", argv.join(" ")))
}

#[expect(clippy::print_stdout, reason = "says that it is ready")]
pub(super) fn play(arguments: &[String]) {
    client(async {
        let nats = Nats::connect(arguments[0].parse().expect("a port")).await;
        let child = Child::start(&arguments[1..]).await;
        let mut requests = nats.subscribe(SUBJECT);
        // The server knows of the subscription once it has answered something that came after it.
        let own = nats.own_subject();
        let mut echo = nats.subscribe(&own);
        nats.publish(&own, "", b"");
        echo.recv().await;
        println!("ready");
        let tasks = TaskTracker::new();
        while let Some(request) = requests.recv().await {
            let (nats, child) = (nats.clone(), child.clone());
            tasks.spawn(async move {
                let input = str::from_utf8(&request.payload).expect("JSON");
                let result = child.perform(input).await;
                nats.publish(&request.reply, "", result.get().as_bytes());
            });
        }
    });
}
