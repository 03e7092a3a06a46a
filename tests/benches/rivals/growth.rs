//! What grows, and what must not: curves.

use std::fs;
use std::path::Path;

use super::fanout::publish;
use super::many::{multiply, publisher_of_one};
use super::payload::SMALL;
use super::publish::{publisher, to_peer};
use super::svg::{Axis, Curve, Plot};
use crate::cores::Pinned;
use crate::effort::Effort;
use crate::load::client;
use crate::memory::held;
use crate::peer::Dialer;
use crate::report::{Cell, Row, Section};

/// Subscriptions to the action that is published for; their subscribers are offline.
const SUBSCRIPTIONS: [u32; 9] = [1, 3, 10, 30, 100, 300, 1000, 3000, 10_000];

/// Rows of a log, up to what the effort allows.
const ROWS: [usize; 7] = [1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000];

/// Sessions that are idle, up to what the effort allows.
const SESSIONS: [usize; 6] = [0, 100, 250, 500, 750, 1000];

pub(crate) fn measure(effort: &Effort) -> Section {
    let subscriptions = by_subscriptions(effort);
    let rows = by_rows(effort);
    let sessions = by_sessions(effort);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks");
    if effort.is_kept {
        fs::create_dir_all(&folder).expect("a folder can be made");
        let time = |cells: &[(usize, Cell)]| curve(cells, 1e6);
        let plot = |x, curve| Plot { title: "A publication is accepted, each of 16 at once", x, y: "µs", curve };
        let draw = |file: &str, plot: &Plot| fs::write(folder.join(file), plot.to_string()).expect("written");
        draw("publish-by-subscriptions.svg", &plot(Axis::logarithmic("subscriptions"), time(&subscriptions)));
        draw("publish-by-rows.svg", &plot(Axis::logarithmic("publications in the log"), time(&rows)));
        let curve = curve(&sessions, 1.0 / 1024.0 / 1024.0);
        let title = "Memory of a daemon with idle sessions";
        draw("memory-by-sessions.svg", &Plot { title, x: Axis::linear("sessions"), y: "MiB", curve });
    }
    let row = |what: &str| {
        let what = what.to_owned();
        move |(number, cell): (usize, Cell)| Row { what: what.replace("{}", &number.to_string()), cells: vec![cell] }
    };
    Section {
        note: "Publications of 200 B over TLS, 16 at once, pinned, the time for each; the subscribers are offline. \
               Memory is resident. The pictures are drawn by the same run."
            .to_owned(),
        columns: &["each"],
        rows: subscriptions
            .into_iter()
            .map(row("publish with {} subscriptions"))
            .chain(rows.into_iter().map(row("publish with {} publications in the log")))
            .chain(sessions.into_iter().map(row("memory with {} sessions")))
            .collect(),
    }
}

fn by_subscriptions(effort: &Effort) -> Vec<(usize, Cell)> {
    let _pinned = Pinned::to_first();
    let mut instance = publisher_of_one();
    let cell = |count: u32| {
        multiply(&mut instance, "log", count, 0);
        (count as usize, accepted(effort, &Dialer::new(&instance)))
    };
    SUBSCRIPTIONS.map(cell).into()
}

fn by_rows(effort: &Effort) -> Vec<(usize, Cell)> {
    let _pinned = Pinned::to_first();
    let instance = publisher();
    let dialer = Dialer::new(&instance);
    let mut there = 0;
    let cell = |&count: &usize| {
        let head = instance.counts()["published"].as_u64().and_then(|head| usize::try_from(head).ok());
        there = head.unwrap_or(there);
        if count > there {
            client(async { publish(&dialer.dial().await, "log", SMALL, count - there).await });
        }
        (count, accepted(effort, &dialer))
    };
    ROWS.iter().filter(|&&rows| rows <= effort.log).map(cell).collect()
}

fn by_sessions(effort: &Effort) -> Vec<(usize, Cell)> {
    let most = effort.sessions.last().copied().unwrap_or_default();
    let counts: Vec<usize> = SESSIONS.into_iter().filter(|&sessions| sessions <= most).collect();
    let rounds: Vec<_> = (0..effort.rounds.min(3)).map(|_| client(held(&counts))).collect();
    let cell = |(at, &count): (usize, &usize)| (count, Cell::bytes(rounds.iter().map(|round| round[at].resident)));
    counts.iter().enumerate().map(cell).collect()
}

/// The time for each of many publications.
fn accepted(effort: &Effort, dialer: &Dialer) -> Cell {
    client(async {
        let session = dialer.dial().await;
        let mut rounds = Vec::new();
        for at in 0..=effort.rounds {
            let length = if at == 0 { effort.warm_up } else { effort.round / 2 };
            rounds.push(to_peer(&session, "log", SMALL, 16, length).await.each());
        }
        Cell::times(rounds.split_off(1).into_iter())
    })
}

fn curve(cells: &[(usize, Cell)], factor: f64) -> Curve {
    let point = |(count, cell): &(usize, Cell)| {
        let Cell::Numbers(values, _) = cell else { unreachable!("all of them are measured") };
        let of = |value: Option<&f64>| value.copied().unwrap_or_default() * factor;
        (*count as f64, of(values.first()), cell.median().unwrap_or_default() * factor, of(values.last()))
    };
    Curve { points: cells.iter().map(point).collect() }
}
