//! The tables of goals, one for each kind of work.

use super::goals::COLUMNS;
use super::{catchup, fanout, starts};
use crate::effort::Effort;
use crate::process::is_installed;
use crate::report::{Row, Section};

pub(crate) fn perform(effort: &Effort) -> Section {
    section(PERFORM, super::perform::rows(effort))
}

pub(crate) fn publish(effort: &Effort) -> Section {
    section(PUBLISH, super::publish::rows(effort))
}

pub(crate) fn fan_out(effort: &Effort) -> Section {
    section(FAN_OUT, fanout::rows(effort))
}

pub(crate) fn delivery(effort: &Effort) -> Section {
    section(DELIVERY, [starts::rows(effort), catchup::rows(effort)].concat())
}

pub(crate) fn scale(effort: &Effort) -> Section {
    section(SCALE, super::scale::rows(effort))
}

pub(crate) fn commands(effort: &Effort) -> Section {
    section(COMMANDS, super::commands::rows(effort))
}

fn section(note: &str, rows: Vec<Row>) -> Section {
    let left_out: Vec<&str> = ["nats-server", "mosquitto"].into_iter().filter(|other| !is_installed(other)).collect();
    let absent = match &left_out[..] {
        [] => String::new(),
        names => format!(" Left out, since not installed: {}.", names.join(", ")),
    };
    Section { note: format!("{note}{absent}"), columns: COLUMNS, rows }
}

const PERFORM: &str = "Ours: client → TLS → daemon → worker. The other: NATS request and reply, client → TLS → \
    `nats-server` → TLS → a process that answers with what the same child returns. The floor: client → TLS → a bare \
    program → the same child.";

const PUBLISH: &str = "Ours is signed, in the database, and `fsync` has returned. JetStream stores in files and calls \
    `fsync` every two minutes, as it comes, unless the row says `always`, which versions before 2.10 do not know and which
    is then left out; Mosquitto has persistence, saved each second. \
    The floor: TLS, a line, SQLite with `synchronous=FULL` and one commit for all that wait.";

const FAN_OUT: &str = "From the first publication, 256 at once over TLS, until all subscriptions have stored the last \
    one. Ours are at up to four instances, which call `fsync` before they answer; they are paused there, so that no \
    receiver runs. Each of Mosquitto is a session of its own, QoS 1; each of JetStream is a durable consumer, pulled \
    over four connections, 256 at a time, one acknowledgement a batch. Neither of those stores anything at the \
    subscriber. CPU time is that of the processes of one side, for each delivery.";

const DELIVERY: &str = "Receiver starts: as under *Delivery*, one subscription. Catch-up: from the start of the \
    subscriber's process until it has all on disk; JetStream: a new consumer pulls all, 512 at a time, one \
    acknowledgement a batch, and stores nothing.";

const SCALE: &str = "What those cost who do nothing. Memory is `Rss` of `smaps_rollup`, which counts the pages of the \
    program file. Subscribers in numbers are rows in the database, each with an identity of its own.";

const COMMANDS: &str = "Whole processes, from `fork` to their end; services, to the line that says that they are ready. \
    Memory as above.";
