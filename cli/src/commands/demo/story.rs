use std::time::Instant;

use coattail::id::{PeerId, ValidationId};
use coattail::secret::Secret;
use coattail::wire::control::Counts;
use coattail::wire::host::{Entry, Peer, Subscription};
use coattail::wire::peer::Published;
use coattail::wire::{ErrorCode, Failure};
use futures::future::{try_join, try_join3};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::check::{self, Counted};
use super::instance::Instance;
use super::narrate::Narrator;
use super::plugins::{BOARD, LOG, MACHINE, RELAY, SCORE, SHELL_RELAY, SHELL_SCORE};
use super::stage::Stage;

/// How many readings are published: half of them before the kill, half after it.
const READINGS: u64 = 20;

/// Plays the whole story, and returns what was counted.
pub(super) async fn tell(stage: &mut Stage, narrator: &Narrator) -> Result<Vec<Counted>, Failure> {
    make(stage, narrator).await?;
    let board = cast(stage, narrator).await?;
    start(stage, narrator).await?;
    let office = connect(stage, narrator, board).await?;
    perform(stage, narrator, office).await?;
    publish_and_kill(stage, narrator).await?;
    catch_up(stage, narrator).await?;
    count(stage, narrator, board).await
}

/// Who draws the board, or keeps the log in its place.
#[derive(Clone, Copy)]
enum Board {
    Python,
    Shell,
}

impl Board {
    fn receiver(self) -> &'static str {
        match self {
            Board::Python => "board",
            Board::Shell => "log",
        }
    }
}

async fn make(stage: &Stage, narrator: &Narrator) -> Result<(), Failure> {
    let new = async |instance: &Instance| {
        let port = instance.port.to_string();
        instance.coattail::<IgnoredAny>(&["new", "--port", &port]).await
    };
    try_join3(new(&stage.site), new(&stage.office), new(&stage.desk)).await?;
    narrator.say(&format!(
        "site, office and desk: three instances in {}, each with its own keys and TLS certificate",
        stage.root().display()
    ))
}

/// Gives each its plugins. What cannot run here, as the instance itself finds, is played by a shell script.
async fn cast(stage: &Stage, narrator: &Narrator) -> Result<Board, Failure> {
    let Stage { site, office, desk, .. } = stage;
    site.put(&[MACHINE])?;
    office.put(&[LOG, RELAY, SCORE])?;
    desk.put(&[BOARD])?;
    let (actions, receivers) = try_join(
        office.coattail::<Vec<Entry>>(&["action", "list"]),
        desk.coattail::<Vec<Entry>>(&["action", "list", "--receivers"]),
    )
    .await?;
    let problem = |entries: Vec<Entry>| entries.into_iter().find_map(|entry| entry.problem);
    match problem(actions) {
        None => {
            narrator.say("office: an unchanged Node action `Health Score`; receivers `relay` (Node), `log` (shell)")?
        }
        Some(problem) => {
            office.take(&[RELAY, SCORE])?;
            office.put(&[SHELL_RELAY, SHELL_SCORE])?;
            narrator.say(&format!("office: {problem}; `Health Score` and `relay` are shell scripts instead"))?;
        }
    }
    match problem(receivers) {
        None => {
            narrator.say("desk: a Python receiver `board`, which keeps a table and draws a page")?;
            Ok(Board::Python)
        }
        Some(problem) => {
            desk.take(&[BOARD])?;
            desk.put(&[LOG])?;
            narrator.say(&format!("desk: {problem}; the receiver is `log` instead, a shell script"))?;
            Ok(Board::Shell)
        }
    }
}

async fn start(stage: &mut Stage, narrator: &Narrator) -> Result<(), Failure> {
    let Stage { site, office, desk, .. } = stage;
    try_join3(site.start(), office.start(), desk.start()).await?;
    let [site, office, desk] =
        [site, office, desk].map(|instance| format!("{} on port {}", instance.name, instance.port));
    narrator.say(&format!("three services run, over TLS 1.3 only: {site}, {office}, {desk}"))
}

/// Hands out tokens and subscribes. Returns office as desk knows it.
async fn connect(stage: &Stage, narrator: &Narrator, board: Board) -> Result<PeerId, Failure> {
    let Stage { site, office, desk, .. } = stage;
    let score = ["--subscribable", "Health Score", "--performable", "Health Score"];
    let (site_of_office, site_of_desk, office_of_desk) = try_join3(
        introduce(site, office, &["--subscribable", "machine"]),
        introduce(site, desk, &["--subscribable", "machine"]),
        introduce(office, desk, &score),
    )
    .await?;
    narrator
        .say("tokens: of site for office and desk, of office for desk; each is bound to the key of who holds it")?;

    for (subscriber, peer, action, receiver) in [
        (office, site_of_office, "machine", "log"),
        (office, site_of_office, "machine", "relay"),
        (desk, site_of_desk, "machine", board.receiver()),
        (desk, office_of_desk, "Health Score", board.receiver()),
    ] {
        let peer = peer.to_string();
        let subscribe = ["action", "subscribe", "--peer", &peer, "--action", action, "--receiver", receiver];
        subscriber.coattail::<Subscription>(&subscribe).await?;
    }
    narrator.say(&format!(
        "subscribed: `log` and `relay` of office to `machine` of site; `{board}` of desk to it, and to `Health Score` of office",
        board = board.receiver(),
    ))?;
    Ok(office_of_desk)
}

