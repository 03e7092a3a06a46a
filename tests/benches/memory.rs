//! What a daemon holds.

use std::time::Duration;

use coattail::rpc::Session;
use coattail::wire::control::Status;
use tokio::task::JoinSet;

use crate::effort::Effort;
use crate::load::{client, control, unlimited};
use crate::peer::Dialer;
use crate::process::{Usage, used};
use crate::report::{Cell, Row, Section};

/// Handshakes at once: fewer than a daemon lets wait.
const HANDSHAKES: usize = 32;

pub(crate) fn measure(effort: &Effort) -> Section {
    let rounds: Vec<Vec<Usage>> = (0..effort.rounds.min(3)).map(|_| client(held(effort.sessions))).collect();
    let row = |what: String, usage: &dyn Fn(&[Usage]) -> Usage| Row {
        what,
        cells: vec![
            Cell::bytes(rounds.iter().map(|round| usage(round).resident)),
            Cell::bytes(rounds.iter().map(|round| usage(round).anonymous)),
        ],
    };
    let mut rows: Vec<Row> = (effort.sessions.iter().enumerate())
        .map(|(at, sessions)| row(format!("{sessions} sessions"), &move |round: &[Usage]| round[at]))
        .collect();
    let most = effort.sessions.last().copied().unwrap_or_default();
    rows.push(row(format!("each of {most} sessions"), &move |round: &[Usage]| {
        let (first, last) = (round[0], round[round.len() - 1]);
        let each = |first: f64, last: f64| (last - first) / most as f64;
        Usage { resident: each(first.resident, last.resident), anonymous: each(first.anonymous, last.anonymous) }
    }));
    Section {
        note: "The process of a fresh daemon, without workers, after so many peers, each with a key of its own, have \
               opened a TLS session and authenticated; the sessions are idle. Resident counts the pages of the program \
               file, anonymous does not. Three daemons."
            .to_owned(),
        columns: &["resident", "anonymous"],
        rows,
    }
}

/// What a fresh daemon holds with so many sessions, one number after the other.
pub(crate) async fn held(counts: &[usize]) -> Vec<Usage> {
    let instance = unlimited("memory");
    let dialer = Dialer::new(&instance);
    let status = control(&instance).await;
    let (mut usage, mut open) = (Vec::new(), Vec::new());
    for &sessions in counts {
        while open.len() < sessions {
            let batch: JoinSet<Session> = (open.len()..sessions)
                .take(HANDSHAKES)
                .map(|_| {
                    let dialer = dialer.clone();
                    async move { dialer.dial().await }
                })
                .collect();
            open.extend(batch.join_all().await);
        }
        while status.call(&Status {}).await.expect("the service runs").sessions < sessions as u64 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        usage.push(used(&instance.pid().to_string()));
    }
    assert!(open.iter().all(|session| !session.is_closed()), "every session is still open");
    usage
}
