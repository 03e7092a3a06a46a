//! What is wrong with the disk, the database, the settings and the keys.

use std::fs::{self, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use coattail_tests::{Instance, plugin, until};
use serde_json::json;

/// Neither the service nor a command works with it, both say the same, and nothing of it is changed.
#[track_caller]
fn cannot_start(instance: &Instance, code: i32, kind: &str, says: &str) {
    for arguments in [&["service", "start"][..], &["token", "list"]] {
        let error = instance.run(&[arguments, &["--json"]].concat()).failed(code, kind);
        let text = error.to_string();
        assert!(text.contains(says), "{arguments:?}: {text}");
        assert!(!text.contains("coattail help"), "a hint that does not help: {text}");
        let people = instance.run(arguments).exited(code).stderr;
        assert!((2..=3).contains(&people.lines().count()) && people.starts_with("error: "), "{people}");
        assert!(people.contains("\n  try: "), "{people}");
    }
}

/// Makes a change to a file of an instance, looks, and takes it back.
#[track_caller]
fn with_change(instance: &Instance, file: &str, change: impl FnOnce(&Path), look: impl FnOnce()) {
    let path = instance.path(file);
    let (before, mode) =
        (fs::read(&path).expect("it is there"), fs::metadata(&path).expect("it is there").permissions());
    change(&path);
    look();
    let _ = fs::remove_file(&path);
    fs::write(&path, before).expect("written");
    fs::set_permissions(&path, mode).expect("a mode");
}

fn rewrite(text: &str) -> impl FnOnce(&Path) {
    let text = text.to_owned();
    move |path| fs::write(path, text).expect("written")
}

#[track_caller]
pub(super) fn python(script: &str, arguments: &[&Path]) -> Child {
    #[expect(clippy::disallowed_methods, reason = "another program than the one under test")]
    let mut command = Command::new("python3");
    command.arg("-c").arg(script).args(arguments);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python3 is there")
}

#[test]
fn settings_that_make_no_sense_are_told_with_their_place() {
    let mut instance = Instance::new("settings");
    let text = fs::read_to_string(instance.path("config.yml")).expect("it is there");
    let huge = format!("{text}\n#{}", "x".repeat(10 * 1024 * 1024));
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n\
        d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n";
    for (name, content, says) in [
        ("huge", huge.as_str(), "larger than"),
        ("no YAML", "service: [", "line 1"),
        ("a list", "- a\n- b\n", "config.yml"),
        ("a tab", "service:\n\ttls: {}\n", "config.yml"),
        ("nested", &"[".repeat(100_000), "config.yml"),
        ("a bomb", bomb, "config.yml"),
        ("an unknown key", &text.replace("network:", "netwrok:"), "did you mean `network`?"),
        ("an unknown limit", &format!("{text}\nlimits:\n  handshak: 1s\n"), "did you mean `handshake`?"),
        ("no port", &text.replace(&format!("port: {}", instance.port()), "port: eighty"), "service.network.port"),
        ("no duration", &format!("{text}\nlimits:\n  handshake: soon\n"), "limits.handshake"),
        ("no size", &format!("{text}\nlimits:\n  frame: 8 MB\n"), "limits.frame"),
        ("no switch", &text.replace("enabled: true", "enabled: perhaps"), "config.yml"),
        ("another database", &text.replace("client: sqlite3", "client: oracle"), "data.client"),
        (
            "a shared secret",
            &text.replace("type: file, value: keys/vt-key.pem", "type: string, value: hunter2"),
            "shared secret",
        ),
    ] {
        with_change(&instance, "config.yml", rewrite(content), || {
            cannot_start(&instance, 2, "usage", says);
            let output = instance.run(&["token", "list", "--json"]);
            assert!(!output.stderr.contains("hunter2"), "{name}: {output:#?}");
        });
    }
    with_change(
        &instance,
        "config.yml",
        |path| fs::write(path, b"a: \xff\n").expect("written"),
        || {
            cannot_start(&instance, 2, "usage", "config.yml");
        },
    );
    with_change(
        &instance,
        "config.yml",
        |path| fs::remove_file(path).expect("removed"),
        || {
            cannot_start(&instance, 5, "not-found", "config.yml");
        },
    );
    with_change(&instance, ".ct.version", rewrite("9.0.0\n"), || {
        cannot_start(&instance, 1, "unsupported-version", "9.0.0");
    });
    with_change(&instance, ".ct.version", rewrite("\u{1b}[31m\n"), || {
        let _ = instance.run(&["token", "list", "--json"]).failed(2, "usage");
    });
    instance.start();
}

#[test]
fn keys_that_are_none_are_told_with_their_path() {
    let mut instance = Instance::new("keys");
    let other = Instance::new("other");
    for (file, is_private) in [
        ("vt-key.pem", true),
        ("vt-key.pub", false),
        ("auth-key.pem", true),
        ("auth-key.pub", false),
        ("tls-key.pem", true),
        ("tls-cert.pem", false),
    ] {
        let path = format!("keys/{file}");
        let look = || cannot_start(&instance, 2, "usage", file);
        for content in
            ["", "garbage", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &"x".repeat(100_000)]
        {
            with_change(&instance, &path, rewrite(content), look);
        }
        with_change(&instance, &path, |path| fs::remove_file(path).expect("removed"), look);
        if is_private {
            let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o644)).expect("a mode");
            with_change(&instance, &path, open, || cannot_start(&instance, 2, "usage", "chmod 600"));
        }
        let foreign = fs::read_to_string(other.path(&path)).expect("it is there");
        if !file.starts_with("tls") {
            with_change(&instance, &path, rewrite(&foreign), || cannot_start(&instance, 2, "usage", "does not belong"));
        }
    }
    instance.start();
}