/// Gives `to` a token of `from` which only the key of `to` can use, and with which it logs in.
async fn introduce(from: &Instance, to: &Instance, grants: &[&str]) -> Result<PeerId, Failure> {
    #[derive(Deserialize)]
    struct Token {
        raw: Secret,
    }
    #[derive(Deserialize)]
    struct Key {
        id: ValidationId,
    }
    let key: Token = to.coattail(&["validation", "issue", "--quiet", "--print-raw-token"]).await?;
    let key: Key = from.coattail_with(key.raw.reveal(), &["validation", "add", "-"]).await?;
    let bearer = format!("vt://{}", key.id);
    let issue = ["token", "issue", "--quiet", "--print-raw-token", "--bearers", &bearer];
    let token: Token = from.coattail(&[&issue[..], grants].concat()).await?;
    // By stdin: arguments can be seen by everyone on the machine.
    let peer: Peer = to.coattail_with(token.raw.reveal(), &["peer", "add", "-"]).await?;
    Ok(peer.id)
}

/// What `action perform` answers.
#[derive(Deserialize)]
struct Performed {
    result: Value,
    publication: Option<Published>,
}

async fn perform(stage: &Stage, narrator: &Narrator, office: PeerId) -> Result<(), Failure> {
    let read: Performed = stage.site.coattail(&["action", "perform", "--action", "machine"]).await?;
    let figures = read.result;
    let number = |path| figures.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
    narrator.say(&format!(
        "site: `machine` (shell) has read the figures of this machine: disk {:.1} % used, load {:.2}",
        number("/disk/used_percent"),
        number("/load/one"),
    ))?;
    let (office, data) = (office.to_string(), figures.to_string());
    let perform = ["action", "perform", "--peer", &office, "--action", "Health Score", "--data", &data];
    let judged: Performed = stage.desk.coattail(&perform).await?;
    narrator.say(&format!(
        "desk: performed `Health Score` at office with them: {}, score {}",
        judged.result["status"].as_str().unwrap_or("no status"),
        judged.result["score"],
    ))
}

async fn publish_and_kill(stage: &mut Stage, narrator: &Narrator) -> Result<(), Failure> {
    publish(&stage.site, narrator, READINGS / 2).await?;
    // In the middle of its work, not before it.
    let counts = stage.desk.until("the first publication is handled", |counts| counts.handled > 0).await?;
    let pid = stage.desk.pid().unwrap_or_default();
    stage.desk.kill().await?;
    narrator.say(&format!(
        "desk: killed with -9 (process {pid}), when it had handled {} of {} publications",
        counts.handled, counts.stored
    ))?;

    publish(&stage.site, narrator, READINGS / 2).await?;
    let Stage { site, office, .. } = stage;
    // Each reading went to `log` and to `relay`, which has published in turn before it counts as handled.
    office.until("all readings are handled", |counts| counts.handled >= 2 * READINGS).await?;
    let waits = |counts: &Counts| counts.undelivered >= READINGS / 2;
    let at_site = site.until("what desk has missed waits for it", waits).await?.undelivered;
    let at_office = office.until("what desk has missed waits for it", waits).await?.undelivered;
    narrator.say(&format!(
        "office went on meanwhile; for desk {at_site} publications wait at site and {at_office} at office"
    ))
}

async fn publish(site: &Instance, narrator: &Narrator, readings: u64) -> Result<(), Failure> {
    let begun = Instant::now();
    for _ in 0..readings {
        let performed: Performed = site.coattail(&["action", "perform", "--action", "machine", "--notify"]).await?;
        if performed.publication.is_none() {
            return Err(site.failure(ErrorCode::Failed, "a reading was not published", "the answer names none"));
        }
    }
    narrator.say(&format!(
        "site: {readings} readings made and published, each on disk before the next, in {:.2} s",
        begun.elapsed().as_secs_f64()
    ))
}

async fn catch_up(stage: &mut Stage, narrator: &Narrator) -> Result<(), Failure> {
    let Stage { site, office, desk, .. } = stage;
    let begun = Instant::now();
    desk.start().await?;
    narrator.say(&format!("desk: started again (process {})", desk.pid().unwrap_or_default()))?;
    desk.until("all that it has missed is handled", |counts| counts.handled >= 2 * READINGS).await?;
    site.until("all is delivered", |counts| counts.undelivered == 0).await?;
    office.until("all is delivered", |counts| counts.undelivered == 0).await?;
    narrator.say(&format!("desk: caught up {:.2} s after its start", begun.elapsed().as_secs_f64()))
}

/// Nothing is on its way any more, so what is counted now stays.
async fn count(stage: &mut Stage, narrator: &Narrator, board: Board) -> Result<Vec<Counted>, Failure> {
    let Stage { site, office, desk, .. } = stage;
    let mut counted = Vec::new();
    for (instance, expected) in [&mut *site, office, desk].into_iter().zip(check::expected(READINGS)) {
        let counts = instance.until("it tells its counts", |_| true).await?;
        counted.push(Counted { id: instance.name, counts, expected });
    }
    check_file(office, "log.txt", 0, READINGS)?;
    match board {
        Board::Python => {
            check_file(desk, "board.csv", 1, 2 * READINGS)?;
            if !desk.folder().join("board.html").exists() {
                return Err(desk.failure(ErrorCode::Failed, "the page was not drawn", "there is no `board.html`"));
            }
            narrator.say(&format!(
                "desk: board.csv has {} rows, one for each publication, and board.html shows them",
                2 * READINGS
            ))?;
        }
        Board::Shell => check_file(desk, "log.txt", 0, 2 * READINGS)?,
    }
    Ok(counted)
}

fn check_file(instance: &Instance, file: &str, heads: usize, expected: u64) -> Result<(), Failure> {
    let off = |why: String| Err(instance.failure(ErrorCode::Failed, format!("`{file}` is not what it had to be"), why));
    match check::publications(&instance.folder().join(file), heads) {
        Ok(found) if found == expected => Ok(()),
        Ok(found) => off(format!("it has {found} publications, and had to have {expected}")),
        Err(error) => off(error.to_string()),
    }
}