#[test]
fn a_database_that_is_none_is_told_and_left_as_it_is() {
    let mut instance = Instance::new("database");
    let data = "data.db";
    let garbage = "not a database at all, but long enough to look like one ".repeat(500);
    with_change(&instance, data, rewrite(&garbage), || {
        cannot_start(&instance, 1, "internal", "data.db is not a database of Coattail");
        assert_eq!(fs::read_to_string(instance.path(data)).expect("it is there"), garbage);
    });
    with_change(
        &instance,
        data,
        |path| fs::remove_file(path).expect("removed"),
        || {
            cannot_start(&instance, 1, "internal", "data.db");
            assert!(!instance.path(data).exists(), "an empty database was made in place of one that is lost");
        },
    );
    with_change(&instance, data, rewrite(""), || {
        cannot_start(&instance, 1, "unsupported-version", "coattail data migrate");
    });
    let shorten =
        |path: &Path| OpenOptions::new().write(true).open(path).and_then(|file| file.set_len(5_000)).expect("cut");
    with_change(&instance, data, shorten, || cannot_start(&instance, 1, "internal", "damaged"));
    let sql = |statements: &'static str| {
        move |path: &Path| {
            let script = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1])\ndb.executescript(sys.stdin.read())\ndb.close()";
            let mut child = python(script, &[path]);
            child.stdin.take().expect("piped").write_all(statements.as_bytes()).expect("written");
            assert!(child.wait().expect("it ends").success());
        }
    };
    with_change(&instance, data, sql("PRAGMA user_version = 1000;"), || {
        cannot_start(&instance, 1, "unsupported-version", "newer version");
    });
    with_change(&instance, data, sql("PRAGMA application_id = 7;"), || {
        cannot_start(&instance, 1, "internal", "not a database of Coattail");
    });
    instance.start();
}

#[test]
fn damage_in_the_middle_of_a_database_is_told_and_never_a_panic() {
    let mut instance = Instance::running("damaged");
    instance.plugin("actions/echo.sh", plugin::ECHO_SH);
    let large = format!("\"{}\"", "x".repeat(50_000));
    for _ in 0..10 {
        let _ = instance.run(&["action", "publish", "echo", "--data", &large]).ok();
    }
    instance.stop();
    let path = instance.path("data.db");
    assert!(!instance.path("data.db-wal").exists(), "a service that was stopped in order leaves one file");
    let whole = fs::read(&path).expect("it is there");
    let pages = whole.len() / 4096;
    let mut damaged = 0;
    for page in (1..pages.min(40)).chain([pages - 1]) {
        fs::write(&path, &whole).expect("written");
        let file = OpenOptions::new().write(true).open(&path).expect("it is there");
        file.write_all_at(&[0xaa; 4096], page as u64 * 4096).expect("written");
        for arguments in
            [&["token", "list"][..], &["subscribers", "list"], &["action", "publish", "echo", "--data", "1"]]
        {
            let output = instance.run(&[arguments, &["--json"]].concat());
            if output.code != Some(0) {
                damaged += 1;
                let error = output.failed(1, "internal");
                assert!(error["message"].to_string().contains("damaged"), "page {page}: {error}");
            }
        }
    }
    assert!(damaged > 0, "no damage was noticed");
    // The backup is as good as ever.
    fs::write(&path, &whole).expect("written");
    let _ = fs::remove_file(instance.path("data.db-wal"));
    let _ = fs::remove_file(instance.path("data.db-shm"));
    instance.start();
    assert_eq!(instance.json(&["action", "publish", "echo", "--data", "1"])["sequence"], 11);
}

#[test]
fn damage_in_a_large_database_is_found_while_it_is_served_and_nothing_is_accepted_any_more() {
    let mut instance = Instance::running("large");
    instance.plugin("actions/echo.sh", plugin::ECHO_SH);
    let large = format!("\"{}\"", "x".repeat(100_000));
    let publish = ["action", "publish", "echo", "--data", &large, "--json"];
    (0..15).for_each(|_| drop(instance.run(&publish).ok()));
    instance.stop();
    let path = instance.path("data.db");
    let whole = fs::read(&path).expect("it is there");
    assert!(whole.len() > 1 << 20, "{}", whole.len());
    let file = OpenOptions::new().write(true).open(&path).expect("it is there");
    // The last pages belong to a payload, which nobody reads by himself.
    file.write_all_at(&[0xaa; 4096], whole.len() as u64 - 4096).expect("written");
    instance.start();
    until("the damage to be told", || instance.log().contains("coattail restore").then_some(()));
    let error = instance.run(&publish).failed(1, "storage-failed");
    assert!(error["hint"].to_string().contains("restore"), "{error}");
    instance.stop();
    fs::write(&path, &whole).expect("written");
    instance.start();
    assert_eq!(instance.run(&publish).ok().json()["sequence"], 16);
}

#[test]
fn a_database_that_another_program_holds_is_waited_for_and_then_told() {
    let instance = Instance::running("locked");
    instance.plugin("actions/echo.sh", plugin::ECHO_SH);
    let publish = ["action", "publish", "echo", "--data", "1", "--json"];
    assert_eq!(instance.run(&publish).ok().json()["sequence"], 1);
    let script = "import sqlite3, sys\ndb = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
        db.execute('BEGIN IMMEDIATE')\nprint('held', flush=True)\nsys.stdin.read()\ndb.execute('ROLLBACK')\nprint('free', flush=True)\n";
    let hold = || {
        let mut child = python(script, &[&instance.path("data.db")]);
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        assert_eq!(line, "held\n");
        child
    };
    // Longer than the daemon waits: it says so, in time. Reading goes on.
    let mut holder = hold();
    let start = Instant::now();
    assert_eq!(instance.json(&["peer", "list"]), json!([]));
    assert!(start.elapsed() < Duration::from_secs(3));
    let error = instance.run(&publish).failed(1, "busy");
    assert!(error["message"].to_string().contains("locked"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    drop(holder.stdin.take());
    assert!(holder.wait().expect("it ends").success());
    // And goes on when it can.
    assert_eq!(instance.run(&publish).ok().json()["sequence"], 2);
    // Shorter: nobody notices.
    let mut holder = hold();
    let waiting = instance.begin(&publish);
    until("the command to wait", || (!instance.processes().is_empty()).then_some(()));
    drop(holder.stdin.take());
    assert!(holder.wait().expect("it ends").success());
    assert_eq!(waiting.finish().ok().json()["sequence"], 3);
    assert!(!instance.log().contains("panicked"));
}
